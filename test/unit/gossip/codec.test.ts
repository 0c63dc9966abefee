import { expect } from "chai";
import fc from "fast-check";
import {
  checkAddress,
  checkName,
  decodePacket,
  encodePacket,
  sizeOfEmpty,
  sizeOfMessage,
} from "../../../gossip/codec.ts";
import { memberRecord, STATES } from "../../../gossip/member.ts";
import type { Message, Packet } from "../../../gossip/message.ts";
import { BUCKETS } from "../../../gossip/names.ts";
import { NetError } from "../../../lib/error.ts";

const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,40}$/);
const number = fc.maxSafeNat();
const word = fc.nat(0xffff_ffff);
const address = fc.constantFrom("10.0.0.1:62501", "[fd00::1]:62501", "192.168.255.254:1");
const root = fc.record({ a: word, b: word });
const record = fc.tuple(name, address, number, number, fc.constantFrom(...STATES)).map((all) => memberRecord(...all));
const position = fc.record({ owner: name, generation: number, version: number, base: number });
const value = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined });
const delta = fc
  .tuple(
    name,
    number,
    fc.nat(1000),
    fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 30 }), value), { maxLength: 8 }),
  )
  .map(([owner, generation, from, facts]) => ({
    owner,
    generation,
    from,
    to: from + facts.length + 3,
    latest: from + facts.length + 9,
    floor: from,
    entries: facts.map(([key, of], index) => ({ key, version: from + index + 1, value: of })),
  }));
const coverage = fc.record({ bucket: fc.nat(BUCKETS - 1), part: fc.nat(3), parts: fc.constant(4) });
const entry = fc.record({ record, absentSeconds: number, generation: number, version: number });

const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ type: fc.constant("ping" as const), sequence: number, target: name, root }),
  fc.record({ type: fc.constant("ack" as const), sequence: number, root }),
  fc.record({ type: fc.constant("ping-request" as const), sequence: number, target: name, address }),
  fc.record({ type: fc.constant("nack" as const), sequence: number }),
  fc.record({ type: fc.constant("member" as const), record, by: fc.oneof(name, fc.constant("")) }),
  fc.record({ type: fc.constant("delta" as const), delta }),
  fc.record({ type: fc.constant("news" as const), position }),
  fc.uint8Array({ minLength: BUCKETS, maxLength: BUCKETS }).map((bytes) => ({
    type: "buckets" as const,
    hashes: Uint32Array.from(bytes, (byte) => byte * 0x01010101),
  })),
  fc.record({
    type: fc.constant("digest" as const),
    cover: fc.array(coverage, { maxLength: 5 }),
    entries: fc.array(entry, { maxLength: 5 }),
    reply: fc.boolean(),
  }),
  fc.record({ type: fc.constant("request" as const), wants: fc.array(position, { maxLength: 5 }) }),
  fc.record({ type: fc.constant("end" as const), more: fc.boolean() }),
);
const sender = fc.tuple(name, address, number, number).map(([n, a, g, i]) => memberRecord(n, a, g, i, "alive"));
const packet: fc.Arbitrary<Packet> = fc.record({ sender, messages: fc.array(message, { maxLength: 6 }) });

describe("the codec of gossip", () => {
  it("gives back every packet", () => {
    fc.assert(
      fc.property(packet, (original) => {
        expect(decodePacket(encodePacket(original))).to.deep.equal(original);
      }),
    );
  });

  it("knows the size of a packet without encoding it", () => {
    fc.assert(
      fc.property(packet, (original) => {
        const size = original.messages.reduce((sum, each) => sum + sizeOfMessage(each), sizeOfEmpty(original.sender));
        expect(encodePacket(original).length).to.equal(size);
      }),
    );
  });

  it("refuses a packet that was cut anywhere but between messages, and any other version", () => {
    fc.assert(
      fc.property(packet, fc.nat(), (original, at) => {
        const bytes = encodePacket(original);
        const cut = bytes.subarray(0, at % bytes.length);
        let got: Packet | undefined;
        try {
          got = decodePacket(cut);
        } catch (error) {
          expect(error).to.be.instanceOf(NetError);
        }
        if (got !== undefined) expect(encodePacket(got)).to.deep.equal(cut);
      }),
    );
    const bytes = encodePacket({ sender: memberRecord("a", "10.0.0.1:1", 1, 1, "alive"), messages: [] }).slice();
    bytes[0] = 9;
    expect(() => decodePacket(bytes)).to.throw("it has version 9");
  });

  it("refuses names and addresses that are none", () => {
    for (const bad of ["", "a b", "ä", "x".repeat(254)]) expect(() => checkName(bad), bad).to.throw(NetError);
    for (const bad of ["", "10.0.0.1", "host:1", "10.0.0.1:0", "10.0.0.1:65536", "fd00::1:1"]) {
      expect(() => checkAddress(bad), bad).to.throw(NetError);
    }
  });
});
