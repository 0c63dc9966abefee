import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { fileSource } from "../../../../facts/sources/file.ts";
import { watchDirectory } from "../../../../facts/sources/file-watch.ts";
import type { Source } from "../../../../facts/sources/source.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { eventually, RecordingSink } from "../../../support/facts-sink.ts";

const AGENT = { id: "node-a", addresses: ["10.0.0.1"] };
/** Far longer than any test: what is found is found because the kernel told. */
const NEVER = 3_600_000;

describe("the file source", () => {
  let directory = "";
  let source: Source | undefined;
  let sink = new RecordingSink();

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "task-files-"));
    sink = new RecordingSink();
  });

  afterEach(async () => {
    await source?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  function start(lookEveryMs = NEVER): void {
    const clock = systemClock;
    const options = { directory, agent: AGENT, files: linuxFiles, watch: watchDirectory, clock, lookEveryMs };
    source = fileSource({ ...options, random: Math.random });
    source.start(sink);
  }

  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const define = (name: string, ...tasks: readonly string[]): void =>
    write(name, `tasks:\n${tasks.map((task) => `  - name: ${task}\n`).join("")}`);
  const names = (...expected: readonly string[]): Promise<void> =>
    eventually(() => expect(sink.names()).to.deep.equal(expected));

  it("tells at first of all tasks in YAML and JSON files", async () => {
    define("a.yaml", "one");
    define("b.yml", "two");
    write("c.json", JSON.stringify({ tasks: [{ name: "three" }] }));
    start();
    await names("one", "three", "two");
    expect(sink.calls[0]).to.equal("replace");
    expect(sink.problems).to.deep.equal([]);
  });

  it("tells of an empty directory too", async () => {
    start();
    await eventually(() => expect(sink.calls).to.deep.equal(["replace"]));
  });

  it("sees files come, change, and go", async () => {
    start();
    await eventually(() => expect(sink.calls).to.have.length(1));
    define("a.yaml", "one");
    await names("one");
    define("a.yaml", "one", "two");
    await names("one", "two");
    define("b.yaml", "three");
    unlinkSync(join(directory, "a.yaml"));
    await names("three");
    expect(sink.calls.slice(1).every((call) => call === "change")).to.equal(true);
  });

  it("sees a file that was written aside and renamed over the old one", async () => {
    define("a.yaml", "one");
    start();
    await names("one");
    define(".a.yaml.new", "two");
    renameSync(join(directory, ".a.yaml.new"), join(directory, "a.yaml"));
    await names("two");
  });

  it("ignores what editors leave beside the files", async () => {
    for (const name of [".a.yaml.swp", "a.yaml~", "#a.yaml#", ".#a.yaml", "4913", "a.yaml.bak", "a.txt", ".yaml"])
      define(name, "temporary");
    mkdirSync(join(directory, "folder.yaml"));
    define("a.yaml", "one");
    start();
    await names("one");
    expect(sink.problems).to.deep.equal([]);
  });

  it("names file, line, key and remedy of a mistake, and goes on with the other files", async () => {
    write("bad.yaml", "tasks:\n  - name: one\n    ports:\n      - container: 80\n        protocol: tpc\n");
    define("good.yaml", "two");
    start();
    await names("two");
    expect(sink.problems).to.deep.equal([
      `cannot read task definitions in ${directory}/bad.yaml, line 5, tasks[0].ports[0].protocol: ` +
        'expected one of tcp, udp, sctp, got "tpc"; ' +
        "correct it; until then the tasks of this file stay as last read",
    ]);
  });

  it("keeps the tasks of a file that becomes bad, and takes it again when it is corrected", async () => {
    define("a.yaml", "one");
    start();
    await names("one");
    write("a.yaml", "tasks: [");
    await eventually(() => expect(sink.problems).to.have.length(1));
    expect(sink.problems[0]).to.match(/a\.yaml, line 1/);
    expect(sink.names()).to.deep.equal(["one"]);
    define("a.yaml", "two");
    await names("two");
    write("a.yaml", "tasks: [");
    await eventually(() => expect(sink.problems).to.have.length(2));
  });

  it("counts a task that two files define once, and names both files", async () => {
    write("a.yaml", "tasks: [{ id: same, name: one }]");
    write("b.yaml", "tasks: [{ id: same, name: two }, { name: three }]");
    start();
    await names("one", "three");
    await eventually(() => expect(sink.problems).to.have.length(1));
    expect(sink.problems[0]).to.match(/b\.yaml: the task "same" is also defined in a\.yaml, which counts/);
    unlinkSync(join(directory, "a.yaml"));
    await names("three", "two");
  });

  it("refuses a file that is too large, and a link", async () => {
    write("large.yaml", "#".repeat(4 * 1024 * 1024 + 1));
    define("target", "one");
    symlinkSync(join(directory, "target"), join(directory, "link.yaml"));
    define("a.yaml", "two");
    start();
    await names("two");
    expect(sink.problems.map((text) => text.replaceAll(directory, "DIR")).sort()).to.have.length(2);
    expect(sink.problems.join("\n"))
      .to.match(/large\.yaml/)
      .and.match(/link\.yaml: it is a symlink/);
  });

  it("keeps the tasks while the directory is away, says so once, and sees one that takes its place", async () => {
    define("a.yaml", "one");
    start(50);
    await names("one");
    rmSync(directory, { recursive: true });
    await eventually(() => expect(sink.problems).to.have.length(1));
    await Bun.sleep(300);
    expect(sink.problems).to.have.length(1);
    expect(sink.problems[0]).to.match(/there is no such directory/);
    expect(sink.names()).to.deep.equal(["one"]);
    mkdirSync(directory);
    define("b.yaml", "two");
    await names("two");
  });

  it("tells nothing after it was stopped", async () => {
    define("a.yaml", "one");
    start(20);
    await names("one");
    await source?.stop();
    const calls = sink.calls.length;
    define("b.yaml", "two");
    await Bun.sleep(150);
    expect(sink.calls).to.have.length(calls);
  });

  it("loses nothing when hundreds of files change at once", async () => {
    start();
    for (let index = 0; index < 300; index++) define(`file-${index}.yaml`, `task-${index}`);
    await eventually(() => expect(sink.tasks.size).to.equal(300));
    for (let index = 0; index < 300; index += 2) unlinkSync(join(directory, `file-${index}.yaml`));
    for (let index = 1; index < 300; index += 2) define(`file-${index}.yaml`, `new-${index}`);
    await eventually(() => {
      expect(sink.tasks.size).to.equal(150);
      expect(sink.names().every((name) => name.startsWith("new-"))).to.equal(true);
    });
  });
});
