import { addressOf, trySystemCall } from "./ffi.ts";
import {
  bytesOf,
  CONTROL,
  CONTROL_LENGTH,
  IOV,
  IOV_COUNT,
  IOVEC_WORDS,
  MMSGHDR_WORDS,
  NAME,
  NAME_LENGTH,
  SOURCE_BYTES,
  setPointer,
} from "./message-header.ts";

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** Bytes of a control message with one 16-bit number, and what it takes with padding (cmsg(3)). */
const CONTROL_BYTES = 18;
const CONTROL_WORDS = 6;
/** Where its number is. */
const SEGMENT = 4;
/** Longer replies go one by one: together they might be more than one datagram may hold, and alone more than the path
 *  takes without fragments, which the kernel refuses for segments. */
const LONGEST_SEGMENT = 512;
const SOURCE_WORDS = SOURCE_BYTES / 4;
const AF_INET = 2;
/** Places in which messages are looked for, so that replies to many peers cost no search; and an odd number of many
 *  bits that spreads over them. */
const PLACES_LOG2 = 8;
const PLACE_FACTOR = 0x9e3779b1;
const NONE = -1;
/** 32-bit words of struct sockaddr_in and sockaddr_in6 that tell peers apart. */
const PEER_WORDS = { 4: 2, 6: 7 } as const;

/** Replies that go out with one system call (sendmmsg(2)). Those of one length to one peer are one message, which the
 *  kernel cuts into datagrams at the end of its way (UDP_SEGMENT, udp(7), Linux 4.18): most of a reply's cost is that
 *  way. */
export class ReplyBatch {
  /** Replies, each at its slot. */
  readonly output: Uint8Array;
  readonly #outputAt: number;
  readonly #slot: number;
  readonly #sources: Uint32Array;
  readonly #sourcesAt: number;
  readonly #headers: Uint32Array;
  readonly #headersAt: number;
  readonly #vectors: Uint32Array;
  readonly #vectorsAt: number;
  readonly #controls: Uint32Array;
  readonly #controlsAt: number;
  /** By reply: whom it is for (number of the source), how long it is, its message. */
  readonly #peer: Int32Array;
  readonly #length: Int32Array;
  readonly #message: Int32Array;
  /** By message: its first reply, the number of its replies, and the vector of the next one. */
  readonly #first: Int32Array;
  readonly #size: Int32Array;
  readonly #next: Int32Array;
  /** By place: the message that was begun there last. */
  readonly #recent = new Int32Array(2 ** PLACES_LOG2);
  #replies = 0;

  /** `count` replies at most, of `slot` bytes each; `sources` holds structs sockaddr, one every SOURCE_BYTES. */
  constructor(count: number, slot: number, sources: Uint8Array) {
    this.output = new Uint8Array(count * slot);
    this.#outputAt = addressOf(this.output);
    this.#slot = slot;
    this.#sources = new Uint32Array(sources.buffer, sources.byteOffset, sources.length / 4);
    this.#sourcesAt = addressOf(sources);
    this.#headers = new Uint32Array(count * MMSGHDR_WORDS);
    this.#headersAt = addressOf(bytesOf(this.#headers));
    this.#vectors = new Uint32Array(count * IOVEC_WORDS);
    this.#vectorsAt = addressOf(bytesOf(this.#vectors));
    this.#controls = new Uint32Array(count * CONTROL_WORDS);
    this.#controlsAt = addressOf(bytesOf(this.#controls));
    const numbers = () => new Int32Array(count);
    [this.#peer, this.#length, this.#message] = [numbers(), numbers(), numbers()];
    [this.#first, this.#size, this.#next] = [numbers(), numbers(), numbers()];
    for (let at = 0; at < this.#controls.length; at += CONTROL_WORDS)
      this.#controls.set([CONTROL_BYTES, 0, SOL_UDP, UDP_SEGMENT], at);
  }

  /** Slot that the next reply belongs into. */
  get next(): number {
    return this.#replies;
  }

  clear(): void {
    this.#replies = 0;
  }

  /** Notes that the next reply is there, for this source. */
  add(source: number, length: number): void {
    this.#peer[this.#replies] = source;
    this.#length[this.#replies] = length;
    this.#replies++;
  }

  /** Sends all replies. One that the kernel refuses is lost, those after it are not. Gives the number of messages. */
  send(fd: number): number {
    const messages = this.#join();
    this.#write(messages);
    for (let done = 0; done < messages; ) {
      const sent = this.#sendFrom(fd, done, messages);
      // A path that can't have segments (one with IPsec, for example) can have datagrams still.
      if (sent < 1 && (this.#size[done] ?? 0) > 1) this.#sendSingly(fd, done);
      done += Math.max(1, sent);
    }
    return messages;
  }

  #sendFrom(fd: number, from: number, to: number): number {
    return trySystemCall("sendmmsg", fd, this.#headersAt + from * MMSGHDR_WORDS * 4, to - from, 0);
  }

  /** Gives each reply its message; gives the number of messages. */
  #join(): number {
    let messages = 0;
    this.#recent.fill(NONE);
    for (let reply = 0; reply < this.#replies; reply++) {
      const place = this.#placeOf(reply);
      let message = this.#recent[place] ?? NONE;
      if (message === NONE || !this.#canJoin(reply, this.#first[message] ?? 0)) {
        message = messages++;
        this.#first[message] = reply;
        this.#size[message] = 0;
        this.#recent[place] = message;
      }
      this.#message[reply] = message;
      this.#size[message] = (this.#size[message] ?? 0) + 1;
    }
    return messages;
  }

  /** From the peer's port and the length. */
  #placeOf(reply: number): number {
    const port = (this.#sources[(this.#peer[reply] ?? 0) * SOURCE_WORDS] ?? 0) >>> 16;
    return Math.imul(port ^ ((this.#length[reply] ?? 0) << 16), PLACE_FACTOR) >>> (32 - PLACES_LOG2);
  }

  #canJoin(reply: number, first: number): boolean {
    const length = this.#length[reply] ?? 0;
    if (length > LONGEST_SEGMENT || length !== this.#length[first]) return false;
    return this.#isSamePeer(this.#peer[first] ?? 0, this.#peer[reply] ?? 0);
  }

  #isSamePeer(a: number, b: number): boolean {
    const sources = this.#sources;
    const from = a * SOURCE_WORDS;
    const to = b * SOURCE_WORDS;
    const words = ((sources[from] ?? 0) & 0xffff) === AF_INET ? PEER_WORDS[4] : PEER_WORDS[6];
    for (let word = 0; word < words; word++) if (sources[from + word] !== sources[to + word]) return false;
    return true;
  }

  #write(messages: number): void {
    let vector = 0;
    for (let message = 0; message < messages; message++) {
      const first = this.#first[message] ?? 0;
      const size = this.#size[message] ?? 0;
      this.#writeHeader(message, this.#peer[first] ?? 0, vector, size);
      if (size > 1) this.#writeControl(message, this.#length[first] ?? 0);
      this.#next[message] = vector;
      vector += size;
    }
    for (let reply = 0; reply < this.#replies; reply++) {
      const message = this.#message[reply] ?? 0;
      const at = this.#next[message] ?? 0;
      this.#next[message] = at + 1;
      setPointer(this.#vectors, at * IOVEC_WORDS, this.#outputAt + reply * this.#slot);
      this.#vectors[at * IOVEC_WORDS + 2] = this.#length[reply] ?? 0;
    }
  }

  #writeHeader(message: number, source: number, vector: number, size: number): void {
    const headers = this.#headers;
    const header = message * MMSGHDR_WORDS;
    const isIpv4 = ((this.#sources[source * SOURCE_WORDS] ?? 0) & 0xffff) === AF_INET;
    setPointer(headers, header + NAME, this.#sourcesAt + source * SOURCE_BYTES);
    headers[header + NAME_LENGTH] = isIpv4 ? 16 : 28;
    setPointer(headers, header + IOV, this.#vectorsAt + vector * IOVEC_WORDS * 4);
    headers[header + IOV_COUNT] = size;
    setPointer(headers, header + CONTROL, 0);
    headers[header + CONTROL_LENGTH] = 0;
  }

  #writeControl(message: number, length: number): void {
    this.#controls[message * CONTROL_WORDS + SEGMENT] = length;
    setPointer(this.#headers, message * MMSGHDR_WORDS + CONTROL, this.#controlsAt + message * CONTROL_WORDS * 4);
    this.#headers[message * MMSGHDR_WORDS + CONTROL_LENGTH] = CONTROL_WORDS * 4;
  }

  /** Sends the parts of one message as datagrams of their own; its header is used for each in turn. */
  #sendSingly(fd: number, message: number): void {
    const source = this.#peer[this.#first[message] ?? 0] ?? 0;
    const end = this.#next[message] ?? 0;
    for (let vector = end - (this.#size[message] ?? 0); vector < end; vector++) {
      this.#writeHeader(message, source, vector, 1);
      this.#sendFrom(fd, message, message + 1);
    }
  }
}
