import { expect } from "chai";
import { networkHttp } from "../../facts/sources/mesos-http.ts";
import type { LeaderFinder } from "../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../facts/sources/mesos-master.ts";
import { zooKeeperLeader } from "../../facts/sources/mesos-zookeeper.ts";
import { parseZooKeeperUrl } from "../../facts/sources/mesos-zookeeper-url.ts";
import { systemClock } from "../../lib/clock.ts";
import { Candidate } from "../fake-mesos/candidate.ts";
import { Collector, until } from "../fake-mesos/collector.ts";
import { containerStatus } from "../fake-mesos/json.ts";
import { FakeMaster } from "../fake-mesos/master.ts";
import { ZooKeeperServer, zooKeeperProblem } from "../support/zookeeper-server.ts";

const FIRST = "http://10.0.0.1:5050";
const SECOND = "http://10.0.0.2:5050";
const forever = new AbortController().signal;

function finderFor(url: string): LeaderFinder {
  return zooKeeperLeader({ place: parseZooKeeperUrl(url), scheme: "http", clock: systemClock });
}

/** What a promise was rejected with. */
async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "not rejected",
    (error) => String(error),
  );
}

const describeWithZooKeeper = zooKeeperProblem() === undefined ? describe : describe.skip;

describeWithZooKeeper(
  "the leading master in a real ZooKeeper (skipped without Debian's zookeeper and Java)",
  function () {
    this.timeout(180_000);
    let server: ZooKeeperServer;
    let path = "";
    let count = 0;
    const opened: { stop(): Promise<void> }[] = [];
    const candidates: Candidate[] = [];

    before(async () => {
      server = await ZooKeeperServer.create(500);
    });
    beforeEach(() => {
      count += 1;
      path = `/mesos-${count}`;
    });
    afterEach(async () => {
      server.thaw();
      for (const { stop } of opened.splice(0).map((item) => ({ stop: () => item.stop() }))) await stop();
      for (const candidate of candidates.splice(0)) await candidate.leave();
    });
    after(async () => {
      await server.remove();
    });

    const url = (auth = "") => `zk://${auth}127.0.0.1:${server.port}${path}`;
    const find = (finder: LeaderFinder) => finder.find(forever);
    const open = (address: string): LeaderFinder => {
      const finder = finderFor(address);
      opened.push(finder);
      return finder;
    };
    const join = async (base: string, options = {}): Promise<Candidate> => {
      const candidate = await Candidate.join(server.port, path, base, options);
      candidates.push(candidate);
      return candidate;
    };
    const leave = async (candidate: Candidate): Promise<void> => {
      candidates.splice(candidates.indexOf(candidate), 1);
      await candidate.leave();
    };

    /** After a failure of the server: the sessions of all candidates run out. */
    const abandonAll = (): void => {
      for (const candidate of candidates.splice(0)) candidate.abandon();
    };

    it("is the first candidate, and another one as soon as that has left", async () => {
      const first = await join(FIRST);
      await join(SECOND);
      await join("http://10.0.0.3:5050", { label: "log_replicas" });
      const finder = open(url());
      let changes = 0;
      finder.watch(() => {
        changes += 1;
      });
      expect(await find(finder)).to.equal(FIRST);
      await leave(first);
      await until(() => changes === 1, "news of the new leader");
      expect(await find(finder)).to.equal(SECOND);
    });

    it("is waited for when nobody has registered yet", async () => {
      const finder = open(url());
      const found = find(finder);
      await Bun.sleep(300);
      await join(FIRST);
      expect(await found).to.equal(FIRST);
    });

    it("is reported as missing with the reason and the place, without the password", async () => {
      await join(FIRST, { label: "info_" });
      const said = await rejection(find(open(url("user:secret@"))));
      expect(said).to.include(`${path} of ZooKeeper 127.0.0.1:${server.port}`).and.include("older than Mesos 0.24");
      expect(said).to.not.include("secret");
    });

    it("is found with user and password where only they may read, and not without", async () => {
      await join(FIRST, { auth: "mesos:secret" });
      expect(await find(open(url("mesos:secret@")))).to.equal(FIRST);
      expect(await rejection(find(open(url())))).to.include("NO_AUTH");
    });

    it("stays known while ZooKeeper is down, and is followed again when it is back", async () => {
      await join(FIRST);
      const finder = open(url());
      finder.watch(() => {});
      expect(await find(finder)).to.equal(FIRST);
      await server.kill();
      await Bun.sleep(1_000);
      expect(await find(finder)).to.equal(FIRST);
      await server.start();
      abandonAll();
      await join(SECOND);
      for (let turn = 0; turn < 300 && (await find(finder)) === FIRST; turn++) await Bun.sleep(100);
      expect(await find(finder)).to.equal(SECOND);
    });

    it("is followed again after ZooKeeper was frozen for longer than the session lives", async () => {
      await join(FIRST);
      const finder = open(url());
      finder.watch(() => {});
      expect(await find(finder)).to.equal(FIRST);
      server.freeze();
      await Bun.sleep(12_000);
      server.thaw();
      abandonAll();
      await join(SECOND);
      for (let turn = 0; turn < 400 && (await find(finder)) === FIRST; turn++) await Bun.sleep(100);
      expect(await find(finder)).to.equal(SECOND);
    });

    it("is followed by mesos-master through a failover, and no task flaps", async () => {
      const first = new FakeMaster();
      first.state.addAgent({ id: "A", hostname: "10.0.0.9" });
      first.state.addFramework({ id: "F", name: "marathon" });
      for (const id of ["t1", "t2"]) {
        first.state.launch({ id, framework: "F", agent: "A" });
        const more = { container_status: containerStatus(["9.0.1.6"], "dcos") };
        first.state.update({ task: id, framework: "F", state: "TASK_RUNNING", more });
      }
      const second = new FakeMaster({ role: { follows: first.url } });
      const [leading] = [await join(first.url), await join(second.url)];
      const sink = new Collector();
      const source = new MesosMasterSource({
        caller: { http: networkHttp(), clock: systemClock },
        leader: finderFor(url()),
        resolve: async () => [],
        random: Math.random,
      });
      opened.push(source, first, second);
      source.start(sink);
      await until(() => sink.ids().length === 2, "both tasks");

      const running = first.state.tasksOf("A");
      second.state = first.state.successor();
      second.role = "leading";
      await leave(leading);
      await until(() => second.subscribers === 1, "the subscription to the new leader");
      await until(() => source.status().unconfirmed === 2, "the new snapshot");
      expect(sink.ids()).to.deep.equal(["t1", "t2"]);
      second.emit(second.state.reregister({ id: "A", hostname: "10.0.0.9" }, running.slice(0, 1)));
      await until(() => sink.removals().length > 0, "the end of the task that didn't come back");
      expect(sink.ids()).to.deep.equal(["t1"]);
      expect(sink.removals()).to.deep.equal(["t2"]);
      expect(sink.replaced).to.equal(1);
    });
  },
);
