import { join } from "node:path";
import { parseArgs } from "node:util";
import { AGENT } from "../test/bench/agent.ts";
import { BURST, CHAIN, PLAIN } from "../test/bench/cni.ts";
import { DNS_LOCAL } from "../test/bench/dns.ts";
import { DNS_FORWARD } from "../test/bench/dns-forward.ts";
import { DNS_UPDATE } from "../test/bench/dns-update.ts";
import { DOCKER, DOCKER_NEWER } from "../test/bench/docker.ts";
import { LEASES } from "../test/bench/leases.ts";
import type { Benchmark } from "../test/bench/measurement.ts";
import { PEERS_PROGRAMMED } from "../test/bench/peers.ts";
import { HEAD, lineOf, writeResults } from "../test/bench/report.ts";
import { STARTUP } from "../test/bench/startup.ts";
import { VIP_EVENT } from "../test/bench/vip-event.ts";
import { VIP_IPVS } from "../test/bench/vip-ipvs.ts";
import { VIP_LARGE } from "../test/bench/vip-large.ts";
import { VIP_NFT } from "../test/bench/vip-nft.ts";
import { VIP_SOCKET } from "../test/bench/vip-socket.ts";

// Measures ours beside the reference and prints a line for each budget: bun scripts/bench.ts [NAME...] [--runs N] Each
// benchmark also leaves bench-results/NAME.json. Those that are programs of their own take minutes, print their own
// lines and run only when they are named. Exit status: 0 when all were measured, whether or not a budget was kept; 1
// when one could not be, or such a program failed; 2 wrong usage.

const BENCHMARKS: readonly Benchmark[] = [
  STARTUP,
  PLAIN,
  CHAIN,
  BURST,
  LEASES,
  PEERS_PROGRAMMED,
  AGENT,
  DNS_LOCAL,
  VIP_EVENT,
  VIP_IPVS,
  VIP_NFT,
  VIP_LARGE,
  DNS_FORWARD,
  DNS_UPDATE,
  DOCKER,
  DOCKER_NEWER,
  VIP_SOCKET,
];
/** By name: the command. */
const PROGRAMS: ReadonlyMap<string, readonly string[]> = new Map([
  ["dns-peers", ["test/bench/dns-peers.ts"]],
  ["gossip", ["test/bench/gossip.ts", "spread", "idle", "deaths"]],
  ["gossip-hour", ["test/bench/gossip.ts", "hour"]],
  ["gossip-large", ["test/bench/gossip.ts", "large"]],
  ["gossip-serf", ["test/bench/gossip-serf.ts"]],
]);

/** True when the benchmark was measured. */
async function measure({ name, runs, whyNot, run }: Benchmark, wanted: number | undefined): Promise<boolean> {
  const reason = whyNot();
  if (reason !== undefined) {
    console.log(`${name} can't be measured here: ${reason}`);
    return false;
  }
  const measurements = await run(wanted ?? runs);
  await writeResults(name, measurements);
  for (const measurement of measurements) console.log(lineOf(measurement));
  return true;
}

/** True when the program says that all is well. */
async function runProgram(command: readonly string[]): Promise<boolean> {
  const root = join(import.meta.dir, "..");
  const child = Bun.spawn([process.execPath, ...command], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  return (await child.exited) === 0;
}

const { values, positionals } = parseArgs({ options: { runs: { type: "string" } }, allowPositionals: true });
const runs = values.runs === undefined ? undefined : Number(values.runs);
const chosen = positionals.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ name }) => positionals.includes(name));
const programs = [...PROGRAMS].filter(([name]) => positionals.includes(name));
const usable = runs === undefined || (Number.isInteger(runs) && runs > 0);
if (chosen.length + programs.length < positionals.length || !usable) {
  const names = [...BENCHMARKS.map(({ name }) => name), ...PROGRAMS.keys()];
  console.error(`usage: bench [--runs N] [NAME...]; the names are ${names.join(", ")}`);
  process.exit(2);
}
if (chosen.length > 0) console.log(HEAD);
for (const benchmark of chosen) {
  try {
    if (!(await measure(benchmark, runs))) process.exitCode = 1;
  } catch (error) {
    // One that breaks must not keep the others from being measured.
    console.error(`${benchmark.name} failed:`, error);
    process.exitCode = 1;
  }
}
for (const [, command] of programs) if (!(await runProgram(command))) process.exitCode = 1;
