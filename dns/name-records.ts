import type { Name } from "./name.ts";
import { type DnsRecord, dataText, orderOf, type RecordData, typeOf } from "./record.ts";
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

/** Records of a name, each with the number of origins that it has. Most names have one record and of the others most
 *  have a few, so all are held with as little memory as can be: there may be a million names. */
export class NameRecords {
  readonly name: Name;
  /** Names directly below that exist. */
  children = 0;
  #one: DnsRecord | undefined;
  #count = 0;
  /** From the second record on: by type, those of one type in their order before rotation. */
  #many: Counted[] | undefined;

  constructor(name: Name) {
    this.name = name;
  }

  get size(): number {
    return this.#many === undefined ? Number(this.#one !== undefined) : this.#many.length;
  }

  /** One origin more has it. True when the name became different. */
  add(record: DnsRecord): boolean {
    if (this.#many !== undefined) return addTo(this.#many, record);
    if (this.#one === undefined) {
      this.#one = record;
      this.#count = 1;
      return true;
    }
    if (isSame(this.#one, record)) {
      this.#count++;
      return false;
    }
    this.#many = [{ record: this.#one, count: this.#count }];
    this.#one = undefined;
    return addTo(this.#many, record);
  }

  /** One origin less has it. True when the name became different. */
  remove(record: DnsRecord): boolean {
    if (this.#many !== undefined) return removeFrom(this.#many, record);
    if (this.#one === undefined || !isSame(this.#one, record) || --this.#count > 0) return false;
    this.#one = undefined;
    return true;
  }

  /** All of them, in no order. */
  *records(): Generator<DnsRecord> {
    if (this.#one !== undefined) yield this.#one;
    for (const { record } of this.#many ?? []) yield record;
  }

  /** What is there now, in sets by type; undefined when there are no records. Costs as much as there are. */
  dataIn(zone: Zone): NameData | undefined {
    const one = this.#one;
    if (one !== undefined) return { zone, sets: [{ type: typeOf(one.data), records: [one] }] };
    if (this.#many === undefined || this.#many.length === 0) return undefined;
    return { zone, sets: setsOf(this.#many) };
  }
}

/** Two records of a name are one when type and data are; the TTL is that of the first. */
function isSame(a: DnsRecord, b: DnsRecord): boolean {
  return a.data.type === b.data.type && dataText(a.data) === dataText(b.data);
}

function addTo(many: Counted[], record: DnsRecord): boolean {
  const { index, there } = find(many, record);
  if (there === undefined) many.splice(index, 0, { record, count: 1 });
  else there.count++;
  return there === undefined;
}

function removeFrom(many: Counted[], record: DnsRecord): boolean {
  const { index, there } = find(many, record);
  if (there === undefined || --there.count > 0) return false;
  many.splice(index, 1);
  return true;
}

/** Where a record is, or belongs. */
function find(many: readonly Counted[], { data }: DnsRecord): { index: number; there: Counted | undefined } {
  const type = typeOf(data);
  const order = orderOf(data);
  let low = 0;
  let high = many.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const each = many[middle];
    const side = each === undefined ? 0 : compare(each.record.data, type, order);
    if (side === 0) return { index: middle, there: each };
    if (side < 0) low = middle + 1;
    else high = middle;
  }
  return { index: low, there: undefined };
}

/** Below 0 when `data` comes before content of this type and order, 0 when it is the same. */
function compare(data: RecordData, type: number, order: string): number {
  const own = typeOf(data);
  if (own !== type) return own - type;
  const text = orderOf(data);
  return text < order ? -1 : Number(text > order);
}

function setsOf(sorted: readonly Counted[]): RecordSet[] {
  const sets: { readonly type: number; readonly records: DnsRecord[] }[] = [];
  for (const { record } of sorted) {
    const type = typeOf(record.data);
    const last = sets.at(-1);
    if (last?.type === type) last.records.push(record);
    else sets.push({ type, records: [record] });
  }
  return sets;
}
