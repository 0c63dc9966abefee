import { FLAG, RCODE, TYPE } from "../codes.ts";
import type { Answer } from "../forward/answer.ts";
import { flagsOf, type Question } from "../forward/question.ts";
import { u16 } from "../message.ts";
import { nameBytes } from "../name.ts";
import { ANSWER, ANSWER_ENTRY, ENTRY_WORDS, KEY_TAIL_BYTES, LIFETIME_BITS } from "./layout.ts";

/** Longer answers don't go over UDP, so that workers have no use for them. */
const BODY_MOST = 1232;

/** What an answer is found under: the name, and what else makes the question. No name of a local zone can be equal to
 *  it, since a name ends where its root is. */
export function answerKey({ name, type, dnssecOk, checkingDisabled }: Question): Uint8Array | undefined {
  const bytes = nameBytes(name);
  if (bytes === undefined) return undefined;
  const key = new Uint8Array(bytes.length + KEY_TAIL_BYTES);
  key.set(bytes);
  key.set([type >> 8, type & 0xff, flagsOf(dnssecOk, checkingDisabled)], bytes.length);
  return key;
}

/** The entry of an answer, or undefined for one that the main thread must give. */
export function encodeAnswer(
  key: Uint8Array,
  { type }: Question,
  { rcode, authenticated, answers, authority, additional, body, records, lifetime }: Answer,
  bornSeconds: number,
): Uint8Array | undefined {
  if (type === TYPE.ANY || body.length > BODY_MOST || rcode > RCODE.REFUSED) return undefined;
  const at = ENTRY_WORDS * 4 + key.length;
  const entry = new Uint8Array(at + ANSWER.bytes + 2 * records.length + body.length);
  new Int32Array(entry.buffer, 0, ENTRY_WORDS).set([key.length | ANSWER_ENTRY, bornSeconds, lifetime]);
  entry.set(key, ENTRY_WORDS * 4);
  const view = new DataView(entry.buffer, at);
  view.setUint16(ANSWER.flags, FLAG.QR | FLAG.RA | (authenticated ? FLAG.AD : 0) | rcode);
  view.setUint16(ANSWER.answers, answers);
  view.setUint16(ANSWER.authority, authority);
  view.setUint16(ANSWER.additional, additional);
  view.setUint16(ANSWER.body, body.length);
  view.setUint16(ANSWER.ttls, records.length);
  for (const [index, { ttlAt }] of records.entries()) view.setUint16(ANSWER.bytes + 2 * index, ttlAt);
  entry.set(body, at + ANSWER.bytes + 2 * records.length);
  return lifetime < 2 ** LIFETIME_BITS ? entry : undefined;
}

/** Bytes of an answer's entry behind its key, which ends at `at`. */
export function answerBytes(bytes: Uint8Array, at: number): number {
  return ANSWER.bytes + 2 * u16(bytes, at + ANSWER.ttls) + u16(bytes, at + ANSWER.body);
}
