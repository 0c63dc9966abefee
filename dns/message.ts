import { CLASS, FLAG, OPTION, PLAIN_UDP_BYTES, RCODE, TYPE } from "./codes.ts";
import { isCookieLength } from "./cookie.ts";
import { type Name, readName } from "./name.ts";

/** Bytes of a message's header. */
export const HEADER_BYTES = 12;

/** What the asker's OPT record says (RFC 6891 section 6.1). */
export interface Edns {
  /** Bytes that it takes over UDP, at least 512. */
  readonly size: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  /** Content of the asker's cookie option (RFC 7873). */
  readonly cookie?: Uint8Array;
  /** The cookie option of the reply, with its head. */
  readonly replyCookie?: Uint8Array;
}

/** A question with what is needed to answer it. */
export interface Query {
  readonly id: number;
  /** The header's flag word. */
  readonly flags: number;
  readonly name: Name;
  readonly type: number;
  /** Question section byte for byte: its letters' case goes back to the asker (draft-vixie-dnsext-dns0x20). */
  readonly question: Uint8Array;
  readonly edns: Edns | undefined;
}

/** What to do with a datagram: answer the query, refuse with a code, or say nothing. */
export type Decoded =
  | { readonly outcome: "query"; readonly query: Query }
  | { readonly outcome: "refused"; readonly query: Query; readonly rcode: number }
  | { readonly outcome: "dropped" };

/** Reads a query. Packets that are no query, or shorter than a header, are dropped, since an answer to an answer would
 *  be the start of a loop. What can't be read gets FORMERR with as much of the question as could be. */
export function decodeQuery(message: Uint8Array): Decoded {
  if (message.length < HEADER_BYTES) return { outcome: "dropped" };
  const flags = u16(message, 2);
  if ((flags & FLAG.QR) !== 0) return { outcome: "dropped" };
  const head = { id: u16(message, 0), flags };
  const question = u16(message, 4) === 1 ? readQuestion(message) : undefined;
  const query: Query = question === undefined ? { ...head, ...NO_QUESTION } : { ...head, ...question, edns: undefined };
  if ((flags & 0x7800) !== 0) return { outcome: "refused", query, rcode: RCODE.NOTIMP };
  if (question === undefined) return { outcome: "refused", query, rcode: RCODE.FORMERR };
  const additional = readAdditional(message, question.end);
  if (additional === undefined) return { outcome: "refused", query, rcode: RCODE.FORMERR };
  const full = { ...query, edns: additional.edns };
  if ((additional.edns?.version ?? 0) !== 0) return { outcome: "refused", query: full, rcode: RCODE.BADVERS };
  if (question.class !== CLASS.IN && question.class !== CLASS.ANY) {
    return { outcome: "refused", query: full, rcode: RCODE.REFUSED };
  }
  return { outcome: "query", query: full };
}

const NO_QUESTION = { name: "", type: 0, question: new Uint8Array(0), edns: undefined };

interface Question {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  readonly question: Uint8Array;
  readonly end: number;
}

/** A question's name has nothing before it to point to but the header, which is another one in the answer. */
function readQuestion(message: Uint8Array): Question | undefined {
  const read = readName(message, HEADER_BYTES);
  if (read === undefined || read.end + 4 > message.length || hasPointer(message, HEADER_BYTES)) return undefined;
  const end = read.end + 4;
  return {
    name: read.name,
    type: u16(message, read.end),
    class: u16(message, read.end + 2),
    question: message.slice(HEADER_BYTES, end),
    end,
  };
}

/** Whether a name, which has been read, ends in a pointer. */
function hasPointer(message: Uint8Array, start: number): boolean {
  let offset = start;
  for (let size = message[offset] ?? 0; size > 0; size = message[offset] ?? 0) {
    if (size >= 0xc0) return true;
    offset += size + 1;
  }
  return false;
}

/** The OPT record among what follows the question; undefined when the rest is malformed. */
function readAdditional(message: Uint8Array, start: number): { edns: Edns | undefined } | undefined {
  const before = u16(message, 6) + u16(message, 8);
  const total = before + u16(message, 10);
  let edns: Edns | undefined;
  let offset = start;
  for (let index = 0; index < total; index++) {
    const record = readRecord(message, offset);
    if (record === undefined) return undefined;
    if (record.type === TYPE.OPT) {
      // RFC 6891 section 6.1.1: one OPT, of the root, in the additional section.
      if (edns !== undefined || record.name !== "" || index < before) return undefined;
      edns = readOpt(message, record);
      if (edns === undefined) return undefined;
    }
    offset = record.end;
  }
  return offset === message.length ? { edns } : undefined;
}

/** A record in a message. */
export interface WireRecord {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** Seconds; flags in OPT. */
  readonly ttl: number;
  /** Offset of the four bytes of the TTL. */
  readonly ttlAt: number;
  /** Offset of its data. */
  readonly dataAt: number;
  /** Offset of the first byte after it. */
  readonly end: number;
}

/** The record that begins at an offset; undefined when there is none. */
export function readRecord(message: Uint8Array, offset: number): WireRecord | undefined {
  const owner = readName(message, offset);
  if (owner === undefined || owner.end + 10 > message.length) return undefined;
  const at = owner.end;
  const dataAt = at + 10;
  const end = dataAt + u16(message, at + 8);
  if (end > message.length) return undefined;
  return {
    name: owner.name,
    type: u16(message, at),
    class: u16(message, at + 2),
    ttl: u16(message, at + 4) * 65_536 + u16(message, at + 6),
    ttlAt: at + 4,
    dataAt,
    end,
  };
}

/** Options must be whole; of what they say, the first cookie is for us. */
function readOpt(message: Uint8Array, { class: size, ttl, dataAt, end }: WireRecord): Edns | undefined {
  let offset = dataAt;
  let cookie: Uint8Array | undefined;
  while (offset + 4 <= end) {
    const [content, length] = [offset + 4, u16(message, offset + 2)];
    if (u16(message, offset) === OPTION.COOKIE && content + length <= end) {
      if (!isCookieLength(length)) return undefined;
      cookie ??= message.slice(content, content + length);
    }
    offset = content + length;
  }
  if (offset !== end) return undefined;
  const bare = { size: Math.max(size, PLAIN_UDP_BYTES), version: (ttl >>> 16) & 0xff, dnssecOk: (ttl & 0x8000) !== 0 };
  return cookie === undefined ? bare : { ...bare, cookie };
}

export function u16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}
