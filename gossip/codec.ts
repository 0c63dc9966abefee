import { messageOf, NetError } from "../lib/error.ts";
import { type MemberRecord, memberRecord, STATES } from "./member.ts";
import type { Coverage, DigestEntry, Message, Packet, Position } from "./message.ts";
import { BUCKETS } from "./names.ts";
import type { Delta, Entry } from "./owner-log.ts";
import { WIRE } from "./settings.ts";
import { Counter, Reader, type Sink, Writer } from "./wire.ts";

/** Version of the content of packets; another one is refused. */
export const WIRE_VERSION = 1;

const TYPES = [
  "ping",
  "ack",
  "ping-request",
  "nack",
  "member",
  "delta",
  "news",
  "buckets",
  "digest",
  "request",
  "end",
] as const satisfies readonly Message["type"][];

const NAME = /^[A-Za-z0-9._@:-]{1,253}$/;
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]{2,45}\]):\d{1,5}$/;

/** A packet as bytes, not yet sealed. */
export function encodePacket({ sender, messages }: Packet): Uint8Array {
  const out = new Writer();
  putSender(out, sender);
  for (const message of messages) putMessage(out, message);
  return out.finish();
}

/** The packet in these bytes. Throws a NetError `invalid` at anything that {@link encodePacket} would not have written, as a
 *  whole: nothing of a packet with a mistake is used. */
export function decodePacket(bytes: Uint8Array): Packet {
  const input = new Reader(bytes, "gossip packet");
  const version = input.byte();
  if (version !== WIRE_VERSION) {
    throw new NetError("unsupported", {
      tried: "read a gossip packet",
      said: `it has version ${version}; this program speaks ${WIRE_VERSION}`,
      remedy: "run the same release on all nodes",
    });
  }
  const sender = memberRecord(getName(input), getAddress(input), input.varint(), input.varint(), "alive");
  const messages: Message[] = [];
  while (!input.atEnd) {
    if (messages.length === WIRE.list) throw input.refusal(`it has more than ${WIRE.list} messages`);
    messages.push(getMessage(input));
  }
  return { sender, messages };
}

/** Bytes that a packet without messages takes. */
export function sizeOfEmpty(sender: MemberRecord): number {
  const counter = new Counter();
  putSender(counter, sender);
  return counter.length;
}

/** Bytes that a message takes in a packet. */
export function sizeOfMessage(message: Message): number {
  const counter = new Counter();
  putMessage(counter, message);
  return counter.length;
}

/** Throws a NetError `invalid` unless `name` can be a node's name: 1 to 253 letters, digits, `.`, `_`, `-`, `@`, `:`. */
export function checkName(name: string): void {
  if (!NAME.test(name)) throw new NetError("invalid", { tried: `use ${JSON.stringify(name)} as the name of a node` });
}

/** Throws a NetError `invalid` unless `address` is a literal address with a port: `10.0.0.1:62501`, `[fd00::1]:62501`. */
export function checkAddress(address: string): void {
  if (isAddress(address)) return;
  throw new NetError("invalid", {
    tried: `use ${JSON.stringify(address)} as the address of a node`,
    remedy: "write it as 10.0.0.1:62501 or [fd00::1]:62501",
  });
}

function isAddress(address: string): boolean {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  return address.length <= WIRE.address && ADDRESS.test(address) && port > 0 && port < 0x1_0000;
}

function putSender(out: Sink, sender: MemberRecord): void {
  out.byte(WIRE_VERSION);
  out.text(sender.name);
  out.text(sender.address);
  out.varint(sender.generation);
  out.varint(sender.incarnation);
}

function putMessage(out: Sink, message: Message): void {
  out.byte(TYPES.indexOf(message.type));
  switch (message.type) {
    case "ping":
      out.varint(message.sequence);
      out.text(message.target);
      out.word(message.root.a);
      out.word(message.root.b);
      return;
    case "ack":
      out.varint(message.sequence);
      out.word(message.root.a);
      out.word(message.root.b);
      return;
    case "ping-request":
      out.varint(message.sequence);
      out.text(message.target);
      out.text(message.address);
      return;
    case "nack":
      out.varint(message.sequence);
      return;
    case "member":
      putRecord(out, message.record);
      out.text(message.by);
      return;
    case "delta":
      putDelta(out, message.delta);
      return;
    case "news":
      putPosition(out, message.position);
      return;
    case "buckets":
      for (const hash of message.hashes) out.word(hash);
      return;
    case "digest":
      putDigest(out, message.cover, message.entries, message.reply);
      return;
    case "request":
      out.varint(message.wants.length);
      for (const position of message.wants) putPosition(out, position);
      return;
    case "end":
      out.byte(message.more ? 1 : 0);
      return;
  }
}

function getMessage(input: Reader): Message {
  const type = TYPES[input.byte()];
  switch (type) {
    case "ping": {
      const sequence = input.varint();
      const target = input.text(WIRE.name);
      return { type, sequence, target, root: { a: input.word(), b: input.word() } };
    }
    case "ack":
      return { type, sequence: input.varint(), root: { a: input.word(), b: input.word() } };
    case "ping-request":
      return { type, sequence: input.varint(), target: getName(input), address: getAddress(input) };
    case "nack":
      return { type, sequence: input.varint() };
    case "member":
      return { type, record: getRecord(input), by: getOptionalName(input) };
    case "delta":
      return { type, delta: getDelta(input) };
    case "news":
      return { type, position: getPosition(input) };
    case "buckets":
      return { type, hashes: Uint32Array.from({ length: BUCKETS }, () => input.word()) };
    case "digest":
      return {
        type,
        cover: getList(input, getCoverage),
        entries: getList(input, getDigestEntry),
        reply: getBoolean(input),
      };
    case "request":
      return { type, wants: getList(input, getPosition) };
    case "end":
      return { type, more: getBoolean(input) };
    default:
      throw input.refusal("it has a message of unknown type");
  }
}

function putRecord(out: Sink, record: MemberRecord): void {
  out.text(record.name);
  out.text(record.address);
  out.varint(record.generation);
  out.varint(record.incarnation);
  out.byte(STATES.indexOf(record.state));
}

function getRecord(input: Reader): MemberRecord {
  const name = getName(input);
  const address = getAddress(input);
  const generation = input.varint();
  const incarnation = input.varint();
  const state = STATES[input.byte()];
  if (state === undefined) throw input.refusal("a member has an unknown state");
  return memberRecord(name, address, generation, incarnation, state);
}

function putPosition(out: Sink, { owner, generation, version, base }: Position): void {
  out.text(owner);
  out.varint(generation);
  out.varint(version);
  out.varint(base);
}

function getPosition(input: Reader): Position {
  return { owner: getName(input), generation: input.varint(), version: input.varint(), base: input.varint() };
}

function putDelta(out: Sink, { owner, generation, from, to, latest, floor, entries }: Delta): void {
  out.text(owner);
  out.varint(generation);
  out.varint(from);
  out.varint(to - from);
  out.varint(latest - to);
  out.varint(floor);
  out.varint(entries.length);
  let last = from;
  for (const { key, version, value } of entries) {
    out.text(key);
    out.varint(version - last);
    last = version;
    out.byte(value === undefined ? 0 : 1);
    if (value !== undefined) out.bytes(value);
  }
}

function getDelta(input: Reader): Delta {
  const owner = getName(input);
  const generation = input.varint();
  const from = input.varint();
  const to = sum(input, from, input.varint());
  const latest = sum(input, to, input.varint());
  const floor = input.varint();
  const count = input.count(WIRE.list);
  const entries: Entry[] = [];
  for (let last = from; entries.length < count; ) {
    const key = input.text(WIRE.key);
    const version = sum(input, last, input.varint());
    if (key === "" || version === last || version > to) throw input.refusal("a fact is malformed");
    last = version;
    entries.push({ key, version, value: getBoolean(input) ? input.bytes(WIRE.value) : undefined });
  }
  return { owner, generation, from, to, latest, floor, entries };
}

function putDigest(out: Sink, cover: readonly Coverage[], entries: readonly DigestEntry[], reply: boolean): void {
  out.varint(cover.length);
  for (const { bucket, part, parts } of cover) {
    out.byte(bucket);
    out.varint(part);
    out.varint(parts);
  }
  out.varint(entries.length);
  for (const { record, absentSeconds, generation, version } of entries) {
    putRecord(out, record);
    out.varint(absentSeconds);
    out.varint(generation);
    out.varint(version);
  }
  out.byte(reply ? 1 : 0);
}

function getCoverage(input: Reader): Coverage {
  const bucket = input.byte();
  const part = input.varint();
  const parts = input.varint();
  if (bucket >= BUCKETS || part >= parts) throw input.refusal("a part of a digest is malformed");
  return { bucket, part, parts };
}

function getDigestEntry(input: Reader): DigestEntry {
  const record = getRecord(input);
  return { record, absentSeconds: input.varint(), generation: input.varint(), version: input.varint() };
}

function getList<T>(input: Reader, get: (input: Reader) => T): T[] {
  const count = input.count(WIRE.list);
  const list: T[] = [];
  while (list.length < count) list.push(get(input));
  return list;
}

function getName(input: Reader): string {
  const name = input.text(WIRE.name);
  if (!NAME.test(name)) throw input.refusal("the name of a node is malformed");
  return name;
}

function getOptionalName(input: Reader): string {
  const name = input.text(WIRE.name);
  if (name !== "" && !NAME.test(name)) throw input.refusal("the name of a node is malformed");
  return name;
}

function getAddress(input: Reader): string {
  const address = input.text(WIRE.address);
  if (!isAddress(address)) throw input.refusal("the address of a node is malformed");
  return address;
}

function getBoolean(input: Reader): boolean {
  const byte = input.byte();
  if (byte > 1) throw input.refusal("a flag is neither 0 nor 1");
  return byte === 1;
}

function sum(input: Reader, a: number, b: number): number {
  if (a + b > Number.MAX_SAFE_INTEGER) throw input.refusal("a number is too large");
  return a + b;
}

/** The reason in a refusal of {@link decodePacket}, for a log line. */
export function refusalOf(error: unknown): string {
  return error instanceof NetError ? (error.said ?? error.message) : messageOf(error);
}
