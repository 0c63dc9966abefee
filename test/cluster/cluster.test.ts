import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { ClusterLab } from "../support/cluster-lab.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";
import { expectNoLoss, expectNoLossTillSignal } from "../support/ping.ts";

const ALL = [1, 2, 3] as const;

describeLab("a cluster of three hosts with one master", function () {
  this.timeout(TEST_LIMIT_MS);
  let lab: ClusterLab;

  before(async () => {
    await sweepLabs();
    lab = new ClusterLab();
    await lab.up("--nodes", "3");
    for (const number of ALL) {
      await lab.labs.ok("lab", "run", "--node", String(number), "--name", `c${number}`, "--", "sleep", "1h");
    }
  });
  printsLogsOfFailures(() => lab.labs.logs());
  after(() => lab.labs.clear());

  it("comes from nothing: hosts find each other, get subnets from the leader, and containers talk", async () => {
    await lab.agree(ALL, 3);
    const address = await lab.addressOf("c1");
    for (const from of ["c2", "c3"]) {
      expectNoLoss(await lab.inContainer(from, "ping", "-c", "3", "-i", "0.1", "-W", "2", address));
    }
    expect((await lab.status()).nodes.map(({ cluster }) => cluster?.leader?.leads)).to.deep.equal([
      true,
      undefined,
      undefined,
    ]);
  });

  it("loses no packet while its daemons are killed again and again, the leader's too", async () => {
    const output = await lab.pinging("c2", "c3", async () => {
      for (const number of [2, 3, 1, 3, 2, 1]) {
        await lab.signal(number, "SIGKILL");
        await lab.start(number);
      }
      for (const number of [1, 2, 3]) await lab.signal(number, "SIGKILL");
      for (const number of [3, 2, 1]) await lab.start(number);
      await lab.agree(ALL, 3);
    });
    expectNoLossTillSignal(output);
  });

  it("loses no packet when its daemons are restarted without what they knew", async () => {
    const output = await lab.pinging("c2", "c3", async () => {
      for (const number of [2, 3]) {
        await lab.signal(number, "SIGTERM");
        lab.forgetView(number);
        await lab.start(number);
      }
      await lab.agree(ALL, 3);
    });
    expectNoLossTillSignal(output);
  });

  it("loses no packet when clocks jump a day ahead and two back, the leader's too", async () => {
    const hosts = [1, 2];
    for (const host of hosts) {
      await lab.signal(host, "SIGKILL");
      await lab.startWithClock(host);
    }
    await lab.agree(ALL, 3);
    const output = await lab.pinging("c2", "c3", async () => {
      for (const offset of ["+1d", "-1d"]) {
        for (const host of hosts) lab.moveClock(host, offset);
        // What the daemon writes next shows that it goes by the other clock.
        for (const host of hosts) await lab.signal(host, "SIGHUP");
        const sign = offset.startsWith("+") ? 1 : -1;
        for (const host of hosts) {
          const ahead = async () => sign * (lab.lastLogged(host) - Date.now());
          await eventually(SOON_MS, ahead, (milliseconds) => milliseconds > 80_000_000);
        }
        // Time for what goes by the wrong clock to do harm.
        await Bun.sleep(2000);
        await lab.agree(ALL, 3);
      }
    });
    expectNoLossTillSignal(output);
    for (const host of hosts) {
      await lab.signal(host, "SIGKILL");
      await lab.start(host);
    }
    await lab.agree(ALL, 3);
  });

  it("keeps the rest together while a host is cut off, and is whole again by itself", async () => {
    const output = await lab.pinging("c1", "c2", async () => {
      await lab.plug(3, false);
      await lab.agree([1, 2], 2, 1);
      const cutOff = async () => (await lab.node(3)).cluster?.unreachable;
      await eventually(SOON_MS, cutOff, (unreachable) => unreachable === 2);
      expect((await lab.node(3)).peers, "ways of the overlay that stay").to.equal(2);
      await lab.plug(3, true);
      await lab.agree(ALL, 3);
    });
    expectNoLossTillSignal(output);
    expectNoLoss(await lab.inContainer("c3", "ping", "-c", "3", "-i", "0.1", "-W", "2", await lab.addressOf("c1")));
  });

  for (const [what, changes] of [
    ["secret", (path: string) => ({ cluster_secret_file: path })],
    ["cluster identity", () => ({ cluster_identity: "another" })],
  ] as const) {
    it(`refuses a host with another ${what}, and says so once for its address`, async () => {
      const output = await lab.pinging("c1", "c3", async () => {
        const secret = join(lab.labs.root, "lab", "other-secret");
        writeFileSync(secret, "another secret of sixteen bytes or more\n", { mode: 0o600 });
        const before = lab.config(3);
        // A daemon that has told of an address doesn't tell again.
        await lab.signal(1, "SIGTERM");
        await lab.start(1);
        await lab.signal(3, "SIGTERM");
        lab.configure(3, { ...before, ...changes(secret) });
        const known = lab.log(1).length;
        await lab.start(3);
        await lab.agree([1, 2], 2, 1);
        const warnings = () =>
          lab
            .log(1)
            .slice(known)
            .split("\n")
            .filter((line) => line.includes("stranger"));
        await eventually(
          SOON_MS,
          async () => warnings(),
          (lines) => lines.length > 0,
        );
        expect(warnings()[0]).to.match(/"level":"warn".*"address":"10\.77\.0\.3:\d+"/);
        expect(warnings()).to.have.length(1);
        await lab.signal(3, "SIGTERM");
        lab.configure(3, before);
        await lab.start(3);
        await lab.agree(ALL, 3);
      });
      expectNoLossTillSignal(output);
    });
  }

  it("goes on and comes back when all daemons but the master's are restarted while the master is away", async () => {
    const output = await lab.pinging("c2", "c3", async () => {
      for (const number of ALL) await lab.signal(number, "SIGKILL");
      for (const number of [2, 3]) await lab.start(number);
      const members = async () => (await lab.node(2)).cluster?.alive;
      await eventually(SOON_MS, members, (alive) => alive === 2);
      await lab.start(1);
      await lab.agree(ALL, 3);
    });
    expectNoLossTillSignal(output);
  });

  it("takes a new host at the address of one that is gone, and gives it other subnets", async () => {
    await lab.labs.ok("lab", "stop", "--name", "c3");
    const before = await lab.subnetsOf(3);
    await lab.signal(3, "SIGKILL");
    lab.wipe(3);
    await lab.start(3);
    await lab.agree(ALL, 3, 1);
    expect(await lab.subnetsOf(3)).to.not.deep.equal(before);
    await lab.labs.ok("lab", "run", "--node", "3", "--name", "c3", "--", "sleep", "1h");
    expectNoLoss(await lab.inContainer("c3", "ping", "-c", "3", "-i", "0.1", "-W", "2", await lab.addressOf("c1")));
  });
});
