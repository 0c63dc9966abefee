import { appendFileSync, existsSync, readFileSync } from "node:fs";

/** A finished test as the tiers hand it to the sum at the end. */
export interface TestRecord {
  readonly outcome: "passed" | "failed" | "skipped";
  readonly name: string;
  /** Why it was skipped, or how it failed where the name doesn't tell. */
  readonly reason?: string;
}

/** Adds a line to a record file. Written as soon as a test ends, so that a tier that crashes or runs out of time still
 *  tells what it had done. */
export function appendRecord(path: string, record: TestRecord): void {
  appendFileSync(path, `${JSON.stringify(record)}\n`);
}

/** The records of a file; none when nothing wrote to it. A line cut off by a crash is left out. */
export function readRecords(path: string): TestRecord[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as TestRecord);
}
