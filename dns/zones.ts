import { type Name, parentOf } from "./name.ts";
import { type HeldRecord, type NameData, NameRecords } from "./name-records.ts";
import { type DnsRecord, isSendable, type RecordData } from "./record.ts";
import { SpreadMap } from "./spread-map.ts";
import { apexRecords, type Zone } from "./zone.ts";

/** What answers are made from. */
export interface ZoneLookup {
  /** The zone of a name: the longest that it is under. */
  zoneOf(name: Name): Zone | undefined;
  /** Records of a name; undefined when it has none. */
  get(name: Name): NameData | undefined;
  /** True for names with records and for those above them in the zone (empty non-terminals, RFC 4592 section 2.2.2). */
  exists(name: Name): boolean;
}

/** All local zones. Each origin (a task, a virtual IP, the cluster) has its own records; a record that several origins
 *  have is there once, until the last of them goes. A change costs what it changes; what is read of a name never
 *  changes, so a reader has either all of a change at that name or nothing of it. */
export class Zones implements ZoneLookup {
  readonly #zones = new Map<Name, Zone>();
  readonly #nodes = new SpreadMap<NameRecords>();
  /** One record is held as it is. */
  readonly #origins = new SpreadMap<HeldRecord | readonly HeldRecord[]>();
  #touched = new SpreadMap<true>();
  #records = 0;

  constructor(zones: readonly Zone[]) {
    for (const zone of zones) this.#zones.set(zone.name, zone);
    for (const zone of zones) this.open(zone);
  }

  /** Answers for one zone more, which is neither above nor below a name that has records. */
  open(zone: Zone): void {
    this.#zones.set(zone.name, zone);
    this.put(`zone/${zone.name}`, apexRecords(zone));
  }

  /** Answers for a zone no more, all of whose other records have gone. */
  close(name: Name): void {
    this.put(`zone/${name}`, []);
    if (this.#nodes.has(name)) throw new Error(`zone ${name} has records still`);
    this.#zones.delete(name);
  }

  /** Replaces all records of an origin; with none the origin is forgotten. Records outside all zones, or that can't
   *  go on the wire, are left out, and their number is returned. */
  put(origin: string, records: readonly DnsRecord[]): number {
    const sendable = records.filter((record) => this.zoneOf(record.name) !== undefined && isSendable(record));
    const before = this.#origins.get(origin);
    const good = sendable.map((record) => this.#add(record));
    if (before !== undefined) for (const record of isList(before) ? before : [before]) this.#remove(record);
    const [first] = good;
    if (first === undefined) this.#origins.delete(origin);
    else this.#origins.set(origin, good.length === 1 ? first : good);
    return records.length - good.length;
  }

  /** Every origin that has records. */
  origins(): Iterable<string> {
    return this.#origins.keys();
  }

  /** Names whose records became different since the last call. */
  settle(): Generator<Name> {
    const touched = this.#touched;
    this.#touched = new SpreadMap();
    return touched.keys();
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
    if (node === undefined || node.size === 0) return undefined;
    const zone = this.zoneOf(name);
    if (zone === undefined) throw new Error(`${name} is outside all zones`);
    return node.dataIn(zone);
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

  /** Every record, in no order. */
  *records(): Generator<DnsRecord> {
    for (const node of this.#nodes.values()) yield* node.records();
  }

  /** Gives back the record as it is held here: each name that there is is in memory once, however many records have
   *  it. */
  #add({ name, ttl, data }: DnsRecord): HeldRecord {
    const node = this.#nodes.get(name) ?? this.#create(name);
    const record = node.add(ttl, this.#shared(data));
    if (record.origins === 1) {
      this.#records++;
      this.#touched.set(node.name, true);
    }
    return record;
  }

  #shared(data: RecordData): RecordData {
    const target = "target" in data ? this.#nodes.get(data.target)?.name : undefined;
    return target === undefined ? data : ({ ...data, target } as RecordData);
  }

  #remove(record: HeldRecord): void {
    const node = this.#nodes.get(record.name);
    if (node === undefined || !node.remove(record)) return;
    this.#records--;
    this.#touched.set(record.name, true);
    this.#prune(record.name, node);
  }

  #create(name: Name): NameRecords {
    const node = new NameRecords(name);
    this.#nodes.set(name, node);
    if (!this.#zones.has(name)) {
      const parent = parentOf(name);
      (this.#nodes.get(parent) ?? this.#create(parent)).children++;
    }
    return node;
  }

  /** Forgets a name without records or names below it, and those above that were there only for it. */
  #prune(name: Name, node: NameRecords): void {
    if (node.size > 0 || node.children > 0) return;
    this.#nodes.delete(name);
    if (this.#zones.has(name)) return;
    const parent = this.#nodes.get(parentOf(name));
    if (parent === undefined) return;
    parent.children--;
    this.#prune(parentOf(name), parent);
  }
}

function isList(held: HeldRecord | readonly HeldRecord[]): held is readonly HeldRecord[] {
  return Array.isArray(held);
}
