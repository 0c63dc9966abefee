import { CLASS, EDNS_UDP_BYTES, FLAG, TYPE } from "../codes.ts";
import type { Query } from "../message.ts";
import { type Name, nameBytes } from "../name.ts";

/** What is asked of others, and what an answer is kept under: two askers whose questions are equal get the same. */
export interface Question {
  readonly name: Name;
  readonly type: number;
  /** The asker wants signatures (RFC 3225). */
  readonly dnssecOk: boolean;
  /** The asker checks signatures by itself (RFC 4035 section 3.2.2). */
  readonly checkingDisabled: boolean;
}

export function questionOf({ name, type, flags, edns }: Query): Question {
  return { name, type, dnssecOk: edns?.dnssecOk === true, checkingDisabled: (flags & FLAG.CD) !== 0 };
}

/** Equal for equal questions. */
export function questionKey({ name, type, dnssecOk, checkingDisabled }: Question): string {
  return `${name} ${type} ${flagsOf(dnssecOk, checkingDisabled)}`;
}

/** The two flags in one number: as the workers find kept answers by it too. */
export function flagsOf(dnssecOk: boolean, checkingDisabled: boolean): number {
  return (dnssecOk ? 1 : 0) | (checkingDisabled ? 2 : 0);
}

/** A question as it was sent to an upstream. */
export interface SentQuestion {
  readonly id: number;
  /** Question section, its letters in random case. */
  readonly question: Uint8Array;
  readonly message: Uint8Array;
}

/** The message that asks an upstream, with random id and letter case (draft-vixie-dnsext-dns0x20): what an answer must
 *  repeat, and what somebody who doesn't see the question can't guess. `random` gives numbers from 0 to 1, and must
 *  not be predictable. The name must be one that can be sent. */
export function writeQuestion(question: Question, edns: boolean, random: () => number): SentQuestion {
  const name = mixCase(nameBytes(question.name) ?? new Uint8Array(1), random);
  const section = Uint8Array.from([...name, question.type >> 8, question.type & 0xff, 0, CLASS.IN]);
  const opt = edns ? optRecord(question.dnssecOk) : [];
  const id = Math.floor(random() * 65_536);
  // AD asks whether the answer was found to be right (RFC 6840 section 5.7).
  const flags = FLAG.RD | FLAG.AD | (question.checkingDisabled ? FLAG.CD : 0);
  const header = [id >> 8, id & 0xff, flags >> 8, flags & 0xff, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0];
  return { id, question: section, message: Uint8Array.from([...header, ...section, ...opt]) };
}

function mixCase(name: Uint8Array, random: () => number): Uint8Array {
  let bits = 0;
  let left = 0;
  return name.map((byte) => {
    const letter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
    if (!letter) return byte;
    if (left-- === 0) [bits, left] = [Math.floor(random() * 2 ** 24), 23];
    bits >>>= 1;
    return (bits & 1) === 0 ? byte : byte ^ 0x20;
  });
}

function optRecord(dnssecOk: boolean): number[] {
  return [0, 0, TYPE.OPT, EDNS_UDP_BYTES >> 8, EDNS_UDP_BYTES & 0xff, 0, 0, dnssecOk ? 0x80 : 0, 0, 0, 0];
}
