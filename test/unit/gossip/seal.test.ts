import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { deriveClusterKey, type KeyRing } from "../../../gossip/key.ts";
import { DatagramOpener, DatagramSealer, SEAL_BYTES } from "../../../gossip/seal.ts";

const secret = Buffer.from("0123456789abcdef");
const ring = (identity?: string): KeyRing => ({ primary: deriveClusterKey(secret, identity), others: [] });
const content = Buffer.from("hello");

describe("the seal of datagrams", () => {
  it("opens what was sealed with the same secret and identity, once, in any order", () => {
    const sealer = new DatagramSealer(ring("a"), randomBytes(16));
    const opener = new DatagramOpener(ring("a"));
    const sealed = Array.from({ length: 50 }, () => sealer.seal(content));
    for (const bytes of sealed.toReversed()) expect(opener.open(bytes).kind).to.equal("content");
    for (const bytes of sealed) expect(opener.open(bytes).kind).to.equal("replayed");
    expect(sealed[0]?.length).to.equal(content.length + SEAL_BYTES);
  });

  it("tells a foreign key by its fingerprint: another identity, none, or another secret", () => {
    const opener = new DatagramOpener(ring("a"));
    const others = [ring("b"), ring(), { primary: deriveClusterKey(randomBytes(16), "a"), others: [] }];
    for (const other of others) {
      const opened = opener.open(new DatagramSealer(other, randomBytes(16)).seal(content));
      expect(opened).to.deep.equal({ kind: "foreign", fingerprint: other.primary.fingerprint.toHex() });
    }
  });

  it("loses nothing while the key changes on one node after the other", () => {
    const before = deriveClusterKey(secret, "a");
    const after = deriveClusterKey(randomBytes(32), "a");
    const rings: KeyRing[] = [
      { primary: before, others: [] },
      { primary: before, others: [after] },
      { primary: after, others: [before] },
      { primary: after, others: [] },
    ];
    const sealer = new DatagramSealer(ring("a"), randomBytes(16));
    const opener = new DatagramOpener(ring("a"));
    for (let step = 0; step + 1 < rings.length; step++) {
      for (const [mine, theirs] of [
        [step, step],
        [step, step + 1],
        [step + 1, step],
        [step + 1, step + 1],
      ]) {
        sealer.use(rings[mine ?? 0] ?? ring());
        opener.use(rings[theirs ?? 0] ?? ring());
        expect(opener.open(sealer.seal(content)).kind, `${mine} to ${theirs}`).to.equal("content");
      }
    }
  });

  it("says what else it is: noise, another format", () => {
    const opener = new DatagramOpener(ring());
    expect(opener.open(new Uint8Array(0)).kind).to.equal("noise");
    expect(opener.open(randomBytes(3)).kind).to.equal("noise");
    const sealed = new DatagramSealer(ring(), randomBytes(16)).seal(content);
    sealed[2] = 7;
    expect(opener.open(sealed)).to.deep.equal({ kind: "format", format: 7 });
  });

  it("refuses a secret that is too short", () => {
    expect(() => deriveClusterKey(Buffer.from("short"), undefined)).to.throw("16 are the least");
  });
});
