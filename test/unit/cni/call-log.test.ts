import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type CallLine, logCall } from "../../../cni/call-log.ts";
import { CniError } from "../../../cni/error.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { NetError } from "../../../lib/error.ts";
import { appendOnlyFiles } from "../../support/cni-host.ts";

const CLOCK = { now: () => Date.UTC(2026, 0, 2) };
const LINE: CallLine = {
  plugin: "bridge",
  verb: "ADD",
  container: "c1",
  network: undefined,
  ifname: "eth0",
  durationUs: 12,
  notes: [],
};

describe("logCall", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-log-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("makes the directory and the file on demand and appends one line a call", () => {
    const path = join(directory, "a", "b", "cni.log");
    logCall(linuxFiles, CLOCK, path, LINE, undefined);
    logCall(linuxFiles, CLOCK, path, LINE, new CniError(7, "two\nlines"));
    const lines = readFileSync(path, "utf8").split("\n");
    expect(lines).to.have.length(3);
    expect(JSON.parse(lines[1] ?? "")).to.include({ outcome: "error", code: 7, message: "two\nlines" });
    expect(statSync(path).mode & 0o137).to.equal(0);
  });

  it("leaves out what was not known", () => {
    const { files, appended } = appendOnlyFiles();
    logCall(files, CLOCK, "/log", LINE, undefined);
    expect(JSON.parse(appended.get("/log") ?? "")).not.to.have.any.keys(
      "network",
      "code",
      "message",
      "details",
      "notes",
    );
  });

  it("cuts text that another program may have made long", () => {
    const { files, appended } = appendOnlyFiles();
    const long = "x".repeat(100_000);
    logCall(files, CLOCK, "/log", { ...LINE, container: long, notes: [long] }, new CniError(7, long, long));
    expect(appended.get("/log")?.length).to.be.lessThan(10_000);
  });

  it("passes a failure of the file system on when the directory is not what is missing", () => {
    const { files } = appendOnlyFiles();
    const append = () => {
      throw new NetError("io", { tried: "append", errno: "ENOSPC" });
    };
    expect(() => logCall({ ...files, append }, CLOCK, "/log", LINE, undefined)).to.throw(NetError);
  });
});
