import { appendFileSync, existsSync, readFileSync } from "node:fs";

/** A finished test as the tiers hand it to the sum at the end. */
export interface TestRecord {
  readonly outcome: "passed" | "failed" | "skipped";
  readonly name: string;
  /** Why it was skipped, or how it failed where the name doesn't tell. */
  readonly reason?: string;
  /** Of a failed test: the error with what was expected and what came, then what was told of it, such as logs. */
  readonly detail?: string;
}

/** A line of a record file that belongs to the test before it. */
interface Told {
  readonly told: string;
}

/** Adds a line to a record file. Written as soon as a test ends, so that a tier that crashes or runs out of time still
 *  tells what it had done. */
export function appendRecord(path: string, record: TestRecord): void {
  appendFileSync(path, `${JSON.stringify(record)}\n`);
}

/** Adds to the test that ended last what is known of its failure only afterwards, such as the logs of its programs. */
export function appendTold(path: string, told: string): void {
  appendFileSync(path, `${JSON.stringify({ told } satisfies Told)}\n`);
}

/** The records of a file; none when nothing wrote to it. A line cut off by a crash is left out. */
export function readRecords(path: string): TestRecord[] {
  if (!existsSync(path)) return [];
  const records: TestRecord[] = [];
  for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
    const entry = JSON.parse(line) as TestRecord | Told;
    const last = "told" in entry ? records.pop() : undefined;
    if (!("told" in entry)) records.push(entry);
    else if (last !== undefined) records.push({ ...last, detail: joined(last.detail, entry.told) });
  }
  return records;
}

function joined(detail: string | undefined, told: string): string {
  return detail === undefined ? told : `${detail}\n${told}`;
}
