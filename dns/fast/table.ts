import { CLASS, RCODE, TYPE } from "../codes.ts";
import type { Answer } from "../forward/answer.ts";
import type { AnswerTable } from "../forward/cache.ts";
import type { Question } from "../forward/question.ts";
import { HEADER_BYTES } from "../message.ts";
import { type Name, nameBytes } from "../name.ts";
import { addressBytes, type DnsRecord } from "../record.ts";
import { encodeReply } from "../reply.ts";
import { negativeSoa } from "../zone.ts";
import type { NameData } from "../zones.ts";
import { answerBytes, answerKey, encodeAnswer } from "./answer-entry.ts";
import {
  A_BYTES,
  AAAA_BYTES,
  ANSWER_ENTRY,
  ARENA,
  CONTROL,
  EMPTY,
  ENTRY_WORDS,
  HASH_FACTOR,
  HASH_START,
  IDLE,
  LIFETIME_BITS,
  OTHER_TYPES,
  REGION_WORDS,
  REMOVED,
  WORKERS_MOST,
} from "./layout.ts";

const FIRST_SLOTS_LOG2 = 10;

/** Memory that nobody refers to any more, but that a worker may still be reading. */
interface Retired {
  readonly epoch: number;
  readonly offset: number;
  readonly words: number;
}

/** Names of the local zones in memory that workers read while this thread, the only one that writes, changes it. An
 *  entry is complete before it is referred to, and never changes; its memory is used again when no worker can be
 *  reading it. The memory is reserved at once, but the machine gives only what is used. */
export class SharedTable implements AnswerTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** Free blocks by the logarithm of their size in words. */
  readonly #free: number[][] = Array.from({ length: 32 }, () => []);
  #retired: Retired[] = [];
  #end = ARENA;
  #live = 0;
  #used = 0;

  /** `bytes`: memory to reserve. */
  constructor(bytes: number) {
    this.memory = new SharedArrayBuffer(bytes);
    this.#words = new Int32Array(this.memory);
    this.#bytes = new Uint8Array(this.memory);
    for (let worker = 0; worker < WORKERS_MOST; worker++) this.#words[CONTROL.workers + worker] = IDLE;
    this.#setSlots(FIRST_SLOTS_LOG2, this.#allocateSlots(FIRST_SLOTS_LOG2));
  }

  /** Names in the table. */
  get size(): number {
    return this.#live;
  }

  /** Bytes of the memory that were ever used. */
  get bytesUsed(): number {
    return this.#end * 4;
  }

  /** Publishes what is known of a name, or takes it out. What the workers can't answer is left out: names with aliases,
   *  and all that there is no room for. */
  put(name: Name, data: NameData | undefined): void {
    const key = nameBytes(name);
    if (key === undefined) return;
    const entry = data === undefined ? undefined : encodeEntry(name, key, data);
    const offset = entry === undefined ? undefined : this.#store(entry);
    this.#refer(key, offset);
    this.#collect();
  }

  putAnswer(question: Question, answer: Answer, bornSeconds: number): void {
    const key = answerKey(question);
    const entry = key && encodeAnswer(key, question, answer, bornSeconds);
    const offset = entry === undefined ? undefined : this.#store(entry);
    if (key === undefined) return;
    this.#refer(key, offset);
    this.#collect();
  }

  removeAnswer(question: Question): void {
    const key = answerKey(question);
    if (key === undefined) return;
    this.#refer(key, undefined);
    this.#collect();
  }

  takeUses(question: Question): number {
    const key = answerKey(question);
    if (key === undefined) return 0;
    const entry = this.#words[this.#slotOf(key, hashOf(key)) + 1] ?? EMPTY;
    if (entry === EMPTY || entry === REMOVED) return 0;
    const lived = this.#words[entry + 2] ?? 0;
    this.#words[entry + 2] = lived & (2 ** LIFETIME_BITS - 1);
    return lived >>> LIFETIME_BITS;
  }

  /** Tells the workers the time, seconds of the monotonic clock. */
  setSeconds(seconds: number): void {
    Atomics.store(this.#words, CONTROL.seconds, seconds);
  }

  #store(entry: Uint8Array): number | undefined {
    const words = Math.ceil(entry.length / 4);
    const offset = this.#allocate(words);
    if (offset === undefined) return undefined;
    this.#bytes.set(entry, offset * 4);
    return offset;
  }

  #refer(key: Uint8Array, offset: number | undefined): void {
    const hash = hashOf(key);
    const slot = this.#slotOf(key, hash);
    const before = Atomics.load(this.#words, slot + 1);
    if (offset === undefined) {
      if (before !== EMPTY && before !== REMOVED) {
        Atomics.store(this.#words, slot + 1, REMOVED);
        this.#live--;
      }
    } else {
      this.#words[slot] = hash;
      Atomics.store(this.#words, slot + 1, offset);
      if (before === EMPTY) this.#used++;
      if (before === EMPTY || before === REMOVED) this.#live++;
    }
    if (before !== EMPTY && before !== REMOVED) this.#retire(before, this.#wordsOf(before));
    this.#growIfFull();
  }

  /** The slot of a name, or the first that it may take. */
  #slotOf(key: Uint8Array, hash: number): number {
    const { first, mask } = this.#slots();
    let free: number | undefined;
    for (let index = hash & mask; ; index = (index + 1) & mask) {
      const slot = first + index * 2;
      const entry = this.#words[slot + 1] ?? 0;
      if (entry === EMPTY) return free ?? slot;
      if (entry === REMOVED) free ??= slot;
      else if (this.#words[slot] === hash && this.#hasKey(entry, key)) return slot;
    }
  }

  #hasKey(entry: number, key: Uint8Array): boolean {
    if (((this.#words[entry] ?? 0) & 0xffff) !== key.length) return false;
    const from = (entry + ENTRY_WORDS) * 4;
    return key.every((byte, index) => this.#bytes[from + index] === byte);
  }

  /** Twice the slots, or as many without those of removed names, when three of four are taken. */
  #growIfFull(): void {
    const { first, log2, mask } = this.#slots();
    if (this.#used * 4 < (mask + 1) * 3) return;
    const grown = this.#live * 2 > mask ? log2 + 1 : log2;
    const region = this.#allocateSlots(grown);
    const newMask = 2 ** grown - 1;
    for (let index = 0; index <= mask; index++) {
      const entry = this.#words[first + index * 2 + 1] ?? 0;
      if (entry === EMPTY || entry === REMOVED) continue;
      const hash = this.#words[first + index * 2] ?? 0;
      let to = hash & newMask;
      while (this.#words[region + to * 2 + 1] !== EMPTY) to = (to + 1) & newMask;
      this.#words[region + to * 2] = hash;
      this.#words[region + to * 2 + 1] = entry;
    }
    this.#used = this.#live;
    this.#setSlots(grown, region);
    this.#retire(first, (mask + 1) * 2);
  }

  #wordsOf(entry: number): number {
    const [head = 0, counts = 0, size = 0] = this.#words.subarray(entry, entry + ENTRY_WORDS);
    const key = ENTRY_WORDS * 4 + (head & 0xffff);
    if ((head & ANSWER_ENTRY) !== 0) return Math.ceil((key + answerBytes(this.#bytes, entry * 4 + key)) / 4);
    return Math.ceil((key + (counts & 0xffff) * A_BYTES + (counts >>> 16) * AAAA_BYTES + size) / 4);
  }

  #slots(): { first: number; log2: number; mask: number } {
    const slots = this.#words[CONTROL.slots] ?? 0;
    const log2 = slots & 31;
    return { first: (slots >>> 5) * REGION_WORDS, log2, mask: 2 ** log2 - 1 };
  }

  #setSlots(log2: number, region: number): void {
    Atomics.store(this.#words, CONTROL.slots, ((region / REGION_WORDS) << 5) | log2);
  }

  #allocateSlots(log2: number): number {
    const words = 2 ** (log2 + 1);
    const offset = this.#allocate(words);
    if (offset === undefined) throw new Error(`no room for ${2 ** log2} slots`);
    this.#words.fill(EMPTY, offset, offset + words);
    return offset;
  }

  #allocate(words: number): number | undefined {
    const log2 = sizeClass(words);
    const free = this.#free[log2]?.pop();
    if (free !== undefined) return free;
    const unit = Math.min(2 ** log2, REGION_WORDS);
    const offset = Math.ceil(this.#end / unit) * unit;
    if (offset + 2 ** log2 > this.#words.length) return undefined;
    this.#end = offset + 2 ** log2;
    return offset;
  }

  /** What is taken out now may be used again when every worker has begun anew since. */
  #retire(offset: number, words: number): void {
    this.#retired.push({ epoch: Atomics.add(this.#words, CONTROL.epoch, 1), offset, words });
  }

  #collect(): void {
    if (this.#retired.length < 64) return;
    let oldest = Number.POSITIVE_INFINITY;
    for (let worker = 0; worker < WORKERS_MOST; worker++) {
      const epoch = Atomics.load(this.#words, CONTROL.workers + worker);
      if (epoch !== IDLE) oldest = Math.min(oldest, epoch);
    }
    const unread = this.#retired.filter(({ epoch }) => epoch < oldest);
    for (const { offset, words } of unread) this.#free[sizeClass(words)]?.push(offset);
    if (unread.length > 0) this.#retired = this.#retired.filter(({ epoch }) => epoch >= oldest);
  }
}

/** Regions of slots begin at a multiple of {@link REGION_WORDS}, so blocks of that size and more must. */
function sizeClass(words: number): number {
  return Math.ceil(Math.log2(words));
}

function hashOf(key: Uint8Array): number {
  let hash = HASH_START;
  for (const byte of key) hash = Math.imul(hash ^ byte, HASH_FACTOR);
  return hash;
}

/** An entry in bytes; undefined for a name that the main thread must answer. */
function encodeEntry(name: Name, key: Uint8Array, { zone, sets }: NameData): Uint8Array | undefined {
  const recordsOf = (type: number): readonly DnsRecord[] => sets.find((set) => set.type === type)?.records ?? [];
  const [a, aaaa] = [recordsOf(TYPE.A), recordsOf(TYPE.AAAA)];
  if (a.length > 0xffff || aaaa.length > 0xffff || recordsOf(TYPE.CNAME).length > 0) return undefined;
  const other = sets.some(({ type }) => type !== TYPE.A && type !== TYPE.AAAA);
  const soa = encodeSoa(name, key, negativeSoa(zone));
  const start = ENTRY_WORDS * 4 + key.length;
  const bytes = new Uint8Array(start + a.length * A_BYTES + aaaa.length * AAAA_BYTES + soa.length);
  const words = new Int32Array(bytes.buffer, 0, ENTRY_WORDS);
  words[0] = key.length | (other ? OTHER_TYPES : 0);
  words[1] = a.length | (aaaa.length << 16);
  words[2] = soa.length;
  bytes.set(key, ENTRY_WORDS * 4);
  let offset = start;
  for (const { ttl, data } of [...a, ...aaaa]) {
    if (data.type !== "A" && data.type !== "AAAA") throw new Error(`${data.type} among addresses`);
    const content = addressBytes(data);
    const view = new DataView(bytes.buffer, offset);
    view.setUint16(0, 0xc000 | HEADER_BYTES);
    view.setUint16(2, TYPE[data.type]);
    view.setUint16(4, CLASS.IN);
    view.setUint32(6, ttl);
    view.setUint16(10, content.length);
    bytes.set(content, offset + 12);
    offset += 12 + content.length;
  }
  bytes.set(soa, offset);
  return bytes;
}

/** The SOA record as it follows a question about the name. */
function encodeSoa(name: Name, key: Uint8Array, soa: DnsRecord): Uint8Array {
  const question = Uint8Array.from([...key, 0, TYPE.A, 0, CLASS.IN]);
  const query = { id: 0, flags: 0, name, type: TYPE.A, question, edns: undefined };
  const reply = { rcode: RCODE.NOERROR, authoritative: true, answers: [], authority: [soa], additional: [] };
  return encodeReply(query, reply, { limit: 1024, recursion: false }).slice(HEADER_BYTES + question.length);
}
