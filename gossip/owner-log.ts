import { utf8Length } from "./wire.ts";

/** A fact as it travels: opaque bytes under a key, or the removal of it (`value` undefined). Never changed once
 *  made. */
export interface Entry {
  readonly key: string;
  /** Version of its owner that this write made. */
  readonly version: number;
  readonly value: Uint8Array | undefined;
}

/** All that an owner wrote with versions in (from, to], as far as it is still valid, in the order of versions. */
export interface Delta {
  readonly owner: string;
  readonly generation: number;
  readonly from: number;
  readonly to: number;
  /** The owner's highest version that the sender knows. */
  readonly latest: number;
  /** Highest version of a removal that the sender no longer has. */
  readonly floor: number;
  readonly entries: readonly Entry[];
}

/** Upper bound of the bytes that an entry takes in a delta. */
function entrySize({ key, value }: Pick<Entry, "key" | "value">): number {
  return utf8Length(key) + (value?.length ?? 0) + 16;
}

/** Bytes of a delta besides its entries, at most. */
const DELTA_OVERHEAD = 300;

const INDEX_FROM = 24;

/** The facts of one owner in the order of their versions. Who has the log up to a version has every write up to it, or
 *  a later write of the same key: so a position is one number, and what follows it is one delta. */
export class OwnerLog {
  readonly owner: string;
  readonly generation: number;
  #version = 0;
  /** Highest version of a removal that is no longer kept: whoever is behind it must start anew. */
  #floor = 0;
  #bytes = 0;
  readonly #entries: Entry[] = [];
  /** By key, once there are so many that a search takes long. */
  #index: Map<string, Entry> | undefined;
  /** Monotonic time when a removal came, by its version. */
  #removals: Map<number, number> | undefined;

  constructor(owner: string, generation: number) {
    this.owner = owner;
    this.generation = generation;
  }

  get version(): number {
    return this.#version;
  }

  /** Removals up to this version aren't here any more, or never were. */
  get floor(): number {
    return this.#floor;
  }

  /** Bytes of keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Facts and kept removals. */
  get count(): number {
    return this.#entries.length;
  }

  /** Facts and kept removals, and their bytes, as they would be with these writes, which differ in their keys. */
  sizeWith(writes: Iterable<Pick<Entry, "key" | "value">>): { readonly count: number; readonly bytes: number } {
    let [count, bytes] = [this.count, this.#bytes];
    for (const { key, value } of writes) {
      const before = this.get(key);
      if (before === undefined) count++;
      else bytes -= entrySize(before);
      bytes += entrySize({ key, value });
    }
    return { count, bytes };
  }

  /** Facts and kept removals, by version. */
  entries(): readonly Entry[] {
    return this.#entries;
  }

  get(key: string): Entry | undefined {
    return this.#index === undefined ? this.#entries.find((entry) => entry.key === key) : this.#index.get(key);
  }

  /** Writes the next entry; its version must be above the present one. Returns the entry that it replaces. */
  put(entry: Entry, now: number): Entry | undefined {
    const before = this.get(entry.key);
    if (before !== undefined) this.#take(before);
    this.#entries.push(entry);
    this.#bytes += entrySize(entry);
    this.#version = entry.version;
    if (entry.value === undefined) {
      this.#removals ??= new Map();
      this.#removals.set(entry.version, now);
    }
    if (this.#index === undefined && this.#entries.length > INDEX_FROM) {
      this.#index = new Map(this.#entries.map((each) => [each.key, each]));
    }
    this.#index?.set(entry.key, entry);
    return before;
  }

  /** Notes that everything up to `version` is known: what lay between was replaced by what is here. */
  reach(version: number): void {
    this.#version = Math.max(this.#version, version);
  }

  /** Notes that the log was built from one without the removals up to `version`. */
  raiseFloor(version: number): void {
    this.#floor = Math.max(this.#floor, version);
  }

  /** Drops removals that came before `moment`. */
  dropRemovals(moment: number): void {
    if (this.#removals === undefined) return;
    for (const [version, since] of this.#removals) {
      if (since >= moment) continue;
      const entry = this.#entries[this.#search(version)];
      if (entry === undefined) continue;
      this.#take(entry);
      this.#floor = Math.max(this.#floor, version);
    }
    if (this.#removals.size === 0) this.#removals = undefined;
  }

  /** What follows `version`, as much as fits into `limit` bytes but one entry at least; undefined when nothing follows.
   *  Starts from 0 for whoever is behind a removal that is no longer kept, unless he began after it (`base`). */
  delta(version: number, base: number, limit: number): Delta | undefined {
    if (version >= this.#version) return undefined;
    const from = version < this.#floor && base < this.#floor ? 0 : version;
    const entries: Entry[] = [];
    let size = DELTA_OVERHEAD;
    let index = this.#search(from + 1);
    for (; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry === undefined) break;
      size += entrySize(entry);
      if (size > limit && entries.length > 0) break;
      entries.push(entry);
    }
    const whole = index >= this.#entries.length;
    const to = whole ? this.#version : (entries.at(-1)?.version ?? this.#version);
    const { owner, generation } = this;
    return { owner, generation, from, to, latest: this.#version, floor: this.#floor, entries };
  }

  #take(entry: Entry): void {
    this.#entries.splice(this.#search(entry.version), 1);
    this.#index?.delete(entry.key);
    this.#removals?.delete(entry.version);
    this.#bytes -= entrySize(entry);
  }

  /** Index of the first entry with this version or a higher one. */
  #search(version: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.version ?? version) < version) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
