import { appendRecord, appendTold } from "./record.ts";

// Runs bats files and records every test: bun scripts/run-bats.ts RECORD GREP FILE...
// GREP is a regular expression over test names; empty for all.

const [record = "", grep = "", ...files] = process.argv.slice(2);
const LINE = /^(not ok|ok) \d+ (.*?)(?: # skip ?(.*))?$/;

/** The record of one line of bats' TAP output, if it tells the end of a test or of a failure. */
function note(line: string): void {
  const [, outcome, name = "", reason] = LINE.exec(line) ?? [];
  if (outcome === undefined && line.startsWith("# ")) appendTold(record, line.slice(2));
  if (outcome === undefined) return;
  if (outcome === "not ok") appendRecord(record, { outcome: "failed", name });
  else if (reason === undefined) appendRecord(record, { outcome: "passed", name });
  else appendRecord(record, { outcome: "skipped", name, reason: reason === "" ? "the test gives no reason" : reason });
}

const bats = Bun.spawn(["bats", "--formatter", "tap", ...(grep === "" ? [] : ["--filter", grep]), ...files], {
  stdio: ["ignore", "pipe", "inherit"],
});
const decoder = new TextDecoder();
let rest = "";
for await (const chunk of bats.stdout) {
  const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    console.log(line);
    note(line);
  }
}
process.exitCode = await bats.exited;
