import { isPresent, type MemberRecord } from "./member.ts";
import type { Names } from "./names.ts";
import type { Summary } from "./summary.ts";

/** The members that a node knows, at most one record for each name. Absent members (dead, left, forgotten) keep the
 *  moment since when they are so. Members from the snapshot are *remembered*: kept apart, and told to nobody, until
 *  somebody living speaks of them. */
export class Members {
  readonly #names: Names;
  readonly #summary: Summary;
  readonly #records: (MemberRecord | undefined)[] = [];
  /** Monotonic time since when a member is absent, by the number of its name. */
  readonly #absentSince = new Map<number, number>();
  readonly #remembered = new Map<string, MemberRecord>();
  #present = 0;
  #count = 0;

  constructor(names: Names, summary: Summary) {
    this.#names = names;
    this.#summary = summary;
  }

  /** Members that are alive or suspected, this node included. */
  get present(): number {
    return this.#present;
  }

  /** All members, whatever their state. */
  get count(): number {
    return this.#count;
  }

  get(name: string): MemberRecord | undefined {
    const index = this.#names.find(name);
    return index === undefined ? undefined : this.#records[index];
  }

  at(index: number): MemberRecord | undefined {
    return this.#records[index];
  }

  /** Puts a record in the place of the present one. `since` is when it became absent, if it is. */
  set(record: MemberRecord, since: number): void {
    const index = this.#names.indexOf(record.name);
    const before = this.#records[index];
    while (this.#records.length < index) this.#records.push(undefined);
    this.#records[index] = record;
    this.#remembered.delete(record.name);
    if (before === undefined) this.#count++;
    this.#present += (isPresent(record) ? 1 : 0) - (before !== undefined && isPresent(before) ? 1 : 0);
    if (isPresent(record)) this.#absentSince.delete(index);
    else if (before === undefined || isPresent(before)) this.#absentSince.set(index, since);
    this.#summary.replace(this.#names.bucketOf(index), before?.fingerprint ?? 0, record.fingerprint);
  }

  /** Takes a member out of the table. */
  delete(name: string): void {
    const index = this.#names.find(name);
    const before = index === undefined ? undefined : this.#records[index];
    if (index === undefined || before === undefined) return;
    this.#records[index] = undefined;
    this.#absentSince.delete(index);
    this.#count--;
    if (isPresent(before)) this.#present--;
    this.#summary.replace(this.#names.bucketOf(index), before.fingerprint, 0);
  }

  /** Monotonic time since when a member is absent; undefined when it is present or unknown. */
  absentSince(name: string): number | undefined {
    const index = this.#names.find(name);
    return index === undefined ? undefined : this.#absentSince.get(index);
  }

  /** Sets since when an absent member is so, where another node knows it to be longer. */
  setAbsentSince(name: string, since: number): void {
    const index = this.#names.find(name);
    if (index !== undefined && this.#absentSince.has(index)) this.#absentSince.set(index, since);
  }

  /** Every absent member with the moment since when it is. */
  *absent(): Generator<readonly [MemberRecord, number]> {
    for (const [index, since] of this.#absentSince) {
      const record = this.#records[index];
      if (record !== undefined) yield [record, since];
    }
  }

  /** Every member that somebody living spoke of. */
  *all(): Generator<MemberRecord> {
    for (const record of this.#records) if (record !== undefined) yield record;
  }

  remember(record: MemberRecord): void {
    this.#remembered.set(record.name, record);
  }

  forgetRemembered(name: string): boolean {
    return this.#remembered.delete(name);
  }

  remembered(): ReadonlyMap<string, MemberRecord> {
    return this.#remembered;
  }

  /** A random present member that `accept` takes; undefined when none is found in a few tries and one search. */
  pick(random: () => number, accept: (record: MemberRecord) => boolean): MemberRecord | undefined {
    const length = this.#records.length;
    for (let attempt = 0; attempt < 16; attempt++) {
      const record = this.#records[Math.floor(random() * length)];
      if (record !== undefined && isPresent(record) && accept(record)) return record;
    }
    const start = Math.floor(random() * length);
    for (let step = 0; step < length; step++) {
      const record = this.#records[(start + step) % length];
      if (record !== undefined && isPresent(record) && accept(record)) return record;
    }
    return undefined;
  }
}
