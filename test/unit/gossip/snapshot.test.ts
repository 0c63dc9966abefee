import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { memberRecord } from "../../../gossip/member.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  loadSnapshot,
  saveSnapshot,
  savingSnapshot,
} from "../../../gossip/snapshot.ts";
import type { NodeState } from "../../../gossip/state.ts";
import { Writer } from "../../../gossip/wire.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { logOf } from "../../support/saved-log.ts";

const STATE: NodeState = {
  savedAt: 1_800_000_000_000,
  generation: 77,
  members: [memberRecord("b", "10.0.0.2:62501", 5, 2, "alive")],
  logs: [{ owner: "b", generation: 5, version: 9, entries: [{ key: "k", version: 7, value: Uint8Array.of(1, 2) }] }],
};

describe("the snapshot", () => {
  it("comes back from the disk as it was", () => {
    const directory = mkdtempSync(join(tmpdir(), "dcos-net-snapshot-"));
    try {
      const path = join(directory, "facts");
      expect(loadSnapshot(linuxFiles, path)).to.equal(undefined);
      saveSnapshot(linuxFiles, path, STATE);
      expect(loadSnapshot(linuxFiles, path)).to.deep.equal(STATE);
      expect(readdirSync(directory)).to.deep.equal(["facts"]);
      writeFileSync(path, "something else");
      expect(() => loadSnapshot(linuxFiles, path)).to.throw("it isn't a snapshot of facts; move it away");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("of much content is written in many small steps, and takes the former one's place in the last", () => {
    const directory = mkdtempSync(join(tmpdir(), "dcos-net-snapshot-"));
    try {
      const path = join(directory, "facts");
      const state = { ...STATE, logs: [logOf("b", 5000), logOf("empty", 0), logOf("c", 10)] };
      saveSnapshot(linuxFiles, path, STATE);
      const abandoned = savingSnapshot(linuxFiles, path, state);
      for (let step = 0; step < 12; step++) abandoned.next();
      expect(readdirSync(directory)).to.have.members(["facts", "facts.part"]);
      abandoned.return();
      expect(readdirSync(directory)).to.deep.equal(["facts"]);
      const whole = savingSnapshot(linuxFiles, path, state);
      let steps = 0;
      for (; whole.next().done !== true; steps++) expect(loadSnapshot(linuxFiles, path)).to.deep.equal(STATE);
      expect(steps).to.be.greaterThan(15);
      expect(readdirSync(directory)).to.deep.equal(["facts"]);
      expect(readFileSync(path).equals(encodeSnapshot(state))).to.equal(true);
      expect(loadSnapshot(linuxFiles, path)).to.deep.equal(state);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("of a newer format is refused with its number and the remedy", () => {
    const bytes = encodeSnapshot(STATE).slice();
    bytes[15] = 3;
    expect(() => decodeSnapshot(bytes, "/facts")).to.throw(
      "it has format 3; this release reads 1 and 2; run the release",
    );
  });

  it("of format 1, which had no members, is read", () => {
    const out = new Writer();
    for (const number of [STATE.savedAt, STATE.generation, 0]) out.varint(number);
    const content = out.finish();
    const hash = createHash("sha256").update(content).digest();
    const bytes = Buffer.concat([Buffer.from("dcos-net facts "), Uint8Array.of(1), hash, content]);
    expect(decodeSnapshot(bytes, "/facts")).to.deep.equal({ ...STATE, members: [], logs: [] });
  });
});
