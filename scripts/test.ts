import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bounded } from "./failure.ts";
import { readRecords, type TestRecord } from "./record.ts";
import { TIERS, type Tier } from "./tiers.ts";

// Runs the tiers of tests one after the other, shows their output as it comes, then tells again how each test failed,
// and ends with the line `N passed, N failed, N skipped` over all of them. A tier that can't run here is skipped with
// the reason; with CI=true in the environment it has failed. Exit status: 0 when nothing failed, 1 otherwise, 2 wrong
// usage.

const ROOT = join(import.meta.dir, "..");
const STRICT = process.env["CI"] === "true";
/** Between asking a tier to end and ending it: time to remove namespaces and stop containers. */
const GRACE_SECONDS = 10;
/** How a runner ends whose tests failed. */
const FAILED_TESTS = "ended with status 1";
/** Of one failure, in the list at the end. */
const DETAIL_LINES = 160;

interface Result {
  readonly tier: Tier;
  readonly records: readonly TestRecord[];
  readonly seconds: number;
}

function filesOf(tier: Tier): string[] {
  return tier.files.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync({ cwd: ROOT })]).sort();
}

/** Why the tier can't run on this machine; undefined when it can. */
function whyNot(tier: Tier): string | undefined {
  const missing = tier.programs.filter((program) => Bun.which(program) === null);
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  if (tier.needsRoot && process.getuid?.() !== 0) return "needs root";
  return undefined;
}

function commandOf(tier: Tier, files: readonly string[], record: string, grep: string): string[] {
  const script = join(import.meta.dir, `run-${tier.runner}.ts`);
  return [process.execPath, "--bun", script, record, grep, ...files];
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nobody of the group is left.
  }
}

/** Runs a tier in a process group of its own, so that all of it can be ended: when its time is over, when the user
 *  stops the run, and whatever it leaves behind. */
async function runGroup(command: readonly string[], limitSeconds: number): Promise<string | undefined> {
  const child = Bun.spawn([...command], { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], detached: true });
  let ended: string | undefined;
  const end = (why: string): void => {
    ended = why;
    signalGroup(child.pid, "SIGTERM");
    setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE_SECONDS * 1000).unref();
  };
  const timer = setTimeout(() => end(`took longer than ${limitSeconds} s`), limitSeconds * 1000);
  const interrupted = (): void => end("was interrupted");
  process.on("SIGINT", interrupted).on("SIGTERM", interrupted);
  await child.exited;
  process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
  clearTimeout(timer);
  signalGroup(child.pid, "SIGKILL");
  if (ended !== undefined) return ended;
  if (child.signalCode !== null) return `was ended by ${child.signalCode}`;
  return child.exitCode === 0 ? undefined : `ended with status ${child.exitCode}`;
}

/** A run that ends in another way than its tests did has failed, whatever its tests said: it crashed, ran out of time,
 *  could not load its files, or found no test in them. */
function closing(tier: Tier, ended: string | undefined, records: readonly TestRecord[], grep: string): TestRecord[] {
  const failed = (reason: string): TestRecord[] => [{ outcome: "failed", name: `tier ${tier.name}`, reason }];
  if (ended === undefined) return records.length === 0 && grep === "" ? failed("ran no test") : [];
  if (ended === FAILED_TESTS && records.some(({ outcome }) => outcome === "failed")) return [];
  const last = records.at(-1)?.name;
  return failed(last === undefined ? `${ended} before the first test` : `${ended} after "${last}"`);
}

async function runTier(tier: Tier, grep: string, directory: string): Promise<Result> {
  const start = Bun.nanoseconds();
  const result = (records: readonly TestRecord[]): Result => ({
    tier,
    records,
    seconds: (Bun.nanoseconds() - start) / 1e9,
  });
  const files = filesOf(tier);
  if (files.length === 0) {
    const record: TestRecord = { outcome: "failed", name: `tier ${tier.name}`, reason: "has no test files" };
    return result(tier.optional ? [] : [record]);
  }
  console.log(`\n=== ${tier.name}: ${files.length} files`);
  const reason = whyNot(tier);
  if (reason !== undefined) {
    console.log(`can't run here: ${reason}`);
    return result([{ outcome: STRICT ? "failed" : "skipped", name: `tier ${tier.name}`, reason }]);
  }
  const record = join(directory, tier.name);
  const ended = await runGroup(commandOf(tier, files, record, grep), tier.limitSeconds);
  const records = readRecords(record);
  return result([...records, ...closing(tier, ended, records, grep)]);
}

function count(records: readonly TestRecord[]): string {
  const of = (outcome: TestRecord["outcome"]): number => records.filter((record) => record.outcome === outcome).length;
  return `${of("passed")} passed, ${of("failed")} failed, ${of("skipped")} skipped`;
}

function list(title: string, records: readonly TestRecord[]): void {
  if (records.length === 0) return;
  console.log(`\n${title}:`);
  for (const { name, reason, detail } of records) {
    console.log(`  ${name}${reason === undefined ? "" : `: ${reason}`}`);
    if (detail !== undefined) console.log(bounded(detail, DETAIL_LINES).replaceAll(/^/gm, "    "));
  }
}

function summarise(results: readonly Result[]): boolean {
  const all = results.flatMap(({ records }) => records);
  list(
    "Skipped",
    all.filter(({ outcome }) => outcome === "skipped"),
  );
  list(
    "Failed",
    all.filter(({ outcome }) => outcome === "failed"),
  );
  console.log("");
  for (const { tier, records, seconds } of results) {
    console.log(`${tier.name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s  ${count(records)}`);
  }
  if (all.length === 0) console.log("no test ran");
  console.log(count(all));
  return all.length > 0 && all.every(({ outcome }) => outcome !== "failed");
}

/** The tiers named in `names` (comma-separated), all when it is empty; undefined when a name is unknown. */
function chosen(names: string): Tier[] | undefined {
  if (names === "") return [...TIERS];
  const wanted = names.split(",");
  return wanted.every((name) => TIERS.some((tier) => tier.name === name))
    ? TIERS.filter(({ name }) => wanted.includes(name))
    : undefined;
}

const { values } = parseArgs({
  options: { tier: { type: "string", default: "" }, grep: { type: "string", default: "" } },
});
const tiers = chosen(values.tier);
if (tiers === undefined) {
  console.error(`${values.tier}: no such tier; there are ${TIERS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), "dcos-net-test-"));
const results: Result[] = [];
try {
  for (const tier of tiers) results.push(await runTier(tier, values.grep, directory));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = summarise(results) ? 0 : 1;
