import fc from "fast-check";
import Mocha from "mocha";
import { hearLogs } from "../test/support/failure-logs.ts";
import { failureText } from "./failure.ts";
import { appendRecord, appendTold, type TestRecord } from "./record.ts";

// Runs mocha files and records every test: bun scripts/run-mocha.ts RECORD GREP FILE...
// GREP is a regular expression over full test names; empty for all.

const [record = "", grep = "", ...files] = process.argv.slice(2);
const { EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_TEST_PENDING } = Mocha.Runner.constants;
const REASON = /\s*\(skipped: (.*?)\)(?= |$)/;

/** A skipped test says why in its title or in its suite's: `… (skipped: needs root)`. */
function skipped(title: string): TestRecord {
  const reason = REASON.exec(title)?.[1] ?? "the test gives no reason";
  return { outcome: "skipped", name: title.replace(REASON, ""), reason };
}

/** Mocha's own report for people, and the record for the sum. */
class RecordingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    runner.on(EVENT_TEST_PASS, (test) => appendRecord(record, { outcome: "passed", name: test.fullTitle() }));
    runner.on(EVENT_TEST_FAIL, (test, error) => {
      appendRecord(record, { outcome: "failed", name: test.fullTitle(), detail: failureText(error) });
    });
    runner.on(EVENT_TEST_PENDING, (test) => appendRecord(record, skipped(test.fullTitle())));
  }
}

hearLogs((text) => appendTold(record, text));

/** For tests that say nothing of it: long enough that a busy machine makes no failures. */
const HUNG_MS = 60_000;

/** What lands is judged by the same cases each time; new ones are tried wherever else the tests run. */
const CI_SEED = 20_261;
if (process.env["CI"] === "true") fc.configureGlobal({ seed: CI_SEED });

const mocha = new Mocha({
  timeout: HUNG_MS,
  reporter: RecordingReporter,
  forbidOnly: true,
  color: process.stdout.isTTY === true,
  ...(grep === "" ? {} : { grep }),
});
for (const file of files) mocha.addFile(file);
await mocha.loadFilesAsync();
mocha.run((failures) => process.exit(failures === 0 ? 0 : 1));
