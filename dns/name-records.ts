import type { Name } from "./name.ts";
import { type DnsRecord, orderOf, type RecordData, typeOf } from "./record.ts";
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

/** A record as its name holds it. */
export interface HeldRecord extends DnsRecord {
  /** How many origins have it. */
  origins: number;
}

/** Records of a name, each once, with the number of origins that it has. */
export class NameRecords {
  readonly name: Name;
  /** Names directly below that exist. */
  children = 0;
  /** By type, those of one type in their order before rotation. Most names have one record, which is held as it is:
   *  there may be a million. */
  #held: HeldRecord | HeldRecord[] | undefined;

  constructor(name: Name) {
    this.name = name;
  }

  get size(): number {
    return this.#all().length;
  }

  /** One origin more has this content, and the record is given back: with one origin when it is new. The TTL is that of
   *  the first. */
  add(ttl: number, data: RecordData): HeldRecord {
    const { index, there } = find(this.#all(), data);
    if (there !== undefined) {
      there.origins++;
      return there;
    }
    const record = { name: this.name, ttl, data, origins: 1 };
    if (this.#held === undefined) this.#held = record;
    else if (Array.isArray(this.#held)) this.#held.splice(index, 0, record);
    else this.#held = [this.#held].toSpliced(index, 0, record);
    return record;
  }

  /** One origin less has a record that this name holds. True when it was the last one. */
  remove(record: HeldRecord): boolean {
    record.origins--;
    if (record.origins > 0) return false;
    if (Array.isArray(this.#held)) this.#held.splice(find(this.#held, record.data).index, 1);
    else this.#held = undefined;
    return true;
  }

  /** All of them. */
  records(): Iterable<DnsRecord> {
    return this.#all();
  }

  /** What is there now, in sets by type; undefined when there are no records. Costs as much as there are. */
  dataIn(zone: Zone): NameData | undefined {
    const all = this.#all();
    return all.length === 0 ? undefined : { zone, sets: setsOf(all) };
  }

  #all(): readonly HeldRecord[] {
    if (this.#held === undefined) return NONE;
    return Array.isArray(this.#held) ? this.#held : [this.#held];
  }
}

const NONE: readonly never[] = [];

/** Where the record of this content is, or belongs. Two records of a name are one when type and data are. */
function find(all: readonly HeldRecord[], data: RecordData): { index: number; there: HeldRecord | undefined } {
  const type = typeOf(data);
  const order = orderOf(data);
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const each = all[middle];
    const side = each === undefined ? 0 : compare(each.data, type, order);
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

function setsOf(sorted: readonly DnsRecord[]): RecordSet[] {
  const sets: { readonly type: number; readonly records: DnsRecord[] }[] = [];
  for (const record of sorted) {
    const type = typeOf(record.data);
    const last = sets.at(-1);
    if (last?.type === type) last.records.push(record);
    else sets.push({ type, records: [record] });
  }
  return sets;
}
