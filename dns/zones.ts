import { type Name, parentOf } from "./name.ts";
import { type DnsRecord, dataText, isSendable, orderOf, typeOf } from "./record.ts";
import { apexRecords, type Zone } from "./zone.ts";

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

/** What answers are made from. */
export interface ZoneLookup {
  /** The zone of a name: the longest that it is under. */
  zoneOf(name: Name): Zone | undefined;
  /** Records of a name; undefined when it has none. */
  get(name: Name): NameData | undefined;
  /** True for names with records and for those above them in the zone (empty non-terminals, RFC 4592 section 2.2.2). */
  exists(name: Name): boolean;
}

/** A record with the number of origins that it has. */
interface Counted {
  readonly record: DnsRecord;
  readonly key: string;
  readonly order: string;
  count: number;
}

interface Node {
  /** By `key`; an array while they are few, which most names have one of. */
  records: Counted[] | Map<string, Counted>;
  /** Names directly below that exist. */
  children: number;
  compiled: NameData | undefined;
}

/** Names with few records are searched, which costs less memory than a map. */
const FEW = 8;

/** All local zones. Each origin (a task, a virtual IP, the cluster) has its own records; a record that several origins
 *  have is there once, until the last of them goes. A change costs what it changes; what is read of a name never
 *  changes, so a reader has either all of a change at that name or nothing of it. */
export class Zones implements ZoneLookup {
  readonly #zones = new Map<Name, Zone>();
  readonly #nodes = new Map<Name, Node>();
  readonly #origins = new Map<string, readonly DnsRecord[]>();
  #touched = new Set<Name>();
  #records = 0;

  constructor(zones: readonly Zone[]) {
    for (const zone of zones) this.#zones.set(zone.name, zone);
    for (const zone of zones) this.put(`zone/${zone.name}`, apexRecords(zone));
  }

  /** Replaces all records of an origin; with none the origin is forgotten. Records outside all zones, or that can't
   *  go on the wire, are left out, and their number is returned. */
  put(origin: string, records: readonly DnsRecord[]): number {
    const good = records.filter((record) => this.zoneOf(record.name) !== undefined && isSendable(record));
    const before = this.#origins.get(origin) ?? [];
    for (const record of good) this.#add(record);
    for (const record of before) this.#remove(record);
    if (good.length === 0) this.#origins.delete(origin);
    else this.#origins.set(origin, good);
    return records.length - good.length;
  }

  /** Names whose records became different since the last call. */
  settle(): ReadonlySet<Name> {
    const touched = this.#touched;
    this.#touched = new Set();
    return touched;
  }

  zoneOf(name: Name): Zone | undefined {
    for (let rest = name; rest !== ""; rest = parentOf(rest)) {
      const zone = this.#zones.get(rest);
      if (zone !== undefined) return zone;
    }
    return this.#zones.get("");
  }

  get(name: Name): NameData | undefined {
    const node = this.#nodes.get(name);
    if (node === undefined || sizeOf(node) === 0) return undefined;
    node.compiled ??= this.#compile(name, node);
    return node.compiled;
  }

  exists(name: Name): boolean {
    return this.#nodes.has(name);
  }

  /** Records of all names. */
  get size(): number {
    return this.#records;
  }

  zones(): Zone[] {
    return [...this.#zones.values()];
  }

  /** Every name that has records. */
  *[Symbol.iterator](): Generator<{ readonly name: Name; readonly data: NameData }> {
    for (const name of this.#nodes.keys()) {
      const data = this.get(name);
      if (data !== undefined) yield { name, data };
    }
  }

  #add(record: DnsRecord): void {
    const node = this.#nodes.get(record.name) ?? this.#create(record.name);
    const key = keyOf(record);
    const there = find(node, key);
    if (there !== undefined) {
      there.count++;
      return;
    }
    insert(node, { record, key, order: orderOf(record.data), count: 1 });
    this.#records++;
    node.compiled = undefined;
    this.#touch(record.name);
  }

  #remove(record: DnsRecord): void {
    const node = this.#nodes.get(record.name);
    const there = node && find(node, keyOf(record));
    if (node === undefined || there === undefined || --there.count > 0) return;
    if (node.records instanceof Map) node.records.delete(there.key);
    else node.records.splice(node.records.indexOf(there), 1);
    this.#records--;
    node.compiled = undefined;
    this.#touch(record.name);
    this.#prune(record.name, node);
  }

  #create(name: Name): Node {
    const node: Node = { records: [], children: 0, compiled: undefined };
    this.#nodes.set(name, node);
    if (!this.#zones.has(name)) {
      const parent = parentOf(name);
      (this.#nodes.get(parent) ?? this.#create(parent)).children++;
    }
    return node;
  }

  /** Forgets a name without records or names below it, and those above that were there only for it. */
  #prune(name: Name, node: Node): void {
    if (sizeOf(node) > 0 || node.children > 0) return;
    this.#nodes.delete(name);
    if (this.#zones.has(name)) return;
    const parent = this.#nodes.get(parentOf(name));
    if (parent === undefined) return;
    parent.children--;
    this.#prune(parentOf(name), parent);
  }

  #touch(name: Name): void {
    this.#touched.add(name);
  }

  #compile(name: Name, node: Node): NameData {
    const zone = this.zoneOf(name);
    if (zone === undefined) throw new Error(`${name} is outside all zones`);
    const sorted = [...node.records.values()].sort((a, b) => (a.order < b.order ? -1 : Number(a.order > b.order)));
    const sets = new Map<number, DnsRecord[]>();
    for (const { record } of sorted) {
      const type = typeOf(record.data);
      const set = sets.get(type);
      if (set === undefined) sets.set(type, [record]);
      else set.push(record);
    }
    return { zone, sets: [...sets].map(([type, records]) => ({ type, records })).sort((a, b) => a.type - b.type) };
  }
}

/** Two records are one when name, type and data are; the TTL is that of the first. */
function keyOf({ data }: DnsRecord): string {
  return `${data.type} ${dataText(data)}`;
}

function sizeOf({ records }: Node): number {
  return records instanceof Map ? records.size : records.length;
}

function find({ records }: Node, key: string): Counted | undefined {
  return records instanceof Map ? records.get(key) : records.find((each) => each.key === key);
}

function insert(node: Node, counted: Counted): void {
  if (node.records instanceof Map) node.records.set(counted.key, counted);
  else if (node.records.length < FEW) node.records.push(counted);
  else node.records = new Map([...node.records, counted].map((each) => [each.key, each]));
}
