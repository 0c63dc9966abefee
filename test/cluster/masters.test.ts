import { expect } from "chai";
import { requireZooKeeper } from "../../bin/lab/zookeeper.ts";
import { ClusterLab, LabZooKeeper } from "../support/cluster-lab.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";
import { expectNoLossTillSignal } from "../support/ping.ts";

const ALL = [1, 2, 3, 4, 5] as const;
const MASTERS = [1, 2, 3] as const;

describeLab("a cluster of five hosts with three masters and a ZooKeeper", function () {
  this.timeout(TEST_LIMIT_MS);
  let lab: ClusterLab;
  let zooKeeper: LabZooKeeper;

  before(async function () {
    try {
      requireZooKeeper();
    } catch {
      if (process.env["CI"] === "true") throw new Error("the Debian package zookeeper, or Java, is not installed");
      this.skip();
    }
    await sweepLabs();
    lab = new ClusterLab();
    await lab.up("--nodes", String(ALL.length), "--zk");
    zooKeeper = new LabZooKeeper(lab);
    for (const number of [4, 5]) {
      await lab.labs.ok("lab", "run", "--node", String(number), "--name", `c${number}`, "--", "sleep", "1h");
    }
  });
  printsLogsOfFailures(() => lab?.labs.logs() ?? {});
  after(() => lab?.labs.clear());

  /** Numbers of the masters that lead now. */
  const leaders = async (): Promise<number[]> => {
    const { nodes } = await lab.status();
    // What a killed daemon said last stays where it said it.
    const healthy = nodes.filter(({ agent }) => agent.healthy);
    return MASTERS.filter((number) =>
      healthy.some(({ name, cluster }) => name === `n${number}` && cluster?.leader?.leads),
    );
  };
  const leader = async (): Promise<number> => {
    const [one] = await eventually(SOON_MS, leaders, ({ length }) => length === 1);
    return one ?? 0;
  };

  it("has one leader, and all know the same", async () => {
    await lab.agree(ALL, 5);
    await leader();
  });

  it("lets another master lead when the leader is killed while hosts register, and doubles no address", async () => {
    const output = await lab.pinging("c4", "c5", async () => {
      const old = await leader();
      const others = MASTERS.filter((number) => number !== old);
      for (const number of others) {
        await lab.signal(number, "SIGKILL");
        lab.wipe(number);
      }
      await Promise.all([...others.map((number) => lab.start(number)), lab.signal(old, "SIGKILL")]);
      const next = await eventually(SOON_MS, leaders, (now) => now.some((number) => number !== old));
      expect(next).to.not.include(old);
      await lab.start(old);
      await lab.agree(ALL, 5, others.length);
    });
    expectNoLossTillSignal(output);
  });

  it("goes on without ZooKeeper, and hands out again when it is back", async () => {
    const output = await lab.pinging("c4", "c5", async () => {
      zooKeeper.kill();
      await eventually(SOON_MS, leaders, ({ length }) => length === 0);
      // An agent needs no leader.
      const agent = async () => (await lab.node(4)).agent;
      await eventually(SOON_MS, agent, ({ healthy }) => healthy);
      const problems = await eventually(
        SOON_MS,
        async () => {
          return (await lab.status()).nodes
            .slice(0, MASTERS.length)
            .map(({ cluster }) => cluster?.leader?.problem ?? "");
        },
        (texts) => texts.every((text) => text !== ""),
      );
      expect(problems.join("\n")).to.include("ZooKeeper");
      await lab.signal(5, "SIGTERM");
      await lab.start(5);
      zooKeeper.start();
      await leader();
      await eventually(
        SOON_MS,
        async () => (await lab.status()).healthy,
        (healthy) => healthy,
      );
      await lab.agree(ALL, 5, 2);
    });
    expectNoLossTillSignal(output);
  });

  it("counts a host as gone at once that says so", async () => {
    await lab.signal(5, "SIGUSR1");
    const seen = async () => (await lab.node(4)).cluster?.alive;
    await eventually(SOON_MS, seen, (alive) => alive === 4);
    const told = async () =>
      lab
        .log(4)
        .split("\n")
        .filter((line) => /"node":"n5-/.test(line));
    await eventually(SOON_MS, told, (lines) => lines.at(-1)?.includes('"status":"left"') === true);
    await lab.start(5);
    await lab.agree(ALL, 5, 2);
  });
});
