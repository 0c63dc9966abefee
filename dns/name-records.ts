import { type DnsRecord, dataText, orderOf, typeOf } from "./record.ts";
import type { Zone } from "./zone.ts";

/** Records of one type at a name, in their order before rotation; never changes. */
export interface RecordSet {
  readonly type: number;
  readonly records: readonly DnsRecord[];
}

/** All that is known of a name; never changes. */
export interface NameData {
  readonly zone: Zone;
  readonly sets: readonly RecordSet[];
}

interface Counted {
  readonly record: DnsRecord;
  count: number;
}

/** Records of a name, each with the number of origins that it has. Most names have one record, which is held with as
 *  little memory as can be: there may be a million. */
export class NameRecords {
  /** Names directly below that exist. */
  children = 0;
  #one: DnsRecord | undefined;
  #count = 0;
  /** By content, from the second record on. */
  #many: Map<string, Counted> | undefined;
  #compiled: NameData | undefined;

  get size(): number {
    return this.#many === undefined ? Number(this.#one !== undefined) : this.#many.size;
  }

  /** One origin more has it. True when the name became different. */
  add(record: DnsRecord): boolean {
    if (this.#many !== undefined) return this.#addToMany(this.#many, record);
    if (this.#one === undefined) {
      this.#one = record;
      this.#count = 1;
      return true;
    }
    if (isSame(this.#one, record)) {
      this.#count++;
      return false;
    }
    const many = new Map([[keyOf(this.#one), { record: this.#one, count: this.#count }]]);
    this.#many = many;
    this.#one = undefined;
    return this.#addToMany(many, record);
  }

  /** One origin less has it. True when the name became different. */
  remove(record: DnsRecord): boolean {
    if (this.#many !== undefined) return this.#removeFromMany(this.#many, record);
    if (this.#one === undefined || !isSame(this.#one, record) || --this.#count > 0) return false;
    this.#one = undefined;
    return true;
  }

  /** All of them, in no order. */
  *records(): Generator<DnsRecord> {
    if (this.#one !== undefined) yield this.#one;
    if (this.#many !== undefined) for (const { record } of this.#many.values()) yield record;
  }

  /** What is there now, in sets by type; undefined when there are no records. */
  dataIn(zone: Zone): NameData | undefined {
    const one = this.#one;
    if (one !== undefined) return { zone, sets: [{ type: typeOf(one.data), records: [one] }] };
    if (this.#many === undefined || this.#many.size === 0) return undefined;
    // Sorting many takes longer than one query should.
    this.#compiled ??= { zone, sets: setsOf(this.#many.values()) };
    return this.#compiled;
  }

  #addToMany(many: Map<string, Counted>, record: DnsRecord): boolean {
    const key = keyOf(record);
    const there = many.get(key);
    if (there !== undefined) {
      there.count++;
      return false;
    }
    many.set(key, { record, count: 1 });
    this.#compiled = undefined;
    return true;
  }

  #removeFromMany(many: Map<string, Counted>, record: DnsRecord): boolean {
    const key = keyOf(record);
    const there = many.get(key);
    if (there === undefined || --there.count > 0) return false;
    many.delete(key);
    this.#compiled = undefined;
    return true;
  }
}

/** Two records of a name are one when type and data are; the TTL is that of the first. */
function isSame(a: DnsRecord, b: DnsRecord): boolean {
  return a.data.type === b.data.type && dataText(a.data) === dataText(b.data);
}

function keyOf({ data }: DnsRecord): string {
  return `${data.type} ${dataText(data)}`;
}

function setsOf(records: Iterable<Counted>): RecordSet[] {
  const sorted = [...records]
    .map(({ record }) => ({ record, order: orderOf(record.data) }))
    .sort((a, b) => (a.order < b.order ? -1 : Number(a.order > b.order)));
  const sets = new Map<number, DnsRecord[]>();
  for (const { record } of sorted) {
    const type = typeOf(record.data);
    const set = sets.get(type);
    if (set === undefined) sets.set(type, [record]);
    else set.push(record);
  }
  return [...sets].map(([type, each]) => ({ type, records: each })).sort((a, b) => a.type - b.type);
}
