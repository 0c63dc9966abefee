import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BURST, CHAIN, PLAIN } from "../test/bench/cni.ts";
import { DNS_LOCAL } from "../test/bench/dns.ts";
import { LEASES } from "../test/bench/leases.ts";
import { type Benchmark, isKept, type Measurement, ratioOf, type Sample } from "../test/bench/measurement.ts";
import { PEERS_PROGRAMMED } from "../test/bench/peers.ts";
import { STARTUP } from "../test/bench/startup.ts";

// Measures ours beside the reference and prints a line for each budget: bun scripts/bench.ts [NAME...] [--runs N] Each
// benchmark also leaves bench-results/NAME.json. Exit status: 0 when all were measured, whether or not a budget was
// kept; 1 when one could not be; 2 wrong usage.

const BENCHMARKS: readonly Benchmark[] = [STARTUP, PLAIN, CHAIN, BURST, LEASES, PEERS_PROGRAMMED, DNS_LOCAL];
const RESULTS = join(import.meta.dir, "../bench-results");

const COLUMNS = [38, 17, 17, 7, 9, 0] as const;

function row(...cells: string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(COLUMNS[index] ?? 0))
    .join(" ")
    .trimEnd();
}

function milliseconds({ median, mad }: Sample): string {
  return `${median.toFixed(2)} ±${mad.toFixed(2)} ms`;
}

function lineOf(measurement: Measurement): string {
  const { name, ours, theirs, budget } = measurement;
  const ratio = ratioOf(measurement);
  const limit = "ratio" in budget ? `≤ ${budget.ratio} ×` : `≤ ${budget.milliseconds} ms`;
  const over = "ratio" in budget ? ratio / budget.ratio : ours.median / budget.milliseconds;
  const verdict = isKept(measurement) ? "kept" : `missed by ${Math.round((over - 1) * 100)} %`;
  return row(name, milliseconds(ours), milliseconds(theirs), ratio.toFixed(2), limit, verdict);
}

/** True when the benchmark was measured. */
async function measure({ name, runs, whyNot, run }: Benchmark, wanted: number | undefined): Promise<boolean> {
  const reason = whyNot();
  if (reason !== undefined) {
    console.log(`${name} can't be measured here: ${reason}`);
    return false;
  }
  const measurements = await run(wanted ?? runs);
  const machine = { cpus: navigator.hardwareConcurrency, kernel: (await Bun.file("/proc/version").text()).trim() };
  const results = measurements.map((measurement) => ({
    ...measurement,
    ratio: ratioOf(measurement),
    kept: isKept(measurement),
  }));
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify({ name, machine, results }, undefined, 2)}\n`);
  for (const measurement of measurements) console.log(lineOf(measurement));
  return true;
}

const { values, positionals } = parseArgs({ options: { runs: { type: "string" } }, allowPositionals: true });
const runs = values.runs === undefined ? undefined : Number(values.runs);
const chosen = positionals.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ name }) => positionals.includes(name));
const usable = runs === undefined || (Number.isInteger(runs) && runs > 0);
if (chosen.length < positionals.length || !usable) {
  console.error(`usage: bench [--runs N] [NAME...]; the names are ${BENCHMARKS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
mkdirSync(RESULTS, { recursive: true });
console.log(row("what", "ours", "theirs", "ratio", "budget", "verdict"));
for (const benchmark of chosen) {
  try {
    if (!(await measure(benchmark, runs))) process.exitCode = 1;
  } catch (error) {
    // One that breaks must not keep the others from being measured.
    console.error(`${benchmark.name} failed:`, error);
    process.exitCode = 1;
  }
}
