import { expect } from "chai";
import fc from "fast-check";
import { readAttributes } from "../../kernel/attribute.ts";
import { flowOf } from "../../kernel/conntrack-linux.ts";
import { encodeCommands } from "../../kernel/nft-batch.ts";
import { decodeElements } from "../../kernel/nft-dump.ts";
import { readRawElements } from "../../kernel/nft-elements.ts";
import {
  concatenationNumber,
  fieldTypesNamed,
  fieldTypesOf,
  formatValue,
  parseValue,
} from "../../kernel/nft-fields.ts";
import { readListing } from "../../kernel/nft-json.ts";
import { NetError } from "../../lib/error.ts";

const RUNS = { numRuns: 2000 };
const KEY = fieldTypesNamed("ipv4_addr . inet_proto . inet_service") ?? [];
const DATA = fieldTypesNamed("ipv6_addr . inet_service") ?? [];

/** Runs the decoder; only a NetError may come out of it, apart from a value. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    expect(error).to.be.instanceOf(NetError);
    return undefined;
  }
}

/** Attributes nested at random, with lengths that fit or don't. */
const attributes = fc.letrec<{ node: Uint8Array }>((tie) => ({
  node: fc.oneof(
    { depthSize: "small" },
    fc.uint8Array({ maxLength: 24 }),
    fc
      .array(
        fc.record({ type: fc.integer({ min: 0, max: 20 }), payload: tie("node"), lie: fc.constantFrom(0, 0, 0, 1, 9) }),
      )
      .map((list) => Uint8Array.from(list.flatMap(({ type, payload, lie }) => encoded(type, payload, lie)))),
  ),
})).node;

function encoded(type: number, payload: Uint8Array, lie: number): number[] {
  const length = 4 + payload.length + lie;
  const padding = Array<number>((4 - (payload.length % 4)) % 4).fill(0);
  return [length & 255, length >> 8, type, 0, ...payload, ...padding];
}

describe("nftables and connection tracking under random input", () => {
  it("elements of any bytes are elements or a NetError", () => {
    const types = [
      { key: KEY, data: DATA },
      { key: KEY, data: "verdict" as const },
      { key: KEY, data: undefined },
    ];
    fc.assert(
      fc.property(attributes, fc.constantFrom(...types), (list, kind) => {
        const payload = Uint8Array.from([0, 0, 0, 0, ...encoded(3, list, 0)]);
        const message = { type: 0, flags: 0, sequence: 0, payload };
        for (const element of decoded(() => decodeElements(message, kind)) ?? []) {
          expect(element.key).to.be.an("array");
        }
      }),
      RUNS,
    );
  });

  it("elements in the kernel's form are digits or a NetError", () => {
    fc.assert(
      fc.property(attributes, (list) => {
        const payload = Uint8Array.from([0, 0, 0, 0, ...encoded(3, list, 0)]);
        for (const { key } of decoded(() => readRawElements(payload)) ?? []) expect(key).to.match(/^([0-9a-f]{2})*$/);
      }),
      RUNS,
    );
  });

  it("flows of any bytes are flows, nothing, or a NetError", () => {
    fc.assert(
      fc.property(attributes, (bytes) => {
        const flow = decoded(() => flowOf(readAttributes(bytes)));
        if (flow !== undefined) expect(flow.sourcePort).to.be.within(0, 65535);
      }),
      RUNS,
    );
  });

  it("listings of any JSON are elements", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const listing of [value, { nftables: [{ set: { elem: [value, [value, value]] } }] }]) {
          for (const { key } of readListing(listing))
            expect(key.every((field) => typeof field === "string")).to.equal(true);
        }
      }),
      RUNS,
    );
  });

  it("commands of any words are messages or are left to libnftables", () => {
    const verbs = "add create delete flush table chain rule set map element ip ip6 bridge inet t";
    const rules = "{ } type : ; ipv4_addr . @s vmap saddr daddr meta l4proto th dport iifname != goto return dnat to";
    const values = ["10.0.0.0/8", "fd00::/8", "80", '"eth0"', 'comment "x"', "masquerade"];
    const word = fc.constantFrom(...verbs.split(" "), ...rules.split(" "), ...values);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), fc.string(), (words, junk) => {
        for (const command of [words.join(" "), `${words.join(" ")}${junk}`]) {
          const requests = encodeCommands([command], () => ({ key: KEY, data: "verdict" }));
          if (requests !== undefined) expect(requests[0]?.message.length).to.be.above(16);
        }
      }),
      RUNS,
    );
  });

  it("values come back as they were written", () => {
    const field = {
      ipv4_addr: fc.ipV4(),
      inet_proto: fc.constantFrom("tcp", "udp", "sctp"),
      inet_service: fc.integer({ min: 0, max: 65535 }).map(String),
      ether_addr: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((mac) => mac.toHex().replace(/..(?!$)/g, "$&:")),
    };
    const name = fc.constantFrom(...(Object.keys(field) as (keyof typeof field)[]));
    const typed = name.chain((type) => field[type].map((text) => ({ type, text })));
    fc.assert(
      fc.property(fc.array(typed, { minLength: 1, maxLength: 4 }), (fields) => {
        const types = fieldTypesNamed(fields.map(({ type }) => type).join(" . ")) ?? [];
        const texts = fields.map(({ text }) => text);
        expect(fieldTypesOf(concatenationNumber(types))).to.deep.equal(types);
        expect(formatValue(parseValue(texts, types) ?? new Uint8Array(), types)).to.deep.equal(texts);
      }),
      RUNS,
    );
  });
});
