import { randomBytes } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { decodePacket, encodePacket } from "../../gossip/codec.ts";
import { deriveClusterKey } from "../../gossip/key.ts";
import { memberRecord } from "../../gossip/member.ts";
import { GossipNode } from "../../gossip/node.ts";
import { DatagramOpener, DatagramSealer } from "../../gossip/seal.ts";
import { decodeSnapshot, encodeSnapshot } from "../../gossip/snapshot.ts";
import { StreamSeal } from "../../gossip/stream-seal.ts";
import { NetError } from "../../lib/error.ts";
import { chaos } from "../sim/chaos.ts";

const SECONDS = Number(process.env["FUZZ_SECONDS"] ?? "0");
const LIMITS =
  SECONDS > 0
    ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false }
    : { numRuns: 2000 };

const RING = { primary: deriveClusterKey(Buffer.from("a secret of sixteen"), "fuzz"), others: [] };

/** Real packets, as a small cluster sends them in bad times. */
const PACKETS: Uint8Array[] = (() => {
  const found: Uint8Array[] = [];
  const { world } = chaos({ seed: 1, nodes: 6, seconds: 15, loss: 0.05 });
  world.taps.push((_, packet) => found.push(encodePacket(packet).slice()));
  for (const host of world.up()) world.write(host, [{ key: "k", value: new Uint8Array(40) }]);
  world.run(2_000);
  return found;
})();

/** A change of bytes: flipped bits, a cut, something inserted. */
const damage = fc.oneof(
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => (bytes: Uint8Array): Uint8Array => {
    const changed = Uint8Array.from(bytes);
    const place = at % Math.max(1, changed.length);
    changed[place] = (changed[place] ?? 0) ^ bits;
    return changed;
  }),
  fc.nat().map(
    (at) =>
      (bytes: Uint8Array): Uint8Array =>
        bytes.slice(0, at % Math.max(1, bytes.length)),
  ),
  fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 20 })).map(
    ([at, more]) =>
      (bytes: Uint8Array): Uint8Array =>
        Buffer.concat([bytes.subarray(0, at % (bytes.length + 1)), more, bytes.subarray(at % (bytes.length + 1))]),
  ),
);
const damaged = fc
  .tuple(fc.constantFrom(...PACKETS), fc.array(damage, { minLength: 1, maxLength: 4 }))
  .map(([bytes, damages]) => ({ bytes, changed: damages.reduce((all, each) => each(all), bytes) }));

function refuses(action: () => void): void {
  try {
    action();
  } catch (error) {
    expect(error).to.be.instanceOf(NetError);
  }
}

describe("fuzz of gossip", function () {
  this.timeout(SECONDS * 1000 + 60_000);

  it("packets that are damaged are refused as a whole, or are what they encode", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          damaged.map(({ changed }) => changed),
          fc.uint8Array({ maxLength: 600 }),
        ),
        (bytes) => {
          refuses(() => expect(encodePacket(decodePacket(bytes))).to.deep.equal(new Uint8Array(bytes)));
        },
      ),
      LIMITS,
    );
  });

  it("a node takes whatever a member can say, without a crash", () => {
    let now = 0;
    const clock = { now: () => 1_800_000_000_000 + now, monotonic: () => now };
    const node = new GossipNode({
      name: "node-1",
      address: "10.0.0.1:62501",
      seeds: ["10.0.0.9:62501"],
      clock,
      random: Math.random,
      emit: () => {},
    });
    fc.assert(
      fc.property(damaged, fc.boolean(), ({ changed }, isStream) => {
        now += 20;
        refuses(() => node.receive(isStream ? "stream" : "datagram", "10.0.0.7:62501", decodePacket(changed)));
        if (now >= node.nextWake()) node.tick();
      }),
      LIMITS,
    );
  });

  it("sealed datagrams that are damaged or sent again are never opened", () => {
    const sealer = new DatagramSealer(RING, randomBytes(16));
    const opener = new DatagramOpener(RING);
    fc.assert(
      fc.property(fc.constantFrom(...PACKETS), fc.array(damage, { minLength: 1, maxLength: 3 }), (content, damages) => {
        const sealed = sealer.seal(content);
        const changed = damages.reduce((all, each) => each(all), sealed as Uint8Array);
        const isSame = Buffer.compare(changed, sealed) === 0;
        if (!isSame) expect(opener.open(changed).kind).not.to.equal("content");
        expect(opener.open(sealed).kind).to.equal("content");
        expect(opener.open(sealed).kind).to.equal("replayed");
      }),
      LIMITS,
    );
  });

  it("streams give out what was sent, however it is cut, and nothing that was damaged", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...PACKETS), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 700 }),
        fc.option(damage, { nil: undefined }),
        (contents, size, harm) => {
          const initiator = new StreamSeal("initiator", RING, randomBytes(16));
          const acceptor = new StreamSeal("acceptor", RING, randomBytes(16));
          acceptor.receive(initiator.hello());
          initiator.receive(acceptor.hello());
          const frames = Buffer.concat(contents.map((content) => initiator.seal(content)));
          const sent = harm === undefined ? frames : harm(frames);
          const got: Uint8Array[] = [];
          refuses(() => {
            for (let at = 0; at < sent.length; at += size) got.push(...acceptor.receive(sent.slice(at, at + size)));
          });
          const expected = contents.slice(0, got.length).map((content) => Buffer.from(content).toString("hex"));
          expect(got.map((content) => Buffer.from(content).toString("hex"))).to.deep.equal(expected);
          if (harm === undefined) expect(got).to.have.length(contents.length);
        },
      ),
      { ...LIMITS, numRuns: Math.min(500, LIMITS.numRuns) },
    );
  });

  it("a stream recorded from another connection doesn't open", () => {
    const first = new StreamSeal("initiator", RING, randomBytes(16));
    const second = new StreamSeal("acceptor", RING, randomBytes(16));
    second.receive(first.hello());
    first.receive(second.hello());
    const recorded = Buffer.concat([first.hello(), first.seal(Buffer.from("old"))]);
    const victim = new StreamSeal("acceptor", RING, randomBytes(16));
    expect(() => victim.receive(recorded)).to.throw(NetError, "forged");
  });

  it("snapshots that are damaged are refused", () => {
    const state = {
      savedAt: 1,
      generation: 2,
      members: [memberRecord("b", "10.0.0.2:62501", 5, 2, "alive")],
      logs: [{ owner: "b", generation: 5, version: 9, entries: [{ key: "k", version: 7, value: Uint8Array.of(1) }] }],
    };
    const bytes = encodeSnapshot(state);
    fc.assert(
      fc.property(damage, (harm) => {
        const changed = harm(bytes);
        if (Buffer.compare(changed, bytes) === 0) return;
        expect(() => decodeSnapshot(changed, "/facts")).to.throw(NetError);
      }),
      LIMITS,
    );
  });
});
