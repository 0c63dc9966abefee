import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { failureText } from "../../../scripts/failure.ts";
import { readRecords, type TestRecord } from "../../../scripts/record.ts";

const ROOT = join(import.meta.dir, "../../..");
const LOGS = join(ROOT, "test/support/failure-logs.ts");
const CHAI = join(ROOT, "node_modules/chai/index.js");

/** A suite as those of the tree, with one test that fails, and a log of a hundred lines. */
const SUITE = `
import { expect } from ${JSON.stringify(CHAI)};
import { printsLogsOfFailures } from ${JSON.stringify(LOGS)};

describe("a suite", () => {
  printsLogsOfFailures(() => ({ n1: Array.from({ length: 100 }, (_, index) => "line " + index + ".").join("\\n") }));
  it("passes", () => {});
  it("fails", () => expect({ state: "running", port: 80 }).to.deep.equal({ state: "ended", port: 80 }));
});

describe("a suite that can't begin", () => {
  printsLogsOfFailures(() => ({ n2: "no room" }));
  before(() => { throw new Error("nothing came up"); });
  it("is not reached", () => {});
});
`;

describe("the record of a test run", function () {
  this.timeout(60_000);
  let directory = "";
  let records: TestRecord[] = [];

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-failures-"));
    const [file, record] = [join(directory, "some.test.ts"), join(directory, "record")];
    writeFileSync(file, SUITE);
    const runner = [process.execPath, "--bun", join(ROOT, "scripts/run-mocha.ts"), record, "", file];
    const child = Bun.spawn(runner, { cwd: ROOT, stdio: ["ignore", "ignore", "ignore"] });
    expect(await child.exited).to.equal(1);
    records = readRecords(record);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  const detailOf = (name: string) => records.find((record) => record.name.includes(name))?.detail;

  it("has what a failed test expected and what came, and the ends of its programs' logs", () => {
    expect(records.map(({ outcome }) => outcome)).to.deep.equal(["passed", "failed", "failed"]);
    expect(detailOf("a suite fails"))
      .to.match(/^-.*running/m)
      .and.to.match(/^\+.*ended/m)
      .and.to.include("--- end of the log of n1\n")
      .and.to.match(/\nline 99\.$/)
      .and.not.to.include("line 50.");
  });

  it("has the same of what comes before the tests of a suite", () => {
    expect(detailOf("a suite that can't begin"))
      .to.include("nothing came up")
      .and.to.match(/--- end of the log of n2\nno room$/);
  });

  it("is bounded, however much an error says", () => {
    const long = Array.from({ length: 10_000 }, () => "x".repeat(10_000)).join("\n");
    expect(failureText(new Error(long)).length).to.be.below(20_000);
    expect(failureText({ message: "m", actual: long, expected: `${long}!` }).length).to.be.below(40_000);
    expect(failureText("a word")).to.equal("a word");
  });
});
