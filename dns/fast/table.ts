import type { Answer } from "../forward/answer.ts";
import type { AnswerTable } from "../forward/cache.ts";
import type { Question } from "../forward/question.ts";
import type { Name } from "../name.ts";
import type { NameData } from "../name-records.ts";
import { answerBytes, answerKey, encodeAnswer } from "./answer-entry.ts";
import { EntryMaker, sizeOfEntry, writeEntry } from "./entry.ts";
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
  /** Free blocks by the class of their size. */
  readonly #entries = new EntryMaker();
  readonly #free: number[][] = Array.from({ length: 128 }, () => []);
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
    const slots = this.#allocateSlots(FIRST_SLOTS_LOG2);
    if (slots === undefined) throw new Error(`${bytes} bytes are too few`);
    this.#setSlots(FIRST_SLOTS_LOG2, slots);
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
    const { key, keyBytes } = this.#entries.keyOf(name);
    if (keyBytes === 0) return;
    const entry = data === undefined ? undefined : this.#entries.entryOf(name, data);
    const offset = entry === undefined ? undefined : this.#allocate(Math.ceil(sizeOfEntry(entry) / 4));
    if (entry !== undefined && offset !== undefined) writeEntry(entry, this.#words, this.#bytes, offset);
    this.#refer(key, keyBytes, offset);
    this.#collect();
  }

  putAnswer(question: Question, answer: Answer, bornSeconds: number): void {
    const key = answerKey(question);
    const entry = key && encodeAnswer(key, question, answer, bornSeconds);
    const offset = entry === undefined ? undefined : this.#store(entry);
    if (key === undefined) return;
    this.#refer(key, key.length, offset);
    this.#collect();
  }

  removeAnswer(question: Question): void {
    const key = answerKey(question);
    if (key === undefined) return;
    this.#refer(key, key.length, undefined);
    this.#collect();
  }

  takeUses(question: Question): number {
    const key = answerKey(question);
    if (key === undefined) return 0;
    const entry = this.#words[this.#slotOf(key, key.length, hashOf(key, key.length)) + 1] ?? EMPTY;
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

  #refer(key: Uint8Array, keyBytes: number, offset: number | undefined): void {
    const hash = hashOf(key, keyBytes);
    const slot = this.#slotOf(key, keyBytes, hash);
    const before = Atomics.load(this.#words, slot + 1);
    if (before === EMPTY && offset !== undefined && !this.#hasFreeSlots()) {
      this.#free[sizeClass(this.#wordsOf(offset))]?.push(offset);
      return;
    }
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
  #slotOf(key: Uint8Array, keyBytes: number, hash: number): number {
    const { first, mask } = this.#slots();
    let free: number | undefined;
    for (let index = hash & mask; ; index = (index + 1) & mask) {
      const slot = first + index * 2;
      const entry = this.#words[slot + 1] ?? 0;
      if (entry === EMPTY) return free ?? slot;
      if (entry === REMOVED) free ??= slot;
      else if (this.#words[slot] === hash && this.#hasKey(entry, key, keyBytes)) return slot;
    }
  }

  #hasKey(entry: number, key: Uint8Array, keyBytes: number): boolean {
    if (((this.#words[entry] ?? 0) & 0xffff) !== keyBytes) return false;
    const from = (entry + ENTRY_WORDS) * 4;
    for (let index = 0; index < keyBytes; index++) if (this.#bytes[from + index] !== key[index]) return false;
    return true;
  }

  /** Twice the slots, or as many without those of removed names, when three of four are taken. */
  #growIfFull(): void {
    const { first, log2, mask } = this.#slots();
    if (this.#used * 4 < (mask + 1) * 3) return;
    const grown = this.#live * 2 > mask ? log2 + 1 : log2;
    const region = this.#allocateSlots(grown);
    if (region === undefined) return;
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

  /** False when there was no room to grow: one slot in eight stays empty, or searches would never end. */
  #hasFreeSlots(): boolean {
    const { mask } = this.#slots();
    return this.#used * 8 < (mask + 1) * 7;
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

  #allocateSlots(log2: number): number | undefined {
    const words = 2 ** (log2 + 1);
    const offset = this.#allocate(words);
    if (offset === undefined) return undefined;
    this.#words.fill(EMPTY, offset, offset + words);
    return offset;
  }

  #allocate(words: number): number | undefined {
    const size = sizeClass(words);
    const free = this.#free[size]?.pop();
    if (free !== undefined) return free;
    const block = wordsOfClass(size);
    const unit = block >= REGION_WORDS ? REGION_WORDS : 1;
    const offset = Math.ceil(this.#end / unit) * unit;
    if (offset + block > this.#words.length) return undefined;
    this.#end = offset + block;
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

/** Sizes of blocks: 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 … words, so that no more than a fifth is wasted. */
function sizeClass(words: number): number {
  const log2 = Math.max(2, 31 - Math.clz32(words));
  const quarters = Math.ceil(words / 2 ** (log2 - 2)) - 4;
  return log2 * 4 + Math.max(0, quarters);
}

function wordsOfClass(size: number): number {
  return (4 + (size % 4)) * 2 ** (Math.floor(size / 4) - 2);
}

function hashOf(key: Uint8Array, keyBytes: number): number {
  let hash = HASH_START;
  for (let index = 0; index < keyBytes; index++) hash = Math.imul(hash ^ (key[index] ?? 0), HASH_FACTOR);
  return hash;
}
