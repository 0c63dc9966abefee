import { CLASS, EDNS_UDP_BYTES, FLAG, OPTION, TCP_BYTES, TYPE } from "./codes.ts";
import { HEADER_BYTES, type Query } from "./message.ts";
import { type Name, parentOf } from "./name.ts";
import { addressBytes, type DnsRecord, type RecordData, typeOf } from "./record.ts";

/** Why an answer is as it is, for people (RFC 8914). */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
}

/** An answer before it is encoded. */
export interface Reply {
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  /** Left out where there is no room. */
  readonly additional: readonly DnsRecord[];
  readonly extendedError?: ExtendedError;
  /** Sent without records, so that the asker comes back over TCP. */
  readonly truncated?: boolean;
}

export interface EncodeOptions {
  /** Bytes that the message may have. */
  readonly limit: number;
  /** Whether the server asks others on behalf of the asker: the RA flag. */
  readonly recursion: boolean;
}

/** What the OPT record of a reply says beyond the asker's own. */
export interface OptContent {
  /** Its upper bits are in the OPT record. */
  readonly rcode: number;
  readonly extendedError?: ExtendedError | undefined;
}

/** A reply without records. */
export function emptyReply(rcode: number, extendedError?: ExtendedError): Reply {
  const bare = { rcode, authoritative: false, answers: [], authority: [], additional: [] };
  return extendedError === undefined ? bare : { ...bare, extendedError };
}

/** The message that answers a query. Where the records don't fit, as many answers as do, with TC set. */
export function encodeReply(query: Query, reply: Reply, options: EncodeOptions): Uint8Array {
  const opt = query.edns === undefined ? new Uint8Array(0) : encodeOpt(query, reply);
  const writer = new Writer(options.limit - opt.length);
  writer.begin(query);
  const answers = writer.section(reply.answers);
  const authority = answers === reply.answers.length ? writer.section(reply.authority) : 0;
  const truncated = reply.truncated === true || answers + authority < reply.answers.length + reply.authority.length;
  const additional = truncated ? 0 : writer.section(reply.additional);
  const message = writer.finish(opt);
  const view = new DataView(message.buffer, message.byteOffset);
  view.setUint16(0, query.id);
  view.setUint16(2, flagsOf(query, reply, options.recursion) | (truncated ? FLAG.TC : 0));
  view.setUint16(4, query.question.length === 0 ? 0 : 1);
  view.setUint16(6, answers);
  view.setUint16(8, authority);
  view.setUint16(10, additional + (opt.length === 0 ? 0 : 1));
  return message;
}

function flagsOf({ flags }: Query, { rcode, authoritative }: Reply, recursion: boolean): number {
  const kept = flags & (0x7800 | FLAG.RD | FLAG.CD);
  return FLAG.QR | kept | (authoritative ? FLAG.AA : 0) | (recursion ? FLAG.RA : 0) | (rcode & 0xf);
}

/** OPT record (RFC 6891 section 6.1.2) with the extended error and the cookie of the reply. */
export function encodeOpt({ edns }: Query, { rcode, extendedError }: OptContent): Uint8Array {
  const options: number[] = [...(edns?.replyCookie ?? [])];
  if (extendedError !== undefined) {
    const text = new TextEncoder().encode(extendedError.text.slice(0, 200));
    const length = text.length + 2;
    options.push(0, OPTION.EXTENDED_ERROR, length >> 8, length & 0xff);
    options.push(extendedError.code >> 8, extendedError.code & 0xff, ...text);
  }
  const dnssecOk = edns?.dnssecOk === true ? 0x80 : 0;
  const size = [EDNS_UDP_BYTES >> 8, EDNS_UDP_BYTES & 0xff];
  const length = [options.length >> 8, options.length & 0xff];
  return Uint8Array.from([0, 0, TYPE.OPT, ...size, rcode >> 4, 0, dnssecOk, 0, ...length, ...options]);
}

/** Where replies are written, one at a time: any message, and the record that was one too many. */
const SCRATCH = new Uint8Array(TCP_BYTES + 2048);
const BACKSLASH = 0x5c;

/** Writes records one after another, as long as they fit, pointing back to names that were written before (RFC 1035
 *  section 4.1.4). There is one at a time. */
class Writer {
  #length = HEADER_BYTES;
  readonly #limit: number;
  readonly #offsets = new Map<Name, number>();

  constructor(limit: number) {
    this.#limit = limit;
    SCRATCH.fill(0, 0, HEADER_BYTES);
  }

  begin({ question, name }: Query): void {
    this.#put(question);
    let offset = HEADER_BYTES;
    for (let rest = name; rest !== ""; rest = parentOf(rest)) {
      this.#offsets.set(rest, offset);
      offset += (question[offset - HEADER_BYTES] ?? 0) + 1;
    }
  }

  /** How many of the records fitted. */
  section(records: readonly DnsRecord[]): number {
    for (const [index, record] of records.entries()) {
      const start = this.#length;
      this.#record(record);
      if (this.#length > this.#limit) {
        this.#takeBack(start);
        return index;
      }
    }
    return records.length;
  }

  /** A copy of what was written, with `tail` behind it. */
  finish(tail: Uint8Array): Uint8Array {
    this.#put(tail);
    return SCRATCH.slice(0, this.#length);
  }

  #takeBack(start: number): void {
    this.#length = start;
    for (const [name, offset] of this.#offsets) if (offset >= start) this.#offsets.delete(name);
  }

  #record({ name, ttl, data }: DnsRecord): void {
    this.#name(name, true);
    this.#u16(typeOf(data));
    this.#u16(CLASS.IN);
    this.#u32(ttl);
    const lengthAt = this.#length;
    this.#u16(0);
    this.#data(data);
    const length = this.#length - lengthAt - 2;
    SCRATCH[lengthAt] = length >> 8;
    SCRATCH[lengthAt + 1] = length;
  }

  #data(data: RecordData): void {
    switch (data.type) {
      case "A":
      case "AAAA":
        this.#put(addressBytes(data));
        break;
      case "SRV":
        this.#u16(data.priority);
        this.#u16(data.weight);
        this.#u16(data.port);
        // RFC 2782: the target must not be compressed.
        this.#name(data.target, false);
        break;
      case "SOA":
        this.#name(data.mname, true);
        this.#name(data.rname, true);
        this.#u32(data.serial);
        this.#u32(data.refresh);
        this.#u32(data.retry);
        this.#u32(data.expire);
        this.#u32(data.minimum);
        break;
      default:
        this.#name(data.target, true);
    }
  }

  #name(name: Name, compress: boolean): void {
    for (let rest = name; rest !== ""; rest = parentOf(rest)) {
      const before = this.#offsets.get(rest);
      if (before !== undefined && compress) {
        this.#u16(0xc000 | before);
        return;
      }
      if (before === undefined && this.#length < 0x4000) this.#offsets.set(rest, this.#length);
      this.#firstLabel(rest);
    }
    SCRATCH[this.#length++] = 0;
  }

  #firstLabel(name: Name): void {
    const lengthAt = this.#length++;
    for (let index = 0; index < name.length && name[index] !== "."; index++) {
      const code = name.charCodeAt(index);
      const isEscaped = code === BACKSLASH;
      SCRATCH[this.#length++] = isEscaped ? Number(name.slice(index + 1, index + 4)) : code;
      if (isEscaped) index += 3;
    }
    SCRATCH[lengthAt] = this.#length - lengthAt - 1;
  }

  #u16(value: number): void {
    SCRATCH[this.#length] = value >> 8;
    SCRATCH[this.#length + 1] = value;
    this.#length += 2;
  }

  #u32(value: number): void {
    this.#u16(value >>> 16);
    this.#u16(value & 0xffff);
  }

  #put(content: Uint8Array): void {
    SCRATCH.set(content, this.#length);
    this.#length += content.length;
  }
}
