import { NetError } from "../../lib/error.ts";

const NEWLINE = 0x0a;
const ZERO = 0x30;
const NINE = 0x39;
/** No record that fits into memory has a longer length line, leading zeros included. */
const LONGEST_HEADER = 20;

/**
 * Takes a RecordIO stream apart: `<decimal length>\n` and that many bytes, with nothing between records (Mesos
 * `docs/recordio.md`). Pieces may be cut anywhere; a record may be empty. What is held between pieces is never more
 * than one unfinished record of at most `longestRecord` bytes.
 */
export class RecordDecoder {
  readonly #longestRecord: number;
  #headerDigits = 0;
  #header = 0;
  /** Bytes still missing from the record that is being read; undefined while a length is being read. */
  #missing: number | undefined;
  #parts: Uint8Array[] = [];
  #failure: NetError | undefined;

  /** `longestRecord` in bytes: a longer one is refused when its length has been read, before its content arrives. */
  constructor(longestRecord: number) {
    this.#longestRecord = longestRecord;
  }

  /** Records that `piece` completes, in order. They may share memory with `piece`. Throws a NetError `invalid` for a
   *  length that isn't a number or is too large; such a stream has lost its borders, so every later call throws it
   *  too. */
  *push(piece: Uint8Array): Generator<Uint8Array, void> {
    let at = 0;
    while (at < piece.length) {
      if (this.#failure !== undefined) throw this.#failure;
      at = this.#missing === undefined ? this.#readHeader(piece, at) : this.#readContent(piece, at, this.#missing);
      if (this.#missing === 0) yield this.#finish();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** True between records: a stream that ends here has lost nothing. */
  get atBorder(): boolean {
    return this.#missing === undefined && this.#headerDigits === 0;
  }

  #readHeader(piece: Uint8Array, start: number): number {
    for (let at = start; at < piece.length; at++) {
      const byte = piece[at] ?? 0;
      if (byte === NEWLINE && this.#headerDigits > 0) {
        this.#missing = this.#header;
        this.#header = 0;
        this.#headerDigits = 0;
        return at + 1;
      }
      if (byte < ZERO || byte > NINE) this.#fail(`byte 0x${byte.toString(16)} where a length was expected`);
      this.#header = this.#header * 10 + (byte - ZERO);
      this.#headerDigits += 1;
      if (this.#headerDigits > LONGEST_HEADER) this.#fail(`a length of more than ${LONGEST_HEADER} digits`);
      if (this.#header > this.#longestRecord) this.#fail(`a record of more than ${this.#longestRecord} bytes`);
    }
    return piece.length;
  }

  #readContent(piece: Uint8Array, start: number, missing: number): number {
    const end = Math.min(piece.length, start + missing);
    this.#parts.push(piece.subarray(start, end));
    this.#missing = missing - (end - start);
    return end;
  }

  #finish(): Uint8Array {
    const [first] = this.#parts;
    const record = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#missing = undefined;
    return record;
  }

  #fail(said: string): never {
    this.#parts = [];
    this.#failure = new NetError("invalid", { tried: "read a RecordIO stream", said });
    throw this.#failure;
  }
}

/** One record as it goes over the wire. */
export function encodeRecord(content: Uint8Array): Uint8Array {
  return Buffer.concat([new TextEncoder().encode(`${content.length}\n`), content]);
}
