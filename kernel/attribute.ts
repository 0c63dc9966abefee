import { NetError } from "../lib/error.ts";

/** Length of struct nlmsghdr (linux/netlink.h). */
export const HEADER_LENGTH = 16;

const NLA_HEADER = 4;
const NLA_TYPE_MASK = 0x3fff;

/** All messages are built here and copied out, so that a message costs one allocation. The largest we build is a few
 *  hundred bytes; writing past the end throws. */
const scratch = new Uint8Array(8 << 10);
const view = new DataView(scratch.buffer);
const utf8 = new TextEncoder();

/** Builds one netlink message: header, the family's fixed part, attributes. Numbers are in host order (little-endian on
 *  both architectures that we build for), as netlink wants unless an attribute says otherwise. */
export class MessageWriter {
  private length = HEADER_LENGTH;

  /** `type` and `flags` of nlmsghdr; sequence number and sender stay zero until the message is sent. */
  constructor(type: number, flags: number) {
    view.setUint32(0, 0, true);
    view.setUint16(4, type, true);
    view.setUint16(6, flags, true);
    view.setBigUint64(8, 0n, true);
  }

  u8(value: number): this {
    scratch[this.length++] = value;
    return this;
  }

  u16(value: number): this {
    view.setUint16(this.length, value, true);
    this.length += 2;
    return this;
  }

  u32(value: number): this {
    view.setUint32(this.length, value, true);
    this.length += 4;
    return this;
  }

  attribute(type: number, payload: Uint8Array): this {
    this.open(type, payload.length);
    scratch.set(payload, this.length);
    return this.skip(payload.length);
  }

  attributeU8(type: number, value: number): this {
    this.open(type, 1);
    scratch[this.length] = value;
    return this.skip(1);
  }

  attributeU16(type: number, value: number): this {
    this.open(type, 2);
    view.setUint16(this.length, value, true);
    return this.skip(2);
  }

  /** A number in network byte order, as ports are. */
  attributeU16Network(type: number, value: number): this {
    this.open(type, 2);
    view.setUint16(this.length, value, false);
    return this.skip(2);
  }

  attributeU32(type: number, value: number): this {
    this.open(type, 4);
    view.setUint32(this.length, value, true);
    return this.skip(4);
  }

  /** Text with its terminating zero. */
  attributeText(type: number, value: string): this {
    const start = this.length + NLA_HEADER;
    const { written } = utf8.encodeInto(value, scratch.subarray(start));
    this.open(type, written + 1);
    scratch[start + written] = 0;
    return this.skip(written + 1);
  }

  /** An attribute made of what `fill` writes. Link information is nested without the nested flag, as `ip` sends it. */
  nest(type: number, fill: (writer: this) => void): this {
    const start = this.length;
    this.length += NLA_HEADER;
    fill(this);
    view.setUint16(start, this.length - start, true);
    view.setUint16(start + 2, type, true);
    return this;
  }

  /** The finished message in bytes of its own. */
  finish(): Uint8Array {
    view.setUint32(0, this.length, true);
    return scratch.slice(0, this.length);
  }

  private open(type: number, payloadLength: number): void {
    view.setUint16(this.length, NLA_HEADER + payloadLength, true);
    view.setUint16(this.length + 2, type, true);
    this.length += NLA_HEADER;
  }

  /** Attributes start at multiples of four bytes (NLA_ALIGN); the gap must be zero because the scratch bytes are
   *  reused. */
  private skip(payloadLength: number): this {
    this.length += payloadLength;
    while (this.length % 4 !== 0) scratch[this.length++] = 0;
    return this;
  }
}

/** Attributes of one level by type; a type that comes twice keeps its last value, as the kernel's own parser does. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** Takes apart a run of attributes from `start` to the end of `bytes`, or of them only the `wanted` types: a link has
 *  about a hundred, of which we use ten. Throws a NetError `kernel` when one reaches beyond the end. */
export function readAttributes(bytes: Uint8Array, start = 0, wanted?: readonly number[]): Attributes {
  const attributes = new Map<number, Uint8Array>();
  for (let offset = start; offset + NLA_HEADER <= bytes.length; ) {
    const length = attributeLength(bytes, offset);
    const type = readU16(bytes, offset + 2) & NLA_TYPE_MASK;
    if (wanted === undefined || wanted.includes(type)) {
      attributes.set(type, bytes.subarray(offset + NLA_HEADER, offset + length));
    }
    offset += (length + 3) & ~3;
  }
  return attributes;
}

/** Like {@link readAttributes}, for lists in which a type comes more than once. */
export function forEachAttribute(
  bytes: Uint8Array,
  start: number,
  each: (type: number, payload: Uint8Array) => void,
): void {
  for (let offset = start; offset + NLA_HEADER <= bytes.length; ) {
    const length = attributeLength(bytes, offset);
    each(readU16(bytes, offset + 2) & NLA_TYPE_MASK, bytes.subarray(offset + NLA_HEADER, offset + length));
    offset += (length + 3) & ~3;
  }
}

function attributeLength(bytes: Uint8Array, offset: number): number {
  const length = readU16(bytes, offset);
  if (length >= NLA_HEADER && offset + length <= bytes.length) return length;
  throw malformed(`an attribute of ${length} bytes at ${offset} of ${bytes.length}`);
}

/** A NetError for bytes that the kernel can't have meant. */
export function malformed(said: string): NetError {
  return new NetError("kernel", {
    tried: "read a netlink reply",
    said,
    remedy: "report this with your kernel version",
  });
}

/** Little-endian numbers out of `bytes`; throw a NetError `kernel` beyond its end. */
export function readU8(bytes: Uint8Array, offset = 0): number {
  const value = bytes[offset];
  if (value === undefined) throw malformed(`${bytes.length} bytes where at least ${offset + 1} were due`);
  return value;
}

export function readU16(bytes: Uint8Array, offset = 0): number {
  return readU8(bytes, offset) | (readU8(bytes, offset + 1) << 8);
}

/** Network byte order. */
export function readU16Network(bytes: Uint8Array, offset = 0): number {
  return (readU8(bytes, offset) << 8) | readU8(bytes, offset + 1);
}

export function readU32(bytes: Uint8Array, offset = 0): number {
  return readU16(bytes, offset) + readU16(bytes, offset + 2) * 0x10000;
}
