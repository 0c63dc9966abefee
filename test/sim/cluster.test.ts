import { expect } from "chai";
import { DEFAULT_SETTINGS } from "../../gossip/settings.ts";
import { chaos, HEAL_LIMIT_MS } from "./chaos.ts";
import { Invariants } from "./invariants.ts";
import { type Host, World, type WorldOptions } from "./world.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function cluster(nodes: number, options: WorldOptions): { world: World; invariants: Invariants } {
  const world = new World(options);
  const invariants = new Invariants(world);
  for (let count = 0; count < nodes; count++) world.addHost();
  for (const host of world.hosts) world.start(host, world.hosts.slice(0, 3));
  for (const host of world.hosts) world.write(host, [{ key: "task", value: bytes(host.name) }]);
  world.runUntil(() => invariants.areEqual(), 30_000);
  return { world, invariants };
}

function host(world: World, index: number): Host {
  const found = world.hosts[index];
  if (found === undefined) throw new Error(`no host ${index}`);
  return found;
}

/** Runs until all agree, and looks whether they have the right to. */
function agree({ world, invariants }: { world: World; invariants: Invariants }, limitMs: number): void {
  const took = world.runUntil(() => invariants.areEqual(), limitMs);
  expect(took, `all agree\n${world.story.text()}`).to.be.a("number");
  invariants.checkViews();
  invariants.checkBounds();
  invariants.assertKept();
}

describe("a simulated cluster", function () {
  this.timeout(300_000);

  it("keeps every invariant through random mishaps, and agrees within 10 s of the last", () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { invariants, healedMs } = chaos({ seed, nodes: 24, seconds: 40, loss: 0.03, doubled: 0.02 });
      invariants.assertKept();
      expect(healedMs, `seed ${seed}`).to.be.at.most(HEAL_LIMIT_MS);
    }
  });

  it("does the same with every packet encoded and decoded", () => {
    for (let seed = 100; seed < 105; seed++) {
      const { invariants, healedMs } = chaos({ seed, nodes: 16, seconds: 30, loss: 0.03, codec: true });
      invariants.assertKept();
      expect(healedMs, `seed ${seed}`).to.be.at.most(HEAL_LIMIT_MS);
    }
  });

  it("runs the same way from the same seed, and another way from another", () => {
    const trace = (seed: number): number[] => {
      const { world } = chaos({ seed, nodes: 12, seconds: 20, loss: 0.05 });
      return [world.traceHash, world.packets];
    };
    expect(trace(7)).to.deep.equal(trace(7));
    expect(trace(7)).not.to.deep.equal(trace(8));
  });

  it("runs the same way with and without encoding", () => {
    const trace = (codec: boolean): number =>
      chaos({ seed: 9, nodes: 12, seconds: 20, loss: 0.05, codec }).world.traceHash;
    expect(trace(true)).to.equal(trace(false));
  });

  it("has no false death in ten minutes of 10 % loss", () => {
    const run = cluster(60, { seed: 3, loss: 0.1 });
    run.world.run(600_000);
    run.invariants.assertKept();
    agree(run, 10_000);
  });

  it("heals a split although every seed is down", () => {
    const run = cluster(30, { seed: 4, loss: 0.01 });
    for (const seed of run.world.hosts.slice(0, 3)) run.world.kill(seed);
    run.world.run(10_000);
    run.world.split(({ index }) => index % 2);
    run.world.run(60_000);
    expect(host(run.world, 10).node?.members.present).to.equal(13);
    run.world.heal();
    agree(run, 10_000);
  });

  it("takes a node that left out at once, without suspicion", () => {
    const run = cluster(20, { seed: 5 });
    run.world.leave(host(run.world, 7));
    const gone = (): boolean => run.world.up().every(({ node }) => node?.members.get("node-7")?.state === "left");
    expect(run.world.runUntil(gone, 5_000)).to.be.below(1_000);
  });

  it("lets a node return without snapshot and with its clock set back, and its new facts win", () => {
    const run = cluster(12, { seed: 6 });
    const returning = host(run.world, 5);
    run.world.kill(returning);
    run.world.run(10_000);
    run.world.jump(returning, -86_400_000);
    run.world.start(returning, run.world.hosts.slice(0, 3));
    run.world.write(returning, [{ key: "task", value: bytes("anew") }]);
    agree(run, 10_000);
    expect(host(run.world, 0).node?.replica.get("node-5", "task")).to.deep.equal(bytes("anew"));
  });

  it("never shows others an owner without facts while it restarts with its snapshot", () => {
    const run = cluster(12, { seed: 7 });
    const returning = host(run.world, 5);
    run.world.save(returning);
    run.world.kill(returning);
    run.world.run(500);
    run.world.start(returning, run.world.hosts.slice(0, 3));
    const removed: string[] = [];
    run.world.listeners.push((reader, event) => {
      if (event.type === "facts" && event.owner === "node-5") removed.push(reader.name);
    });
    agree(run, 10_000);
    expect(removed.filter((name) => name !== "node-5")).to.deep.equal([]);
  });

  it("serves its last view at once after a restart, alone in the world", () => {
    const run = cluster(8, { seed: 8 });
    const returning = host(run.world, 4);
    run.world.save(returning);
    for (const each of run.world.up()) run.world.kill(each);
    run.world.start(returning, run.world.hosts.slice(0, 3));
    run.world.run(120_000);
    expect(returning.node?.replica.get("node-1", "task")).to.deep.equal(bytes("node-1"));
  });

  it("forgets a dead node after the stated time, with its facts, and never a living one", () => {
    const settings = { ...DEFAULT_SETTINGS, forgetAfterMs: 120_000 };
    const run = cluster(10, { seed: 9, settings });
    run.world.kill(host(run.world, 6));
    run.world.run(60_000);
    expect(host(run.world, 1).node?.replica.get("node-6", "task")).to.deep.equal(bytes("node-6"));
    run.world.run(120_000);
    for (const { node } of run.world.up()) {
      expect(node?.members.get("node-6")).to.equal(undefined);
      expect(node?.replica.get("node-6", "task")).to.equal(undefined);
    }
    agree(run, 1_000);
  });

  it("forgets on command, everywhere; refuses for a living node; and lets the forgotten return", () => {
    const run = cluster(10, { seed: 10 });
    expect(() => run.world.forget(host(run.world, 1), "node-2")).to.throw("it is alive");
    expect(() => run.world.forget(host(run.world, 1), "nobody")).to.throw("no node of that name");
    run.world.kill(host(run.world, 6));
    run.world.run(10_000);
    run.world.forget(host(run.world, 1), "node-6");
    run.world.run(5_000);
    for (const { node } of run.world.up()) expect(node?.replica.get("node-6", "task")).to.equal(undefined);
    run.world.start(host(run.world, 6), run.world.hosts.slice(0, 3));
    run.world.write(host(run.world, 6), [{ key: "task", value: bytes("back") }]);
    agree(run, 10_000);
  });

  it("removes facts for good, also on a node that was away longer than removals are kept", () => {
    const settings = { ...DEFAULT_SETTINGS, tombstoneLifeMs: 30_000 };
    const run = cluster(8, { seed: 11, settings });
    const owner = host(run.world, 2);
    run.world.write(
      owner,
      Array.from({ length: 20 }, (_, index) => ({ key: `key-${index}`, value: bytes("x") })),
    );
    run.world.run(3_000);
    run.world.split(({ index }) => (index === 7 ? 1 : 0));
    run.world.write(owner, [{ key: "key-3", value: undefined }]);
    run.world.run(120_000);
    run.world.write(owner, [{ key: "key-4", value: bytes("y") }]);
    run.world.heal();
    agree(run, 15_000);
    expect(host(run.world, 7).node?.replica.get("node-2", "key-3")).to.equal(undefined);
  });

  it("carries facts larger than a datagram, and thousands of one owner", () => {
    const run = cluster(12, { seed: 12, loss: 0.02, codec: true });
    const owner = host(run.world, 3);
    run.world.write(owner, [{ key: "large", value: new Uint8Array(50_000).fill(7) }]);
    run.world.write(
      owner,
      Array.from({ length: 5_000 }, (_, index) => ({ key: `task-${index}`, value: bytes(`value ${index}`) })),
    );
    agree(run, 20_000);
  });

  it("doesn't blame others when a node stands still itself", () => {
    const run = cluster(20, { seed: 13 });
    const verdicts: string[] = [];
    run.world.listeners.push((reader, event) => {
      if (reader.index === 9 && event.type === "member") verdicts.push(event.status);
    });
    run.world.pause(host(run.world, 9), 15_000);
    run.world.run(25_000);
    expect(verdicts).not.to.include("unreachable");
    agree(run, 10_000);
  });
});
