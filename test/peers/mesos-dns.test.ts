import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { Candidate } from "../fake-mesos/candidate.ts";
import { DnsProcess } from "../support/dns-process.ts";
import { a, answerTo } from "../support/dns-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { sampleMesosState } from "../support/mesos-state.ts";
import { ZooKeeperServer, zooKeeperProblem } from "../support/zookeeper-server.ts";

const problem = Bun.which("dig") === null ? "there is no dig" : zooKeeperProblem();
const why = problem === undefined ? "" : ` (skipped: ${problem})`;

(problem === undefined ? describe : describe.skip)(`dcos-net mesos-dns, with a file of Mesos-DNS,${why}`, function () {
  this.timeout(180_000);
  const stops: (() => unknown)[] = [];
  const served = new DnsProcess();
  let zooKeeper: ZooKeeperServer;
  let leader: Candidate;
  let second: Candidate;

  before(async () => {
    zooKeeper = await ZooKeeperServer.create(500);
    stops.push(() => zooKeeper.remove());
    const master = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) =>
        new URL(url).pathname === "/master/state"
          ? Response.json(sampleMesosState(`127.0.0.1:${new URL(url).port}`))
          : new Response("", { status: 404 }),
    });
    stops.push(() => master.stop(true));
    leader = await Candidate.join(zooKeeper.port, "/mesos", `http://127.0.0.1:${master.port}`);
    second = await Candidate.join(zooKeeper.port, "/mesos", "http://10.9.9.9:5050");
    stops.push(
      () => leader.leave(),
      () => second.leave(),
    );
    const upstream = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        data: (self, message, port, address) =>
          void self.send(answerTo(message, { answers: [a("www.example.org", "192.0.2.7")] }), port, address),
      },
    });
    stops.push(() => upstream.close());
    const config = {
      zk: `zk://127.0.0.1:${zooKeeper.port}/mesos`,
      refreshSeconds: 1,
      domain: "mesos",
      port: await freePort(),
      resolvers: [`127.0.0.1:${upstream.port}`],
      zoneResolvers: { "dead.test": ["127.0.0.1:9"] },
      listener: "127.0.0.1",
      httpListener: "127.0.0.1",
      httpPort: await freePort(),
      externalOn: true,
      ns: "ignored",
    };
    const file = join(served.directory, "config.json");
    writeFileSync(file, JSON.stringify(config));
    await served.run("mesos-dns", "--config", file);
    stops.push(() => served.stop());
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  it("finds the masters in ZooKeeper and numbers them, the leader first", async () => {
    await served.until(async () => (await served.dig("+short", "master1.mesos")) === "10.9.9.9\n");
    expect(await served.dig("+short", "leader.mesos")).to.equal("127.0.0.1\n");
    expect(await served.dig("+short", "master0.mesos")).to.equal("127.0.0.1\n");
    expect(await served.dig("+short", "nginx.marathon.mesos")).to.equal("10.1.1.1\n");
  });

  it("asks the file's resolvers about other names", async () => {
    expect(await served.dig("+short", "www.example.org")).to.equal("192.0.2.7\n");
    expect(await served.dig("x.dead.test"))
      .to.match(/SERVFAIL/)
      .and.to.match(/127.0.0.1:9 ECONNREFUSED/);
  });

  it("forgets a master that is gone", async () => {
    await second.leave();
    await served.until(async () => (await served.dig("master1.mesos")).includes("NXDOMAIN"));
  });
});
