/** A query that a worker leaves to the main thread, which answers through the same socket. */
export interface Handed {
  readonly fd: number;
  readonly message: Uint8Array;
  /** Whom to answer: a struct sockaddr; bytes behind a shorter one mean nothing. */
  readonly source: Uint8Array;
}

/** Words of the ring; a power of two. 256 KiB hold some 2,500 usual queries. */
const RING_WORDS = 1 << 16;
/** The words before the ring: how many were written and taken since the start, modulo 2^32, and the bell. */
const WRITTEN = 0;
const TAKEN = 1;
const BELL = 2;
const RING = 16;
/** Bytes of struct sockaddr_in6, the larger one. */
const SOURCE_BYTES = 28;
/** Words before a query's message: descriptor, bytes of the message, source. */
const HEAD_WORDS = 2 + SOURCE_BYTES / 4;
/** In place of a descriptor: the next query is at the ring's beginning. */
const SKIP = -1;

/** Queries on their way from one worker to the main thread, in memory that both share: a message of their own for each
 *  would cost copies, events and garbage on both sides, and a flood of unknown names is when there is no room for that.
 *  One thread puts, one takes. */
export class HandedQueries {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  /** Over the memory of the other thread's, or some of its own. */
  constructor(memory = new SharedArrayBuffer((RING + RING_WORDS) * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  /** Adds the query of `length` bytes at `at` in `input`, from the struct sockaddr at `sourceAt`; false when there is
   *  no room. Allocates nothing. */
  put(fd: number, input: Uint8Array, at: number, length: number, sources: Uint8Array, sourceAt: number): boolean {
    const words = this.#words;
    const written = words[WRITTEN] ?? 0;
    const needed = wordsOf(length);
    const place = written & (RING_WORDS - 1);
    const skipped = place + needed > RING_WORDS ? RING_WORDS - place : 0;
    if (((written - Atomics.load(words, TAKEN)) >>> 0) + skipped + needed > RING_WORDS) return false;
    if (skipped > 0) words[RING + place] = SKIP;
    const start = RING + ((place + skipped) & (RING_WORDS - 1));
    words[start] = fd;
    words[start + 1] = length;
    const bytes = this.#bytes;
    const to = (start + 2) * 4;
    const messageTo = (start + HEAD_WORDS) * 4;
    for (let index = 0; index < SOURCE_BYTES; index++) bytes[to + index] = sources[sourceAt + index] ?? 0;
    for (let index = 0; index < length; index++) bytes[messageTo + index] = input[at + index] ?? 0;
    Atomics.store(words, WRITTEN, (written + skipped + needed) | 0);
    return true;
  }

  /** Whether the main thread must be told that there is something: nobody has since it looked last. */
  mustTell(): boolean {
    return Atomics.exchange(this.#words, BELL, 1) === 0;
  }

  /** Takes all that is there. What comes meanwhile is told of anew. */
  *take(): Generator<Handed> {
    const words = this.#words;
    Atomics.store(words, BELL, 0);
    const end = Atomics.load(words, WRITTEN);
    for (let taken = words[TAKEN] ?? 0; taken !== end; ) {
      const place = taken & (RING_WORDS - 1);
      const start = RING + place;
      const fd = words[start] ?? SKIP;
      if (fd === SKIP) {
        taken = (taken + RING_WORDS - place) | 0;
        continue;
      }
      const length = words[start + 1] ?? 0;
      const source = this.#copy(start + 2, SOURCE_BYTES);
      const message = this.#copy(start + HEAD_WORDS, length);
      taken = (taken + wordsOf(length)) | 0;
      Atomics.store(words, TAKEN, taken);
      yield { fd, message, source };
    }
  }

  /** Bytes from this word on, out of the shared memory. */
  #copy(word: number, length: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(word * 4, word * 4 + length));
  }
}

/** Words that a query of so many bytes takes. */
function wordsOf(length: number): number {
  return HEAD_WORDS + ((length + 3) >>> 2);
}
