import { FLAG, RCODE, TYPE } from "../codes.ts";
import { HEADER_BYTES, type Query, type WireRecord } from "../message.ts";
import { type ExtendedError, encodeOpt } from "../reply.ts";

/** Offsets of a record within a body. */
export interface AnswerRecord {
  /** Of the four bytes of its TTL. */
  readonly ttlAt: number;
  /** Of the first byte after it. */
  readonly end: number;
}

/** What an upstream answered, checked, without header, question and OPT record. */
export interface Answer {
  /** With the bits from the OPT record. */
  readonly rcode: number;
  /** The upstream found the signatures to be right: the AD flag. */
  readonly authenticated: boolean;
  /** Numbers of records by section. */
  readonly answers: number;
  readonly authority: number;
  readonly additional: number;
  /** The records. Pointers in them count from the start of a message, whose question is as long as the one asked. */
  readonly body: Uint8Array;
  readonly records: readonly AnswerRecord[];
  /** Seconds that it may be kept; 0: not at all. */
  readonly lifetime: number;
  /** Why the upstream failed, in its words. */
  readonly extendedError: ExtendedError | undefined;
}

/** Longest time that anything is kept, seconds: a day for what there is, an hour for what there isn't (RFC 2308
 *  section 5 wants one to three hours at most). */
const KEPT_MOST = { positive: 86_400, negative: 3600 } as const;

export interface LifetimeInput {
  readonly rcode: number;
  readonly message: Uint8Array;
  readonly answers: readonly WireRecord[];
  readonly authority: readonly WireRecord[];
}

/** Seconds that an answer may be kept: the least TTL of its answers; for a negative one, what the SOA record says (RFC
 *  2308 section 5). Without one, or with an error, not at all. TTLs of 2^31 and more count as 0 (RFC 2181 section
 *  8). */
export function lifetimeOf({ rcode, message, answers, authority }: LifetimeInput): number {
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0;
  const chain = Math.min(...answers.map(({ ttl }) => (ttl >= 2 ** 31 ? 0 : ttl)));
  const found = rcode === RCODE.NOERROR && answers.some(({ type }) => type !== TYPE.CNAME && type !== TYPE.RRSIG);
  if (found) return Math.min(chain, KEPT_MOST.positive);
  const soa = authority.find(({ type }) => type === TYPE.SOA);
  return soa === undefined ? 0 : Math.min(chain, soa.ttl, minimumOf(message, soa), KEPT_MOST.negative);
}

/** The last field of a SOA record's data, which has been checked. */
function minimumOf(message: Uint8Array, { end }: WireRecord): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(end - 4);
}

export interface RelayOptions {
  /** Bytes that the message may have. */
  readonly limit: number;
  /** Seconds since the answer came. */
  readonly ageSeconds: number;
  /** Instead of the TTLs that are left, seconds: for an answer that is too old. */
  readonly ttl?: number;
  readonly extendedError?: ExtendedError | undefined;
}

/** The reply to a query with what an upstream answered: the asker's id and letters, TTLs less by the age. What is too
 *  long is cut after whole records; the additional section without a word, the others with TC. */
export function relay(query: Query, answer: Answer, options: RelayOptions): Uint8Array {
  const { answers, authority, body, records } = answer;
  const { extendedError } = options;
  const opt = query.edns === undefined ? EMPTY : encodeOpt(query, { rcode: answer.rcode, extendedError });
  const start = HEADER_BYTES + query.question.length;
  const room = options.limit - start - opt.length;
  let kept = records.length;
  while (kept > 0 && (records[kept - 1]?.end ?? 0) > room) kept--;
  const truncated = kept < answers + authority;
  const length = records[kept - 1]?.end ?? 0;
  const message = new Uint8Array(start + length + opt.length);
  const view = new DataView(message.buffer);
  view.setUint16(0, query.id);
  view.setUint16(2, flagsOf(query, answer) | (truncated ? FLAG.TC : 0));
  view.setUint16(4, 1);
  view.setUint16(6, Math.min(kept, answers));
  view.setUint16(8, Math.min(Math.max(0, kept - answers), authority));
  view.setUint16(10, Math.max(0, kept - answers - authority) + (opt.length === 0 ? 0 : 1));
  message.set(query.question, HEADER_BYTES);
  message.set(body.subarray(0, length), start);
  for (const { ttlAt } of records.slice(0, kept)) {
    const ttl = view.getUint32(start + ttlAt);
    view.setUint32(start + ttlAt, options.ttl ?? Math.max(0, ttl - options.ageSeconds));
  }
  message.set(opt, start + length);
  return message;
}

const EMPTY = new Uint8Array(0);

/** AD goes to those who show that they know it (RFC 6840 section 5.8). */
function flagsOf({ flags, edns }: Query, { rcode, authenticated }: Answer): number {
  const told = authenticated && (edns?.dnssecOk === true || (flags & FLAG.AD) !== 0);
  return FLAG.QR | FLAG.RA | (flags & (FLAG.RD | FLAG.CD)) | (told ? FLAG.AD : 0) | (rcode & 0xf);
}
