import { hashNumber, hashText } from "./hash.ts";

/** What is said of a member. In this order later ones win over earlier ones of the same generation and incarnation. */
export const STATES = ["alive", "suspect", "dead", "left", "forgotten"] as const;
export type MemberState = (typeof STATES)[number];

/** One statement about a member, as it travels. Never changed after it was made, so it can be shared. */
export interface MemberRecord {
  /** Name of the node, unique in the cluster. */
  readonly name: string;
  /** Where it can be reached: `10.0.0.1:62501` or `[fd00::1]:62501`. */
  readonly address: string;
  /** Grows with each start of the node (its wall clock then, in milliseconds, or more), so a later self supersedes. */
  readonly generation: number;
  /** Grows when the node contradicts a suspicion (SWIM section 4.2); only the node itself raises it. */
  readonly incarnation: number;
  readonly state: MemberState;
  /** A hash of name, generation, incarnation and verdict; suspicion counts as alive, because it passes. */
  readonly fingerprint: number;
}

/** A record with its fingerprint. */
export function memberRecord(
  name: string,
  address: string,
  generation: number,
  incarnation: number,
  state: MemberState,
): MemberRecord {
  const verdict = Math.max(1, STATES.indexOf(state));
  const fingerprint = hashNumber(hashNumber(hashNumber(hashText(name), generation), incarnation), verdict);
  return { name, address, generation, incarnation, state, fingerprint };
}

/** The same member with another state. */
export function inState(record: MemberRecord, state: MemberState): MemberRecord {
  return memberRecord(record.name, record.address, record.generation, record.incarnation, state);
}

/** True when `news` is later than `known`: a higher generation, then a higher incarnation, then a graver state. */
export function supersedes(news: MemberRecord, known: MemberRecord): boolean {
  if (news.generation !== known.generation) return news.generation > known.generation;
  if (news.incarnation !== known.incarnation) return news.incarnation > known.incarnation;
  return STATES.indexOf(news.state) > STATES.indexOf(known.state);
}

/** True while a member counts as part of the cluster: alive, or merely suspected. */
export function isPresent(record: MemberRecord): boolean {
  return record.state === "alive" || record.state === "suspect";
}
