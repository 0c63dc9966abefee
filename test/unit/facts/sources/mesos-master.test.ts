import { expect } from "chai";
import { networkHttp } from "../../../../facts/sources/mesos-http.ts";
import { type LeaderFinder, listedMasters, redirectingMasters } from "../../../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../../../facts/sources/mesos-master.ts";
import { encodeRecord } from "../../../../facts/sources/mesos-recordio.ts";
import { Collector, countingHttp, until } from "../../../fake-mesos/collector.ts";
import { containerStatus } from "../../../fake-mesos/json.ts";
import { FakeMaster, type MasterOptions } from "../../../fake-mesos/master.ts";
import { settled } from "../../../fake-mesos/replay.ts";
import type { MasterState } from "../../../fake-mesos/state.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";

const A = { id: "A", hostname: "10.0.0.9" };
const B = { id: "B", hostname: "10.0.0.10" };

function runningTask(state: MasterState, id: string, agent: string, address: string, framework = "F"): unknown[] {
  const more = { container_status: containerStatus([address], "dcos") };
  return [
    ...state.launch({ id, framework, agent }),
    ...state.update({ task: id, framework, state: "TASK_RUNNING", more }),
  ];
}

/** Task `a` on agent A, `b` on agent B. */
function populate({ state }: FakeMaster): void {
  for (const agent of [A, B]) state.addAgent(agent);
  state.addFramework({ id: "F", name: "marathon" });
  runningTask(state, "a", "A", "9.0.1.2");
  runningTask(state, "b", "B", "9.0.2.2");
}

describe("MesosMasterSource", function () {
  this.timeout(20_000);
  const opened: { stop(): Promise<void> }[] = [];
  let clock: FakeClock;
  const http = countingHttp(networkHttp());

  beforeEach(() => {
    clock = fakeClock();
  });
  afterEach(async () => {
    for (const item of opened.splice(0).reverse()) await item.stop();
  });

  const master = (options: MasterOptions = {}): FakeMaster => {
    const started = new FakeMaster(options);
    opened.push(started);
    return started;
  };
  const follow = (leader: LeaderFinder, options: { resolve?: (name: string) => Promise<string[]> } = {}) => {
    const sink = new Collector();
    const source = new MesosMasterSource({
      caller: { http, clock, authorization: () => "token=t" },
      leader,
      resolve: async () => [],
      random: () => 0,
      limits: { recordBytes: 1_000_000 },
      ...options,
    });
    opened.push(source);
    source.start(sink);
    return { source, sink };
  };
  /** Lets waits between attempts pass until the condition holds. */
  const passUntil = async (condition: () => boolean, what: string): Promise<void> => {
    await until(() => {
      if (http.waiting() === 0) clock.advance(200);
      return condition();
    }, what);
  };

  it("follows what happens to tasks, also a new address of one that runs on", async () => {
    const leader = master({ authorization: "token=t" });
    populate(leader);
    const { sink } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    const more = { container_status: containerStatus(["9.0.1.77"], "dcos") };
    leader.emit(leader.state.update({ task: "a", framework: "F", state: "TASK_RUNNING", more }));
    await until(() => sink.task("a")?.addresses[0]?.address === "9.0.1.77", "the new address");
    leader.emit(leader.state.removeAgent("B"));
    await until(() => sink.ids().length === 1, "the removal");
    expect(sink.deltas).to.have.length(2);
  });

  it("tells tasks of the same id in two frameworks apart", async () => {
    const leader = master();
    populate(leader);
    const { sink } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    leader.emit(leader.state.addFramework({ id: "G", name: "metronome" }));
    leader.emit(runningTask(leader.state, "a", "A", "9.0.1.9", "G") as never);
    await until(() => sink.ids().length === 3, "the second task");
    leader.emit(leader.state.removeFramework("G"));
    await until(() => sink.ids().length === 2, "its end");
    expect(sink.task("a")?.framework).to.deep.equal({ id: "F", name: "marathon" });
  });

  it("finds the leader by redirect from any listed master, and by /redirect", async () => {
    const leader = master();
    populate(leader);
    const follower = master({ role: { follows: leader.url } });
    const direct = follow(listedMasters([follower.url]));
    await until(() => direct.sink.ids().length === 2, "the tasks by redirect of the call");
    const caller = { http: networkHttp(), clock };
    const asked = follow(redirectingMasters([follower.url], caller));
    await until(() => asked.sink.ids().length === 2, "the tasks by /redirect");
    expect(leader.subscriptions).to.equal(2);
  });

  it("goes on to other masters while one is down, elects or recovers, and names what it met", async () => {
    const gone = master();
    const electing = master({ role: "electing" });
    const recovering = master({ role: "recovering" });
    const leader = master();
    populate(leader);
    await gone.stop();
    const { sink, source } = follow(listedMasters([gone, electing, recovering, leader].map(({ url }) => url)));
    await passUntil(() => sink.ids().length === 2, "the tasks");
    expect(source.status().failures).to.equal(3);
    const said = sink.problems.map(({ message }) => message);
    expect(said[1]).to.include("No leader elected");
    expect(said[2]).to.include("Master has not finished recovery");
  });

  it("neither loses nor flaps a task when another master takes over", async () => {
    const [first, second] = [master(), master()];
    populate(first);
    second.role = { follows: first.url };
    const { sink, source } = follow(listedMasters([first.url, second.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    const [a, b] = [first.state.tasksOf("A"), first.state.tasksOf("B")];
    second.state = first.state.successor();
    second.role = "leading";
    await first.stop();
    await passUntil(() => source.status().unconfirmed === 2, "the new snapshot");
    second.emit(second.state.reregister(A, a));
    await until(() => source.status().unconfirmed === 1, "the first agent");
    second.emit(second.state.reregister(B, b));
    await until(() => source.status().unconfirmed === 0, "the second agent");
    expect(sink.ids()).to.deep.equal(["a", "b"]);
    expect(sink.deltas).to.deep.equal([]);
    expect(sink.replaced).to.equal(1);
  });

  it("lets a task go at once when its agent comes back to the new master without it", async () => {
    const leader = master();
    populate(leader);
    const { sink, source } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    leader.state = leader.state.successor();
    leader.endStreams();
    await passUntil(() => source.status().unconfirmed === 2, "the new snapshot");
    leader.emit(leader.state.reregister(A, []));
    await until(() => sink.ids().length === 1, "the removal");
    expect(sink.removals()).to.deep.equal(["a"]);
  });

  it("lets tasks go whose agent doesn't come back to the new master, when patience ends", async () => {
    const leader = master();
    populate(leader);
    const { sink, source } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    const tasks = leader.state.tasksOf("A");
    leader.state = leader.state.successor();
    leader.endStreams();
    await passUntil(() => source.status().unconfirmed === 2, "the new snapshot");
    leader.emit(leader.state.reregister(A, tasks));
    await until(() => source.status().unconfirmed === 1, "the agent's return");
    for (let passed = 0; passed < 600_000; passed += 15_000) {
      const seen = source.status().events;
      leader.emit([{ type: "HEARTBEAT" }]);
      await until(() => source.status().events > seen, "the heartbeat");
      expect(sink.ids()).to.deep.equal(["a", "b"]);
      await clock.advance(15_000);
    }
    await until(() => sink.ids().length === 1, "the end of patience");
    expect(sink.removals()).to.deep.equal(["b"]);
  });

  it("drops what ended while the stream was broken, and adds what is new, in one change", async () => {
    const leader = master();
    populate(leader);
    const { sink } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    leader.endStreams();
    leader.state.update({ task: "a", framework: "F", state: "TASK_FINISHED" });
    runningTask(leader.state, "c", "A", "9.0.1.3");
    await passUntil(() => sink.ids().includes("c"), "the new snapshot");
    expect(sink.ids()).to.deep.equal(["b", "c"]);
    expect(sink.deltas).to.have.length(1);
  });

  it("subscribes anew when heartbeats stay away, and not before", async () => {
    const leader = master({ heartbeatMs: 10_000 });
    leader.beating = false;
    populate(leader);
    const { sink, source } = follow(listedMasters([leader.url]));
    await until(() => source.status().events === 2, "the first heartbeat");
    await clock.advance(29_900);
    await settled();
    expect(leader.subscriptions).to.equal(1);
    await passUntil(() => leader.subscriptions === 2, "another subscription");
    expect(sink.problems[0]?.message).to.include("nothing for 30000 ms");
    expect(sink.ids()).to.deep.equal(["a", "b"]);
  });

  for (const [name, bytes, said] of [
    ["a length that is none", new TextEncoder().encode("nonsense\n"), "where a length was expected"],
    ["a record beyond the limit", new TextEncoder().encode("99999999999\n"), "more than 1000000 bytes"],
    ["a record that isn't JSON", encodeRecord(new TextEncoder().encode("{")), "JSON"],
  ] as const) {
    it(`keeps its tasks and subscribes anew after ${name}`, async () => {
      const leader = master();
      populate(leader);
      const { sink } = follow(listedMasters([leader.url]));
      await until(() => sink.ids().length === 2, "the snapshot");
      leader.emitRaw(bytes);
      await passUntil(() => leader.subscriptions === 2, "another subscription");
      expect(sink.problems[0]?.message).to.include(said);
      expect(sink.ids()).to.deep.equal(["a", "b"]);
      expect(sink.removals()).to.deep.equal([]);
    });
  }

  it("takes the address of the process where the agent's host name can't be resolved, and says so", async () => {
    const leader = master();
    leader.state.addAgent({ id: "A", hostname: "agent.invalid", pidAddress: "10.0.0.9" });
    leader.state.addAgent({ id: "B", hostname: "agent.example", pidAddress: "10.0.0.10" });
    leader.state.addFramework({ id: "F", name: "marathon" });
    runningTask(leader.state, "a", "A", "9.0.1.2");
    runningTask(leader.state, "b", "B", "9.0.2.2");
    const resolve = async (name: string): Promise<string[]> => {
      if (name === "agent.invalid") throw new Error("ENOTFOUND");
      return ["2001:db8::1", "10.0.0.10", "192.0.2.1"];
    };
    const { sink } = follow(listedMasters([leader.url]), { resolve });
    await until(() => sink.ids().length === 2, "both tasks");
    expect(sink.task("a")?.agent.addresses).to.deep.equal(["10.0.0.9"]);
    expect(sink.task("b")?.agent.addresses).to.deep.equal(["10.0.0.10", "192.0.2.1", "2001:db8::1"]);
    expect(sink.problems.map(({ message }) => message).join())
      .to.include("agent.invalid")
      .and.include("ENOTFOUND");
  });

  it("leaves out a task that no fact can hold, and says which", async () => {
    const leader = master();
    populate(leader);
    const { sink } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    leader.emit(leader.state.launch({ id: "bad\u0000id", framework: "F", agent: "A" }));
    await until(() => sink.problems.length === 1, "the problem");
    expect(sink.problems[0]?.message).to.include("bad\u0000id");
    expect(sink.ids()).to.deep.equal(["a", "b"]);
  });

  it("tells nothing more after it was stopped", async () => {
    const leader = master();
    populate(leader);
    const { sink, source } = follow(listedMasters([leader.url]));
    await until(() => sink.ids().length === 2, "the snapshot");
    await source.stop();
    await until(() => leader.subscribers === 0, "the end of the subscription");
    expect(clock.pending()).to.equal(0);
    expect(sink.problems).to.deep.equal([]);
  });
});
