import { CLASS, FLAG, OPTION, RCODE, TYPE } from "../codes.ts";
import { HEADER_BYTES, readRecord, u16, type WireRecord } from "../message.ts";
import { readName } from "../name.ts";
import type { ExtendedError } from "../reply.ts";
import { type Answer, type AnswerRecord, lifetimeOf } from "./answer.ts";
import type { SentQuestion } from "./question.ts";

/** What a message from an upstream is: the answer; `truncated`, when the whole is to be had over TCP; `not-ours`, when
 *  it doesn't repeat what was asked and the true one may still come; `garbage`, when it does and can't be read. */
export type Judged =
  | { readonly verdict: "answer"; readonly answer: Answer }
  | { readonly verdict: "truncated" }
  | { readonly verdict: "not-ours" }
  | { readonly verdict: "garbage" };

/** Records of a message at most: no honest answer has more, and each takes time. */
const RECORDS_MOST = 6000;

/** Judges a message that came from the address and port that were asked (RFC 5452 section 9). It must repeat id and
 *  question; over UDP in the same letters, or the answer is fetched over TCP, where nobody else can slip one in. */
export function judge(message: Uint8Array, sent: SentQuestion, overUdp: boolean): Judged {
  if (message.length < HEADER_BYTES || u16(message, 0) !== sent.id) return NOT_OURS;
  const flags = u16(message, 2);
  if ((flags & FLAG.QR) === 0 || (flags & OPCODE) !== 0) return NOT_OURS;
  if (u16(message, 4) !== 1) return withoutQuestion(message, flags);
  const same = compareQuestion(message, sent.question);
  if (same === "other") return NOT_OURS;
  if (overUdp && (same === "case" || (flags & FLAG.TC) !== 0)) return { verdict: "truncated" };
  const answer = readAnswer(message, HEADER_BYTES + sent.question.length);
  return answer === undefined ? GARBAGE : { verdict: "answer", answer };
}

const OPCODE = 0x7800;
const NOT_OURS: Judged = { verdict: "not-ours" };
const GARBAGE: Judged = { verdict: "garbage" };

/** Some servers leave out the question of a message that they don't understand; the port and id must do then, and all
 *  that it can say is "no". */
function withoutQuestion(message: Uint8Array, flags: number): Judged {
  const rcode = flags & 0xf;
  if (u16(message, 4) !== 0 || (rcode !== RCODE.FORMERR && rcode !== RCODE.NOTIMP && rcode !== RCODE.REFUSED))
    return NOT_OURS;
  const nothing = { authenticated: false, answers: 0, authority: 0, additional: 0, body: EMPTY, records: [] };
  return { verdict: "answer", answer: { ...nothing, rcode, lifetime: 0, extendedError: undefined } };
}

const EMPTY = new Uint8Array(0);

/** Letters of either case are equal for DNS; whether they are the same tells who saw the question. */
function compareQuestion(message: Uint8Array, question: Uint8Array): "same" | "case" | "other" {
  let same: "same" | "case" = "same";
  const nameEnd = question.length - 4;
  for (const [index, byte] of question.entries()) {
    const theirs = message[HEADER_BYTES + index];
    if (theirs === byte) continue;
    if (index >= nameEnd || theirs === undefined || lower(theirs) !== lower(byte)) return "other";
    same = "case";
  }
  return same;
}

/** Every record must be whole, of class IN, with names that can be read. The OPT record is taken out, and what stands
 *  behind it, which offsets would no longer be right for. */
function readAnswer(source: Uint8Array, start: number): Answer | undefined {
  const message = source.slice();
  const answers = u16(message, 6);
  const authority = u16(message, 8);
  const total = answers + authority + u16(message, 10);
  if (total > RECORDS_MOST) return undefined;
  const records: (AnswerRecord & { readonly wire: WireRecord })[] = [];
  // What an asker gets otherwise than it came here: the header, and what is between a record's owner and its data.
  const changing = new Uint8Array(message.length).fill(1, 0, HEADER_BYTES);
  let offset = start;
  let opt: WireRecord | undefined;
  for (let index = 0; index < total; index++) {
    const wire = readRecord(message, offset);
    if (wire === undefined || !isLasting(message, offset, changing)) return undefined;
    changing.fill(1, wire.ttlAt - 4, wire.dataAt);
    if (wire.type === TYPE.OPT) {
      if (opt !== undefined || wire.name !== "" || index < answers + authority) return undefined;
      opt = wire;
    } else if (wire.class !== CLASS.IN || !hasGoodNames(message, wire, changing)) return undefined;
    else if (opt === undefined) {
      lowerOwner(message, offset);
      records.push({ wire, ttlAt: wire.ttlAt - start, end: wire.end - start });
    }
    offset = wire.end;
  }
  if (offset !== message.length) return undefined;
  const flags = u16(message, 2);
  const rcode = (flags & 0xf) | (opt === undefined ? 0 : (opt.ttl >>> 24) << 4);
  const wires = records.map(({ wire }) => wire);
  return {
    rcode,
    authenticated: (flags & FLAG.AD) !== 0,
    answers,
    authority,
    additional: records.length - answers - authority,
    body: message.slice(start, start + (records.at(-1)?.end ?? 0)),
    records: records.map(({ ttlAt, end }) => ({ ttlAt, end })),
    lifetime: lifetimeOf({
      rcode,
      message,
      answers: wires.slice(0, answers),
      authority: wires.slice(answers, answers + authority),
    }),
    extendedError: opt === undefined ? undefined : extendedErrorIn(message, opt),
  };
}

/** Names within data that may be compressed (RFC 3597 section 4), by the number of bytes before them. */
const NAMES_IN: ReadonlyMap<number, { readonly before: number; readonly names: number; readonly after: number }> =
  new Map([
    [TYPE.NS, { before: 0, names: 1, after: 0 }],
    [TYPE.CNAME, { before: 0, names: 1, after: 0 }],
    [TYPE.PTR, { before: 0, names: 1, after: 0 }],
    [TYPE.MX, { before: 2, names: 1, after: 0 }],
    [TYPE.SRV, { before: 6, names: 1, after: 0 }],
    [TYPE.SOA, { before: 0, names: 2, after: 20 }],
  ]);

const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [TYPE.A, 4],
  [TYPE.AAAA, 16],
]);

function hasGoodNames(message: Uint8Array, { type, dataAt, end }: WireRecord, changing: Uint8Array): boolean {
  const bytes = ADDRESS_BYTES.get(type);
  if (bytes !== undefined) return end - dataAt === bytes;
  const form = NAMES_IN.get(type);
  if (form === undefined) return true;
  let offset = dataAt + form.before;
  for (let index = 0; index < form.names; index++) {
    const read = readName(message, offset);
    if (read === undefined || !isLasting(message, offset, changing)) return false;
    offset = read.end;
  }
  return offset + form.after === end;
}

/** Whether a name, which has been read, is still the same when what changes has changed: a pointer may lead
 *  anywhere. */
function isLasting(message: Uint8Array, start: number, changing: Uint8Array): boolean {
  for (let offset = start; ; ) {
    const size = message[offset] ?? 0;
    const end = size >= 0xc0 ? offset + 1 : offset + size;
    for (let index = offset; index <= end; index++) if (changing[index] === 1) return false;
    if (size === 0) return true;
    offset = size >= 0xc0 ? u16(message, offset) & 0x3fff : end + 1;
  }
}

/** Owners written out may have our random letters, which are nobody's business. */
function lowerOwner(message: Uint8Array, start: number): void {
  for (let offset = start; ; ) {
    const size = message[offset] ?? 0;
    if (size === 0 || size > 63) return;
    for (let index = offset + 1; index <= offset + size; index++) message[index] = lower(message[index] ?? 0);
    offset += size + 1;
  }
}

function extendedErrorIn(message: Uint8Array, { dataAt, end }: WireRecord): ExtendedError | undefined {
  for (let offset = dataAt; offset + 4 <= end; offset += 4 + u16(message, offset + 2)) {
    const [next, length] = [offset + 4, u16(message, offset + 2)];
    if (u16(message, offset) !== OPTION.EXTENDED_ERROR || length < 2 || next + length > end) continue;
    const text = new TextDecoder().decode(message.subarray(next + 2, next + length));
    return { code: u16(message, next), text };
  }
  return undefined;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
