import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { statusLines } from "../../../bin/commands/status.ts";
import { type ProcessId, processOf } from "../../../bin/process.ts";
import { type AgentStatus, healthOf, readStatus, statusPath, writeStatus } from "../../../bin/status-file.ts";
import { linuxFiles } from "../../../kernel/file.ts";

function running(): ProcessId {
  const own = processOf(process.pid);
  if (own === undefined) throw new Error("this process runs");
  return own;
}

function status(changes: Partial<AgentStatus>): AgentStatus {
  return {
    version: 2,
    process: running(),
    node: "a",
    origin: "/nodes.json",
    startedAt: "2026-01-01T00:00:00.000Z",
    writtenAt: "2026-01-01T00:00:00.000Z",
    lastSuccess: "2026-01-01T00:00:00.000Z",
    failuresInARow: 0,
    warnings: [],
    overlays: ["dcos"],
    counts: { peers: 2, passes: 1, changes: 3, repairs: 0 },
    repaired: [],
    ...changes,
  };
}

describe("the status of an agent", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-status-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  it("is read as it was written; none, half of one and one of another version are no status", () => {
    expect(readStatus(linuxFiles, directory)).to.equal(undefined);
    const written = status({});
    writeStatus(linuxFiles, directory, written);
    expect(readStatus(linuxFiles, directory)).to.deep.equal(written);
    writeFileSync(statusPath(directory), '{"version": 1, "proc');
    expect(readStatus(linuxFiles, directory)).to.equal(undefined);
    writeFileSync(statusPath(directory), '{"version": 1}');
    expect(readStatus(linuxFiles, directory)).to.equal(undefined);
  });

  it("is healthy while the agent runs and its last pass was good; a warning alone doesn't change that", () => {
    expect(healthOf(status({}), "/run")).to.deep.equal({ healthy: true, news: [] });
    expect(healthOf(status({ warnings: ["IPv6 left out"] }), "/run")).to.deep.equal({
      healthy: true,
      news: ["IPv6 left out"],
    });
  });

  it("isn't healthy when the agent has ended, fails or refuses its nodes file; the news says so", () => {
    // The number of a process that runs with another start is that of one which has ended.
    const ended = { pid: running().pid, start: "1" };
    const failing = { failure: "no room", failuresInARow: 3, clusterProblem: "not JSON", warnings: ["minor"] };
    const { healthy, news } = healthOf(status({ process: ended, ...failing }), "/run");
    expect(healthy).to.equal(false);
    expect(news).to.have.lengthOf(4);
    expect(news[0]).to.include("has ended");
    expect(news[1]).to.equal("failed 3 times in a row: no room");
    expect(news.slice(2)).to.deep.equal(["not JSON", "minor"]);
  });

  it("is shown on one screen with the news at the top and the last repairs at the end", () => {
    const agent = status({ repaired: [{ at: "2026-01-01T00:00:30.000Z", objects: ["add link vtep1024"] }] });
    const lines = statusLines({ healthy: false, news: ["bad"], agent }, Date.parse("2026-01-01T00:01:00.000Z"));
    expect(lines.slice(0, 2)).to.deep.equal(["NOT HEALTHY", "  ! bad"]);
    expect(lines.at(-1)).to.equal("repaired        30 s ago: add link vtep1024");
    expect(lines.join("\n")).to.include("2 peers, overlays dcos, from /nodes.json");
  });
});
