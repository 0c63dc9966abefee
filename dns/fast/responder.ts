import { EDNS_UDP_BYTES, FLAG, PLAIN_UDP_BYTES, TYPE } from "../codes.ts";
import { flagsOf as questionFlags } from "../forward/question.ts";
import {
  A_BYTES,
  AAAA_BYTES,
  ANSWER,
  CONTROL,
  EMPTY,
  ENTRY_WORDS,
  HASH_FACTOR,
  HASH_START,
  KEY_TAIL_BYTES,
  LIFETIME_BITS,
  OTHER_TYPES,
  REGION_WORDS,
  REMOVED,
  USES_MOST,
} from "./layout.ts";

const HEADER = 12;
const OPT_BYTES = 11;
const LIFETIME_MASK = 2 ** LIFETIME_BITS - 1;

/** Lower case of each byte. */
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));

/** Answers A and AAAA questions, and others about names that have no other records, from the shared table; the answers
 *  are byte for byte those of the main thread. Whatever is not simple (another section filled, EDNS options, unknown
 *  names, errors) is left to the main thread. Allocates nothing. */
export class Responder {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #name = new Uint8Array(256 + KEY_TAIL_BYTES);
  readonly #recursion: number;
  #nameEnd = 0;
  #nameLength = 0;
  #optSize = 0;
  #dnssecOk = 0;
  #from = 0;
  #count = 0;
  #size = 0;

  constructor(memory: SharedArrayBuffer, recursion: boolean) {
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
    this.#recursion = recursion ? FLAG.RA : 0;
  }

  /** Writes the reply to the query at `at` to `out`; gives its length, or 0 when the main thread must answer. */
  respond(input: Uint8Array, at: number, length: number, output: Uint8Array, out: number): number {
    const hash = this.#readQuery(input, at, length);
    const end = this.#nameEnd;
    if (end === 0) return 0;
    const entry = this.#find(hash, this.#nameLength);
    if (entry === 0) return this.#recursion === 0 ? 0 : this.#giveKept(hash, input, at, output, out);
    if (!this.#chooseRecords(entry, u16(input, end))) return 0;
    const question = end + 4 - at;
    const base = out + question;
    const limit = this.#limit();
    const answers = Math.min(this.#count, Math.floor((limit - question) / this.#size));
    if (this.#count === 0 && this.#size > limit - question) return 0;
    // With the header, whose other words are written after.
    for (let index = 0; index < question; index++) output[out + index] = input[at + index] ?? 0;
    const truncated = answers < this.#count ? FLAG.TC : 0;
    const kept = u16(input, at + 2) & (FLAG.RD | FLAG.CD);
    put16(output, out + 2, FLAG.QR | FLAG.AA | this.#recursion | truncated | kept);
    put16(output, out + 4, 1);
    put16(output, out + 6, answers);
    put16(output, out + 8, this.#count === 0 ? 1 : 0);
    put16(output, out + 10, this.#optSize === 0 ? 0 : 1);
    if (this.#count === 0) this.#copy(this.#from, this.#size, output, base);
    else this.#copyTurned(answers, u16(input, at), output, base);
    return this.#withOpt(output, out, question + (this.#count === 0 ? this.#size : answers * this.#size));
  }

  /** Makes the reply that was just written at `out` one without records, whose asker is to come over TCP; gives its
   *  length. */
  cut(output: Uint8Array, out: number): number {
    const end = HEADER + this.#nameLength + 4;
    output[out + 2] = (output[out + 2] ?? 0) | (FLAG.TC >> 8);
    for (let index = 6; index < HEADER; index++) output[out + index] = 0;
    output[out + 11] = this.#optSize === 0 ? 0 : 1;
    return this.#withOpt(output, out, end);
  }

  /** Finds the records that answer a type: `#count` of `#size` bytes at `#from`, or none and the SOA record there.
   *  False when the main thread must answer. */
  #chooseRecords(entry: number, type: number): boolean {
    const words = this.#words;
    const head = words[entry] ?? 0;
    const counts = words[entry + 1] ?? 0;
    const first = (entry + ENTRY_WORDS) * 4 + (head & 0xffff);
    const second = first + (counts & 0xffff) * A_BYTES;
    if (type === TYPE.A && (counts & 0xffff) > 0) return this.#choose(first, counts & 0xffff, A_BYTES);
    if (type === TYPE.AAAA && counts >>> 16 > 0) return this.#choose(second, counts >>> 16, AAAA_BYTES);
    const address = type === TYPE.A || type === TYPE.AAAA;
    if (!address && (type >= TYPE.IXFR || (head & OTHER_TYPES) !== 0)) return false;
    return this.#choose(second + (counts >>> 16) * AAAA_BYTES, 0, words[entry + 2] ?? 0);
  }

  #choose(from: number, count: number, size: number): true {
    this.#from = from;
    this.#count = count;
    this.#size = size;
    return true;
  }

  /** Hash of the query's name; `#nameEnd` is 0 when the query is not simple. */
  #readQuery(input: Uint8Array, at: number, length: number): number {
    this.#nameEnd = 0;
    // Header of a query with one question, and nothing but perhaps an OPT record behind it.
    if (length < HEADER + 5 || ((input[at + 2] ?? 0) & 0xf8) !== 0) return 0;
    if (u16(input, at + 4) !== 1 || u16(input, at + 6) !== 0 || u16(input, at + 8) !== 0) return 0;
    const hash = this.#readName(input, at + HEADER, at + length);
    if (this.#nameEnd === 0) return 0;
    const end = this.#nameEnd;
    if (u16(input, end + 2) !== 1 || !this.#readOpt(input, end + 4, at + length, u16(input, at + 10)))
      this.#nameEnd = 0;
    return hash;
  }

  /** Writes the answer of an upstream, if it is there, not too old, and fits. */
  #giveKept(nameHash: number, input: Uint8Array, at: number, output: Uint8Array, out: number): number {
    const flags = u16(input, at + 2);
    if ((flags & FLAG.RD) === 0) return 0;
    const end = this.#nameEnd;
    const length = this.#nameLength;
    const entry = this.#find(this.#hashQuestion(nameHash, input, end, flags), length + KEY_TAIL_BYTES);
    if (entry === 0) return 0;
    const words = this.#words;
    const age = Math.max(0, Atomics.load(words, CONTROL.seconds) - (words[entry + 1] ?? 0));
    const lived = words[entry + 2] ?? 0;
    if (age >= (lived & LIFETIME_MASK)) return 0;
    const fields = (entry + ENTRY_WORDS) * 4 + length + KEY_TAIL_BYTES;
    const bytes = this.#bytes;
    const size = u16(bytes, fields + ANSWER.body);
    const question = end + 4 - at;
    const limit = this.#limit();
    if (question + size > limit) return 0;
    if (lived >>> LIFETIME_BITS < USES_MOST) words[entry + 2] = lived + (1 << LIFETIME_BITS);
    const ttls = u16(bytes, fields + ANSWER.ttls);
    for (let index = 0; index < question; index++) output[out + index] = input[at + index] ?? 0;
    const told = (flags & FLAG.AD) !== 0 || (this.#optSize !== 0 && this.#dnssecOk !== 0) ? FLAG.AD : 0;
    const own = u16(bytes, fields + ANSWER.flags) & (0xffff - FLAG.AD + told);
    put16(output, out + 2, own | (flags & (FLAG.RD | FLAG.CD)));
    put16(output, out + 4, 1);
    put16(output, out + 6, u16(bytes, fields + ANSWER.answers));
    put16(output, out + 8, u16(bytes, fields + ANSWER.authority));
    put16(output, out + 10, u16(bytes, fields + ANSWER.additional) + (this.#optSize === 0 ? 0 : 1));
    const body = out + question;
    this.#copy(fields + ANSWER.bytes + 2 * ttls, size, output, body);
    if (age > 0) this.#ageTtls(fields + ANSWER.bytes, ttls, age, output, body);
    return this.#withOpt(output, out, question + size);
  }

  /** Goes on hashing with type and flags, which are put behind the name. */
  #hashQuestion(nameHash: number, input: Uint8Array, end: number, flags: number): number {
    const dnssecOk = this.#optSize !== 0 && this.#dnssecOk !== 0;
    const name = this.#name;
    const at = this.#nameLength;
    name[at] = input[end] ?? 0;
    name[at + 1] = input[end + 1] ?? 0;
    name[at + 2] = questionFlags(dnssecOk, (flags & FLAG.CD) !== 0);
    let hash = nameHash;
    for (let index = at; index < at + KEY_TAIL_BYTES; index++) hash = Math.imul(hash ^ (name[index] ?? 0), HASH_FACTOR);
    return hash;
  }

  #ageTtls(offsets: number, count: number, age: number, output: Uint8Array, body: number): void {
    for (let index = 0; index < count; index++) {
      const at = body + u16(this.#bytes, offsets + 2 * index);
      const ttl = u16(output, at) * 65_536 + u16(output, at + 2);
      const left = ttl > age ? ttl - age : 0;
      put16(output, at, left >>> 16);
      put16(output, at + 2, left & 0xffff);
    }
  }

  /** Hash of the name in lower case, which is left in `#name`; `#nameEnd` is 0 when it isn't one. */
  #readName(input: Uint8Array, start: number, end: number): number {
    const name = this.#name;
    this.#nameEnd = 0;
    let hash = HASH_START;
    let offset = start;
    for (;;) {
      const size = input[offset] ?? 0;
      const next = offset + size + 1;
      if (size > 63 || next - start > 254 + (size === 0 ? 1 : 0) || next + 4 > end) return 0;
      for (let index = offset; index < next; index++) {
        const byte = LOWER[input[index] ?? 0] ?? 0;
        name[index - start] = byte;
        hash = Math.imul(hash ^ byte, HASH_FACTOR);
      }
      offset = next;
      if (size === 0) break;
    }
    this.#nameEnd = offset;
    this.#nameLength = offset - start;
    return hash;
  }

  /** Takes the OPT record, when there is just a plain one (RFC 6891 section 6.1.2). */
  #readOpt(input: Uint8Array, offset: number, end: number, additional: number): boolean {
    this.#optSize = 0;
    if (additional === 0) return offset === end;
    if (additional !== 1 || end - offset !== OPT_BYTES) return false;
    if (input[offset] !== 0 || u16(input, offset + 1) !== TYPE.OPT || u16(input, offset + 9) !== 0) return false;
    if (input[offset + 6] !== 0) return false;
    this.#optSize = Math.max(u16(input, offset + 3), PLAIN_UDP_BYTES);
    this.#dnssecOk = (input[offset + 7] ?? 0) & 0x80;
    return true;
  }

  #find(hash: number, nameBytes: number): number {
    const words = this.#words;
    const slots = Atomics.load(words, CONTROL.slots);
    const first = (slots >>> 5) * REGION_WORDS;
    const mask = (1 << (slots & 31)) - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = Atomics.load(words, first + slot * 2 + 1);
      if (entry === EMPTY) return 0;
      if (entry !== REMOVED && words[first + slot * 2] === hash && this.#isName(entry, nameBytes)) return entry;
    }
  }

  #isName(entry: number, nameBytes: number): boolean {
    if (((this.#words[entry] ?? 0) & 0xffff) !== nameBytes) return false;
    const bytes = this.#bytes;
    const name = this.#name;
    const from = (entry + ENTRY_WORDS) * 4;
    for (let index = 0; index < nameBytes; index++) if (bytes[from + index] !== name[index]) return false;
    return true;
  }

  /** So many of the chosen records, beginning with another one for each query id. */
  #copyTurned(answers: number, id: number, output: Uint8Array, to: number): void {
    const size = this.#size;
    const turn = id % this.#count;
    const first = Math.min(answers, this.#count - turn);
    this.#copy(this.#from + turn * size, first * size, output, to);
    this.#copy(this.#from, (answers - first) * size, output, to + first * size);
  }

  #copy(from: number, length: number, output: Uint8Array, to: number): void {
    const bytes = this.#bytes;
    for (let index = 0; index < length; index++) output[to + index] = bytes[from + index] ?? 0;
  }

  /** Bytes that a reply may have before its OPT record. */
  #limit(): number {
    return this.#optSize === 0 ? PLAIN_UDP_BYTES : Math.min(this.#optSize, EDNS_UDP_BYTES) - OPT_BYTES;
  }

  /** Puts an OPT record behind a reply of so many bytes, when the query had one; gives the length of all. */
  #withOpt(output: Uint8Array, out: number, length: number): number {
    if (this.#optSize === 0) return length;
    const at = out + length;
    output[at] = 0;
    put16(output, at + 1, TYPE.OPT);
    put16(output, at + 3, EDNS_UDP_BYTES);
    output[at + 5] = 0;
    output[at + 6] = 0;
    output[at + 7] = this.#dnssecOk;
    output[at + 8] = 0;
    put16(output, at + 9, 0);
    return length + OPT_BYTES;
  }
}

function u16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

function put16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 0xff;
}
