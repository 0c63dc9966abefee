import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Measurement, ratioOf, type Sample, shareOf } from "./measurement.ts";

const RESULTS = join(import.meta.dir, "../../bench-results");
const COLUMNS = [40, 17, 17, 7, 9, 0] as const;

/** Heads of the columns that `lineOf` fills. */
export const HEAD = row("what", "ours", "theirs", "ratio", "budget", "verdict");

function row(...cells: string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(COLUMNS[index] ?? 0))
    .join(" ")
    .trimEnd();
}

function sampleText({ median, mad }: Sample, unit: string): string {
  return `${median.toFixed(2)} ±${mad.toFixed(2)} ${unit}`;
}

function limitText({ budget, unit = "ms" }: Measurement): string {
  if (budget === undefined) return "";
  if ("most" in budget) return `≤ ${budget.most} ${unit}`;
  return "ratio" in budget ? `≤ ${budget.ratio} ×` : `≥ ${budget.atLeast} ×`;
}

function verdictText(share: number | undefined): string {
  if (share === undefined) return "";
  return share <= 1 ? "kept" : `missed by ${Math.round((share - 1) * 100)} %`;
}

/** A measurement as a line for people. */
export function lineOf(measurement: Measurement): string {
  const { name, ours, theirs, unit = "ms" } = measurement;
  const theirText = theirs === undefined ? "" : sampleText(theirs, unit);
  const ratio = ratioOf(measurement)?.toFixed(2) ?? "";
  return row(name, sampleText(ours, unit), theirText, ratio, limitText(measurement), verdictText(shareOf(measurement)));
}

/** Leaves the measurements of a benchmark in bench-results/NAME.json, with the machine that they were taken on. */
export async function writeResults(name: string, measurements: readonly Measurement[]): Promise<void> {
  const machine = { cpus: navigator.hardwareConcurrency, kernel: (await Bun.file("/proc/version").text()).trim() };
  const results = measurements.map((measurement) => {
    const share = shareOf(measurement);
    return { ...measurement, ratio: ratioOf(measurement), kept: share === undefined ? undefined : share <= 1 };
  });
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify({ name, machine, results }, undefined, 2)}\n`);
}
