import { NetError } from "../lib/error.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Where encoded values go: into bytes, or only into a count of them, so that sizes are known without encoding. */
export interface Sink {
  byte(value: number): void;
  /** An integer of 0 … 2^53−1, seven bits a byte, lowest first. */
  varint(value: number): void;
  /** An integer of 0 … 2^32−1 in four bytes, highest first. */
  word(value: number): void;
  /** Length, then UTF-8. */
  text(value: string): void;
  /** Length, then the bytes. */
  bytes(value: Uint8Array): void;
}

/** Bytes that a text takes in UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // A pair of surrogates is two units and four bytes.
    length += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return length;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** Counts the bytes that a {@link Writer} would write. */
export class Counter implements Sink {
  length = 0;

  byte(): void {
    this.length += 1;
  }

  varint(value: number): void {
    this.length += varintLength(value);
  }

  word(): void {
    this.length += 4;
  }

  text(value: string): void {
    const length = utf8Length(value);
    this.length += varintLength(length) + length;
  }

  bytes(value: Uint8Array): void {
    this.length += varintLength(value.length) + value.length;
  }
}

/** Collects encoded values. */
export class Writer implements Sink {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity = 1500) {
    this.#buffer = new Uint8Array(capacity);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80);
    this.byte(rest);
  }

  word(value: number): void {
    for (const shift of [24, 16, 8, 0]) this.byte((value >>> shift) & 0xff);
  }

  text(value: string): void {
    this.bytes(encoder.encode(value));
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** Bytes written. */
  get length(): number {
    return this.#length;
  }

  /** Forgets what was written. */
  clear(): void {
    this.#length = 0;
  }

  /** What was written; valid until the next write. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#buffer.length, this.#length + more));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

/** Reads what a {@link Writer} wrote. Everything may be wrong with the bytes: each method throws a NetError `invalid` at
 *  what can't have been written by one. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #offset = 0;

  /** `what` names the bytes in refusals: `gossip packet`. */
  constructor(bytes: Uint8Array, what: string) {
    // Of a plain array slices are copies; of a Buffer they would keep the whole packet in memory.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#offset++];
    if (value === undefined) throw this.refusal("it ends too early");
    return value;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (value > Number.MAX_SAFE_INTEGER || (byte === 0 && factor > 1)) throw this.refusal("a number is malformed");
      if (byte < 0x80) return value;
    }
  }

  word(): number {
    let value = 0;
    for (let count = 0; count < 4; count++) value = value * 0x100 + this.byte();
    return value;
  }

  /** A count of things that follow, at most `limit`. */
  count(limit: number): number {
    const count = this.varint();
    if (count > limit) throw this.refusal(`${count} exceeds the limit of ${limit}`);
    return count;
  }

  /** A copy of the next bytes, at most `limit`. */
  bytes(limit: number): Uint8Array {
    const length = this.count(limit);
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw this.refusal("it ends too early");
    const value = this.#bytes.slice(this.#offset, end);
    this.#offset = end;
    return value;
  }

  /** A text of at most `limit` bytes in UTF-8. */
  text(limit: number): string {
    const bytes = this.bytes(limit);
    try {
      return decoder.decode(bytes);
    } catch {
      throw this.refusal("a text is not UTF-8");
    }
  }

  refusal(said: string): NetError {
    return new NetError("invalid", { tried: `read a ${this.#what} of ${this.#bytes.length} bytes`, said });
  }
}
