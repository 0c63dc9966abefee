import { readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { decodeAddress } from "../../kernel/address.ts";
import { MessageWriter, readAttributes } from "../../kernel/attribute.ts";
import { decodeIpvsDestination, decodeIpvsService } from "../../kernel/ipvs-message.ts";
import { decodeLink } from "../../kernel/link.ts";
import { decodeFdb, decodeNeighbor } from "../../kernel/neighbor.ts";
import { decodeError, decodeMessages, type Message } from "../../kernel/netlink.ts";
import { decodeRoutes } from "../../kernel/route.ts";
import { decodeRule } from "../../kernel/rule.ts";
import { decodeVlans } from "../../kernel/vlan.ts";
import { fromHex } from "../../lib/bytes.ts";
import { NetError } from "../../lib/error.ts";
import type { IpvsRecordings } from "../golden/ipvs-cases.ts";
import type { Replies } from "../golden/questions.ts";

const SECONDS = Number(process.env["FUZZ_SECONDS"] ?? "0");
const RUNS = 3000;
const NLMSG_DONE = 3;

/** Without a time, a number of runs; with one, as many as fit. */
const LIMITS =
  SECONDS > 0
    ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false }
    : { numRuns: RUNS };

const RECORDED: Replies = JSON.parse(readFileSync(new URL("../golden/replies.json", import.meta.url), "utf8"));

/** A port with VLANs 1, 10 and 20 to 30, as a kernel with VLAN filtering lists it: ifinfomsg of family AF_BRIDGE, then
 *  IFLA_AF_SPEC with struct bridge_vlan_info, flags and number. */
const VLANS = new MessageWriter(16, 0)
  .u8(7)
  .u8(0)
  .u16(0)
  .u32(3)
  .u32(0)
  .u32(0)
  .nest(26, (spec) => {
    const entries = [
      [6, 1],
      [0, 10],
      [8, 20],
      [16, 30],
    ] as const; // 6 PVID and untagged, 8 and 16 ends of a range
    for (const entry of entries) spec.attribute(2, new Uint8Array(Uint16Array.from(entry).buffer));
  })
  .finish();

const DATAGRAMS = [...RECORDED.replies.map(({ hex }) => fromHex(hex)), VLANS];

/** Generic netlink, whose message types are numbers that the kernel gives out. */
const IPVS: IpvsRecordings = JSON.parse(readFileSync(new URL("../golden/ipvsadm.json", import.meta.url), "utf8"));

const SEEDS = [...DATAGRAMS, ...IPVS.replies.map(fromHex)];

/** The link numbers of the recorded namespace are small, and these decoders leave out other links' entries. */
const INDEXES = [1, 2, 3, 4, 5];

const DECODERS: readonly ((message: Message) => unknown)[] = [
  decodeAddress,
  decodeError,
  decodeIpvsService,
  (message) => decodeIpvsDestination(message, 4),
  decodeLink,
  decodeRoutes,
  decodeRule,
  decodeVlans,
  (message) => INDEXES.map((index) => decodeNeighbor(message, index)),
  (message) => INDEXES.map((index) => decodeFdb(message, index)),
  ({ payload }) => readAttributes(payload),
];

/** The value of `action`, or undefined when it says with a NetError that it can't. Any other error is a finding. */
function valueOrRefusal<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof NetError) return undefined;
    throw error;
  }
}

/** Numbers that come from beyond the end of the bytes are NaN or undefined. */
function expectWhole(value: unknown): void {
  if (typeof value === "number") expect(value).to.satisfy(Number.isFinite);
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return;
  for (const each of Object.values(value)) expectWhole(each);
}

function decodeAll(datagram: Uint8Array): void {
  for (const message of valueOrRefusal(() => decodeMessages(datagram)) ?? []) {
    for (const decode of DECODERS) expectWhole(valueOrRefusal(() => decode(message)));
  }
}

/** A change to some bytes. Positions are fractions, so that they fit every datagram. */
type Mutation =
  | { readonly kind: "set"; readonly at: number; readonly value: number }
  | { readonly kind: "length"; readonly at: number; readonly value: number }
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "repeat"; readonly at: number; readonly count: number };

const position = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at: position, value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({
    kind: fc.constant("length" as const),
    at: position,
    value: fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 8, 0xffff), fc.integer({ min: 0, max: 0xffff })),
  }),
  fc.record({ kind: fc.constant("cut" as const), at: position }),
  fc.record({ kind: fc.constant("repeat" as const), at: position, count: fc.integer({ min: 1, max: 64 }) }),
);

function mutated(bytes: Uint8Array, change: Mutation): Uint8Array {
  const at = Math.floor(bytes.length * change.at);
  if (change.kind === "cut") return bytes.slice(0, at);
  if (change.kind === "repeat") {
    const part = bytes.subarray(at, at + change.count);
    return Uint8Array.from([...bytes.subarray(0, at), ...part, ...bytes.subarray(at)]);
  }
  const copy = bytes.slice();
  if (change.kind === "set") copy[at] = change.value;
  // Lengths of messages and attributes stand at multiples of four.
  else copy.set([change.value & 255, change.value >> 8].slice(0, copy.length - (at & ~3)), at & ~3);
  return copy;
}

/** `decodeMessages` looks at the outer length only, so most mutations should leave that intact: it is set right
 *  again. */
function withOuterLength(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= 16) new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, bytes.length, true);
  return bytes;
}

const seed = fc.constantFrom(...SEEDS);

describe("the netlink decoders", function () {
  this.timeout((SECONDS + 60) * 1000);

  it("read every recorded answer of a kernel", () => {
    for (const [index, datagram] of DATAGRAMS.entries()) {
      const messages = decodeMessages(datagram);
      expect(messages.length, `messages of datagram ${index}`).to.be.greaterThan(0);
      for (const message of messages) if (message.type !== NLMSG_DONE) expectWhole(decoderOf(message)(message));
    }
    const ports = decodeMessages(VLANS).map(decodeVlans);
    expect(ports.flatMap(({ vlans }) => vlans.map(({ vid }) => vid))).to.deep.equal([
      ...[1, 10],
      ...[20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
    ]);
  });

  it("take an answer cut off at any byte", () => {
    for (const datagram of SEEDS) {
      for (let length = 0; length < datagram.length; length += 1) {
        decodeAll(datagram.slice(0, length));
      }
    }
  });

  it("take a message whose content is cut off at any byte", () => {
    for (const datagram of SEEDS) {
      for (const { type, flags, sequence, payload } of decodeMessages(datagram)) {
        for (let length = 0; length < payload.length; length += 1) {
          for (const decode of DECODERS) {
            expectWhole(valueOrRefusal(() => decode({ type, flags, sequence, payload: payload.slice(0, length) })));
          }
        }
      }
    }
  });

  it("take answers with any bytes changed", () => {
    const changes = fc.array(mutation, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(seed, changes, fc.boolean(), (datagram, mutations, repair) => {
        const bytes = mutations.reduce(mutated, datagram);
        decodeAll(repair ? withOuterLength(bytes.slice()) : bytes);
      }),
      LIMITS,
    );
  });

  it("take any bytes at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        decodeAll(bytes);
        decodeAll(withOuterLength(bytes.slice()));
      }),
      LIMITS,
    );
  });
});

/** The decoder that a message is meant for, by its type. */
function decoderOf({ type, payload }: Message): (message: Message) => unknown {
  const byType: Readonly<Record<number, (message: Message) => unknown>> = {
    2: decodeError,
    16: payload[0] === 7 ? decodeVlans : decodeLink,
    20: decodeAddress,
    24: decodeRoutes,
    28: (message) => INDEXES.map((index) => [decodeNeighbor(message, index), decodeFdb(message, index)]),
    32: decodeRule,
  };
  const decode = byType[type];
  if (decode === undefined) throw new Error(`no decoder for type ${type}`);
  return decode;
}
