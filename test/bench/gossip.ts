import { parseArgs } from "node:util";
import { type Host, World } from "../sim/world.ts";

// Figures of the gossip from the simulator, with their seeds:
//   bun test/bench/gossip.ts [--seed N] [spread | idle | deaths | hour | large] ...
// Exit status: 0 when every figure is within its budget, 1 otherwise.

const NODES = 1_000;
const TASKS_OF_NODE = 10;
const TASK_BYTES = 300;
const CHANGES = 20;
const KILLS = 20;
const LARGE = 10_000;
const HOUR_S = 3_600;

let isAllKept = true;

function report(name: string, value: string, budget: string, isKept: boolean): void {
  isAllKept &&= isKept;
  console.log(`${name.padEnd(58)} ${value.padEnd(34)} ${budget.padEnd(16)} ${isKept ? "kept" : "missed"}`);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const task = (fill: number): Uint8Array => new Uint8Array(TASK_BYTES).fill(fill);

function listOf(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `median ${seconds(sorted[sorted.length >> 1] ?? 0)}, worst ${seconds(sorted.at(-1) ?? 0)}`;
}

/** A cluster that has found itself through three seeds, in which each node has published its tasks. */
function cluster(seed: number, loss: number, nodes: number, tasks: number): World {
  const world = new World({ seed, loss });
  for (let count = 0; count < nodes; count++) world.addHost();
  for (const host of world.hosts) world.start(host, world.hosts.slice(0, 3));
  for (const host of world.hosts) {
    world.write(
      host,
      Array.from({ length: tasks }, (_, index) => ({ key: `task-${index}`, value: task(0) })),
    );
  }
  const took = world.runUntil(() => isWhole(world), 120_000, 50);
  report(
    `${nodes} nodes start at once: all have all (seed ${seed})`,
    seconds(took ?? Number.NaN),
    "",
    took !== undefined,
  );
  world.run(10_000);
  return world;
}

function isWhole(world: World): boolean {
  const up = world.up();
  const first = up[0]?.node;
  return up.every(({ node }) => node?.members.present === up.length && first?.summary.isEqual(node.summary.root()));
}

function randomUp(world: World): Host {
  const up = world.up();
  const host = up[Math.floor(world.random() * up.length)];
  if (host === undefined) throw new Error("no node is up");
  return host;
}

function spread(world: World): void {
  const most: number[] = [];
  const all: number[] = [];
  for (let change = 1; change <= CHANGES; change++) {
    const owner = randomUp(world);
    const up = world.up();
    world.write(owner, [{ key: "task-0", value: task(change) }]);
    const knowing = (): number =>
      up.filter(({ node }) => node?.replica.get(owner.name, "task-0")?.[0] === change).length;
    const start = world.now;
    most.push(world.runUntil(() => knowing() >= 0.99 * up.length, 30_000, 5) ?? Number.POSITIVE_INFINITY);
    world.runUntil(() => knowing() === up.length, 30_000, 5);
    all.push(world.now - start);
    world.run(2_000);
  }
  report(`${CHANGES} changes, 1 % loss: known to 99 %`, listOf(most), "≤ 1 s", Math.max(...most) <= 1_000);
  report(`${CHANGES} changes, 1 % loss: known to all`, listOf(all), "≤ 3 s", Math.max(...all) <= 3_000);
}

function idle(world: World): void {
  const start = world.hosts.map(({ sentBytes }) => sentBytes);
  world.run(60_000);
  const rates = world.hosts.map(({ sentBytes }, index) => (sentBytes - (start[index] ?? 0)) / 60);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const worst = Math.max(...rates);
  const text = `mean ${mean.toFixed(0)} B/s, most ${worst.toFixed(0)} B/s`;
  report("idle, sent by a node, with seal, UDP and IP heads", text, "≤ 16 KB/s", worst <= 16_000);
}

function deaths(world: World): void {
  const all: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = randomUp(world);
    world.kill(victim);
    const up = world.up();
    const knowing = (): boolean => up.every(({ node }) => node?.members.get(victim.name)?.state === "dead");
    all.push(world.runUntil(knowing, 30_000, 20) ?? Number.POSITIVE_INFINITY);
    world.run(2_000);
  }
  report(`${KILLS} nodes killed one by one: known to all`, listOf(all), "≤ 5 s", Math.max(...all) <= 5_000);
}

function hour(seed: number): void {
  const world = cluster(seed, 0.05, NODES, 1);
  let falseDeaths = 0;
  let suspected = 0;
  world.listeners.push((_, event) => {
    if (event.type === "member" && event.status === "unreachable") falseDeaths++;
  });
  const start = performance.now();
  for (let minute = 0; minute < HOUR_S / 60; minute++) {
    world.run(60_000);
    suspected = Math.max(suspected, ...world.up().map(({ node }) => node?.self.incarnation ?? 0));
  }
  const took = seconds(performance.now() - start);
  const text = `${falseDeaths} (${took} of computing)`;
  report(`an hour, 5 % loss, ${NODES} nodes (seed ${seed}): false deaths`, text, "0", falseDeaths === 0);
  console.log(`  most suspicions that one node had to answer: ${suspected}; packets: ${world.packets}`);
}

/** So many nodes that know each other from the start: their snapshots name all of them. */
function large(seed: number): void {
  const start = performance.now();
  const world = new World({ seed, loss: 0.01 });
  for (let count = 0; count < LARGE; count++) world.addHost();
  for (const host of world.hosts) world.start(host, world.hosts.slice(0, 3));
  const first = world.hosts[0];
  const records = world.hosts.flatMap(({ node }) => node?.self ?? []);
  for (const { node } of world.hosts) for (const record of records) node?.members.set(record, 0);
  if (first !== undefined) world.write(first, [{ key: "task-0", value: task(1) }]);
  world.run(5_000);
  const knowing = world.up().filter(({ node }) => node?.replica.get("node-0", "task-0")?.[0] === 1).length;
  const victim = randomUp(world);
  world.kill(victim);
  const up = world.up();
  const took = world.runUntil(
    () => up.every(({ node }) => node?.members.get(victim.name)?.state === "dead"),
    30_000,
    100,
  );
  world.start(victim, world.hosts.slice(0, 3));
  const joined = world.runUntil(() => isWhole(world), 60_000, 250);
  world.run(30_000);
  const memory = `${(process.memoryUsage.rss() / 1e9).toFixed(1)} GB`;
  const name = `${LARGE} nodes (seed ${seed})`;
  report(`${name}: change known after 5 s`, `${knowing} nodes`, `${LARGE}`, knowing === LARGE);
  report(`${name}: death known to all`, seconds(took ?? Number.NaN), "≤ 5 s", (took ?? 9e9) <= 5_000);
  report(`${name}: a node joins, all equal`, seconds(joined ?? Number.NaN), "", joined !== undefined);
  console.log(
    `  ${seconds(world.now)} simulated in ${seconds(performance.now() - start)}, ${memory}, ${world.packets} packets`,
  );
}

const { values, positionals } = parseArgs({
  options: { seed: { type: "string", default: "1" } },
  allowPositionals: true,
});
const seed = Number(values.seed);
const wants = (name: string): boolean => positionals.length === 0 || positionals.includes(name);
if (["spread", "idle", "deaths"].some(wants)) {
  const world = cluster(seed, 0.01, NODES, TASKS_OF_NODE);
  if (wants("spread")) spread(world);
  if (wants("idle")) idle(world);
  if (wants("deaths")) deaths(world);
}
if (wants("hour")) hour(seed);
if (wants("large")) large(seed);
process.exitCode = isAllKept ? 0 : 1;
