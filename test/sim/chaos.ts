import type { Packet } from "../../gossip/message.ts";
import { Invariants } from "./invariants.ts";
import { type Host, World, type WorldOptions } from "./world.ts";

export interface ChaosOptions extends WorldOptions {
  readonly nodes: number;
  /** Time in which things go wrong, seconds; a quiet time follows. */
  readonly seconds: number;
}

export interface ChaosResult {
  readonly world: World;
  readonly invariants: Invariants;
  /** Time from the last mishap until all nodes held the same, milliseconds; undefined when they never did. */
  readonly healedMs: number | undefined;
}

/** All must agree again within this time after the last mishap, milliseconds. */
export const HEAL_LIMIT_MS = 10_000;
const SEEDS = 3;
const LONGEST_PAUSE_MS = 8_000;
const CLOCK_JUMP_MS = 7_200_000;

/** Runs a cluster through random mishaps: crashes, restarts with and without snapshot, goodbyes, standstills, splits,
 *  clock jumps, replayed packets; with random writes all the time. Then all is repaired, and the nodes must agree. */
export function chaos(options: ChaosOptions): ChaosResult {
  const world = new World(options);
  const invariants = new Invariants(world);
  for (let count = 0; count < options.nodes; count++) world.addHost();
  for (const host of world.hosts) world.start(host, seedsOf(world));
  world.run(5_000);
  const mishaps = mishapsIn(world);
  for (let second = 0; second < options.seconds; second++) {
    for (let count = 0; count < 3; count++) writeSome(world, pick(world, world.up()));
    const mishap = mishaps[Math.floor(world.random() * mishaps.length)];
    mishap?.();
    world.run(1_000);
    invariants.checkBounds();
  }
  world.heal();
  world.run(world.disturbedAt - world.now);
  const healedMs = world.runUntil(() => invariants.areEqual(), HEAL_LIMIT_MS + 20_000);
  world.run(5_000);
  invariants.checkBounds();
  invariants.checkViews();
  return { world, invariants, healedMs };
}

function seedsOf(world: World): Host[] {
  return world.hosts.slice(0, SEEDS);
}

function pick(world: World, hosts: readonly Host[]): Host | undefined {
  return hosts[Math.floor(world.random() * hosts.length)];
}

/** A new value, a changed one or a removal. */
function writeSome(world: World, host: Host | undefined): void {
  if (host === undefined || world.now < host.pausedUntil) return;
  const key = `task-${Math.floor(world.random() * 12)}`;
  const length = world.random() < 0.05 ? 5_000 : Math.floor(world.random() * 300);
  const value = world.random() < 0.3 ? undefined : new Uint8Array(length).fill(Math.floor(world.random() * 256));
  world.write(host, [{ key, value }]);
}

function mishapsIn(world: World): (() => void)[] {
  const awake = (): Host | undefined =>
    pick(
      world,
      world.up().filter(({ pausedUntil }) => pausedUntil <= world.now),
    );
  const mostAreUp = (): boolean => world.up().length > world.hosts.length / 2;
  const recorded = record(world);
  const restart = (): void => {
    const host = pick(
      world,
      world.hosts.filter(({ node }) => node === undefined),
    );
    if (host === undefined) return;
    if (world.random() < 0.3) host.saved = undefined;
    world.start(host, seedsOf(world));
  };
  const end = (how: (host: Host) => void) => (): void => {
    const host = awake();
    if (host !== undefined && mostAreUp()) how(host);
  };
  const each = (how: (host: Host) => void) => (): void => {
    const host = awake();
    if (host !== undefined) how(host);
  };
  return [
    () => {},
    restart,
    restart,
    restart,
    end((host) => world.kill(host)),
    end((host) => world.leave(host)),
    each((host) => world.save(host)),
    each((host) => world.pause(host, Math.floor(world.random() * LONGEST_PAUSE_MS))),
    each((host) => world.jump(host, Math.floor((world.random() - 0.5) * CLOCK_JUMP_MS))),
    () => world.split(() => (world.random() < 0.5 ? 0 : 1)),
    () => world.heal(),
    () => replay(world, recorded),
  ];
}

/** A few packets from the past, to be sent again. */
function record(world: World): { readonly from: string; readonly packet: Packet }[] {
  const recorded: { from: string; packet: Packet }[] = [];
  world.taps.push((from, packet) => {
    if (world.random() < 0.01 && recorded.length < 500) recorded.push({ from, packet });
  });
  return recorded;
}

/** Nobody has a reason to send old packets but an attacker, and only to a node that runs may they be of any
 *  interest. */
function replay(world: World, recorded: readonly { readonly from: string; readonly packet: Packet }[]): void {
  world.story.tell("attacker", "replays old packets");
  const targets = world.up().filter(({ changedAt }) => world.now - changedAt > 5_000);
  for (const { from, packet } of recorded) {
    const target = pick(world, targets);
    if (target !== undefined) world.inject(target, from, packet);
  }
}
