import { equalBytes } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import { hashNumber } from "./hash.ts";
import type { Position } from "./message.ts";
import type { Names } from "./names.ts";
import { type Delta, type Entry, OwnerLog } from "./owner-log.ts";
import { type Settings, WIRE } from "./settings.ts";
import type { Summary } from "./summary.ts";
import { utf8Length } from "./wire.ts";

/** A fact that came, changed or went (`value` undefined). */
export interface FactChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/** What became of a delta. `gap`: something before it is missing; `refused`: it would exceed a bound. */
export type Outcome = "applied" | "staged" | "old" | "gap" | "refused";

export interface ReplicaOptions {
  /** Name of this node: the one owner that is written here. */
  readonly self: string;
  readonly names: Names;
  readonly summary: Summary;
  readonly settings: Settings;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Told of each change of an owner's facts, the own ones included. */
  readonly onChange: (owner: string, changes: readonly FactChange[]) => void;
  /** Told once when an owner's facts exceed a bound and are not taken any more. */
  readonly onRefused: (owner: string, reason: string) => void;
}

/** A log that is being received to take the place of the present one: of a new generation, or from the start because
 *  removals were missed. Readers see the former facts until it is complete, so nothing flashes. */
interface Stage {
  readonly log: OwnerLog;
  readonly target: number;
}

/** The facts of all owners on this node. */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #logs = new Map<string, OwnerLog>();
  readonly #stages = new Map<string, Stage>();
  /** Owners whose facts came from the snapshot and whom nobody living spoke of yet: shown, but not offered to
   *  others. */
  readonly #unconfirmed = new Set<string>();
  /** Owners beyond a bound, with the generation that was. */
  readonly #refused = new Map<string, number>();

  constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  /** Begins the node's own log with a generation higher than any before; facts that it had are written anew. */
  begin(generation: number): void {
    const { self, now } = this.#options;
    const former = this.#logs.get(self);
    const log = new OwnerLog(self, generation);
    let version = 0;
    for (const { key, value } of former?.entries() ?? []) {
      if (value !== undefined) log.put({ key, version: ++version, value }, now());
    }
    this.#replace(self, log);
  }

  /** Writes facts of this node; what is unchanged costs nothing. Returns the position before, undefined when nothing
   *  changed. Throws a NetError, changing nothing, when a key or value is malformed or a bound would be exceeded. */
  write(changes: readonly FactChange[]): Position | undefined {
    const { self, now, onChange } = this.#options;
    const log = this.#own();
    const last = new Map(changes.map((change) => [change.key, change]));
    const real = [...last.values()].filter((change) => isReal(log, change));
    this.#checkWrite(log, real);
    if (real.length === 0) return undefined;
    const before = positionOf(self, log);
    this.#change(log, () => {
      for (const { key, value } of real) log.put({ key, version: log.version + 1, value }, now());
    });
    onChange(self, real);
    return before;
  }

  /** Takes another node's news of an owner (never of this node itself). */
  apply(delta: Delta): Outcome {
    const { owner, generation, from, to } = delta;
    if (this.#refused.get(owner) === generation) return "refused";
    const log = this.#logs.get(owner);
    const stage = this.#stages.get(owner);
    if (stage !== undefined && this.#continues(stage, delta)) {
      return this.#applyStage(stage, delta);
    }
    if (log !== undefined && generation < log.generation) return "old";
    if (log !== undefined && generation === log.generation && !beginsAnew(log, delta)) {
      if (to <= log.version) return "old";
      return this.#follows(log, delta) ? this.#applyLog(log, delta) : "gap";
    }
    if (from > 0) return "gap";
    if (log === undefined) return this.#applyLog(this.#replace(owner, new OwnerLog(owner, generation)), delta);
    return this.#applyStage({ log: new OwnerLog(owner, generation), target: delta.latest }, delta);
  }

  /** From where this node needs the facts of an owner. */
  position(owner: string): Position {
    return positionOf(owner, this.#stages.get(owner)?.log ?? this.#logs.get(owner));
  }

  /** Up to where this node can give the facts of an owner; generation 0 when it has none to give. */
  held(owner: string): Position {
    return positionOf(owner, this.#unconfirmed.has(owner) ? undefined : this.#logs.get(owner));
  }

  /** Up to where this node shows the facts of an owner to its readers. */
  shown(owner: string): Position {
    return positionOf(owner, this.#logs.get(owner));
  }

  /** What follows a position, at most `limit` bytes (but one fact at least); undefined when nothing does. */
  delta({ owner, generation, version, base }: Position, limit: number): Delta | undefined {
    const log = this.#unconfirmed.has(owner) ? undefined : this.#logs.get(owner);
    if (log === undefined || generation > log.generation) return undefined;
    if (generation === log.generation) return log.delta(version, base, limit);
    // A new self without facts is told too, for it takes away those of the former one.
    const nothing = { owner, generation: log.generation, from: 0, to: 0, latest: 0, floor: 0, entries: [] };
    return log.delta(0, 0, limit) ?? nothing;
  }

  /** Facts of an owner, without removals. */
  facts(owner: string): readonly Entry[] {
    return (
      this.#logs
        .get(owner)
        ?.entries()
        .filter(({ value }) => value !== undefined) ?? []
    );
  }

  get(owner: string, key: string): Uint8Array | undefined {
    return this.#logs.get(owner)?.get(key)?.value;
  }

  owners(): IterableIterator<string> {
    return this.#logs.keys();
  }

  /** Bytes of keys and values of all owners. */
  bytes(): number {
    let bytes = 0;
    for (const log of this.#logs.values()) bytes += log.bytes;
    for (const { log } of this.#stages.values()) bytes += log.bytes;
    return bytes;
  }

  /** Forgets an owner with all its facts. */
  drop(owner: string): void {
    const log = this.#logs.get(owner);
    this.#stages.delete(owner);
    this.#refused.delete(owner);
    if (log === undefined) return;
    this.#summarise(owner, log, undefined);
    this.#unconfirmed.delete(owner);
    this.#logs.delete(owner);
    this.#report(owner, log, undefined);
  }

  /** Puts facts from the snapshot in place, before anything else happens. */
  restore(owner: string, generation: number, version: number, entries: readonly Entry[]): void {
    const log = new OwnerLog(owner, generation);
    for (const entry of entries) log.put(entry, this.#options.now());
    log.reach(version);
    log.raiseFloor(version);
    this.#logs.set(owner, log);
    this.#unconfirmed.add(owner);
    this.#report(owner, undefined, log);
  }

  /** Notes that somebody living spoke of this owner: its facts are offered to others from now on. */
  confirm(owner: string): void {
    const log = this.#logs.get(owner);
    if (log === undefined || !this.#unconfirmed.delete(owner)) return;
    this.#summarise(owner, undefined, log);
  }

  /** Drops removals older than their stated life. */
  housekeeping(): void {
    const moment = this.#options.now() - this.#options.settings.tombstoneLifeMs;
    for (const log of this.#logs.values()) log.dropRemovals(moment);
  }

  #own(): OwnerLog {
    const log = this.#logs.get(this.#options.self);
    if (log === undefined) throw new Error("the own log has not begun");
    return log;
  }

  #checkWrite(log: OwnerLog, changes: readonly FactChange[]): void {
    const { maxFactsPerOwner, maxBytesPerOwner } = this.#options.settings;
    for (const { key, value } of changes) {
      const length = utf8Length(key);
      const isBad = length === 0 || length > WIRE.key || (value?.length ?? 0) > WIRE.value;
      if (isBad || !key.isWellFormed()) throw tooLarge(key, length, value);
    }
    const { count, bytes } = log.sizeWith(changes);
    if (count <= maxFactsPerOwner && bytes <= maxBytesPerOwner) return;
    throw new NetError("exhausted", {
      tried: `publish ${changes.length} facts`,
      said: `this node would have ${count} facts of ${bytes} bytes; the limits are ${maxFactsPerOwner} and ${maxBytesPerOwner}`,
      remedy: "publish fewer facts from this node, or raise the limits on all nodes",
    });
  }

  /** False also for a new beginning, because more removals were dropped meanwhile. */
  #continues({ log }: Stage, delta: Delta): boolean {
    const isAnew = delta.from === 0 && delta.floor > log.floor;
    return delta.generation === log.generation && this.#follows(log, delta) && !isAnew;
  }

  /** True when the log has all that comes before the delta. */
  #follows(log: OwnerLog, { from }: Delta): boolean {
    return from <= log.version;
  }

  #applyLog(log: OwnerLog, delta: Delta): Outcome {
    if (this.#exceeds(log, delta)) return "refused";
    const changes: FactChange[] = [];
    this.#change(log, () => {
      this.#putAll(log, delta, (entry, before) => {
        if (!isSame(before?.value, entry.value)) changes.push({ key: entry.key, value: entry.value });
      });
    });
    if (changes.length > 0) this.#options.onChange(delta.owner, changes);
    return "applied";
  }

  #applyStage(stage: Stage, delta: Delta): Outcome {
    if (delta.to < stage.log.version) return "old";
    if (this.#exceeds(stage.log, delta)) return "refused";
    this.#putAll(stage.log, delta, () => {});
    if (stage.log.version < stage.target) {
      this.#stages.set(delta.owner, stage);
      return "staged";
    }
    this.#stages.delete(delta.owner);
    this.#replace(delta.owner, stage.log);
    return "applied";
  }

  #putAll(log: OwnerLog, delta: Delta, each: (entry: Entry, before: Entry | undefined) => void): void {
    const now = this.#options.now();
    for (const entry of delta.entries) if (entry.version > log.version) each(entry, log.put(entry, now));
    log.reach(delta.to);
    if (delta.from === 0) log.raiseFloor(delta.floor);
  }

  #exceeds(log: OwnerLog, { owner, generation, entries }: Delta): boolean {
    const { maxFactsPerOwner, maxBytesPerOwner } = this.#options.settings;
    const { count, bytes } = log.sizeWith(entries);
    if (count <= maxFactsPerOwner && bytes <= maxBytesPerOwner) return false;
    this.#refused.set(owner, generation);
    this.#options.onRefused(owner, `more than ${maxFactsPerOwner} facts or ${maxBytesPerOwner} bytes`);
    return true;
  }

  /** Puts a whole log in the place of the former one and reports what differs between them. */
  #replace(owner: string, log: OwnerLog): OwnerLog {
    const former = this.#logs.get(owner);
    this.#summarise(owner, former, log);
    this.#unconfirmed.delete(owner);
    this.#logs.set(owner, log);
    this.#report(owner, former, log);
    return log;
  }

  #report(owner: string, former: OwnerLog | undefined, log: OwnerLog | undefined): void {
    const changes: FactChange[] = [];
    for (const { key, value } of former?.entries() ?? []) {
      if (value !== undefined && log?.get(key)?.value === undefined) changes.push({ key, value: undefined });
    }
    for (const { key, value } of log?.entries() ?? []) {
      if (!isSame(former?.get(key)?.value, value)) changes.push({ key, value });
    }
    if (changes.length > 0) this.#options.onChange(owner, changes);
  }

  #change(log: OwnerLog, action: () => void): void {
    const before = this.#fingerprint(log);
    action();
    this.#toggle(log.owner, before, this.#fingerprint(log));
  }

  #summarise(owner: string, former: OwnerLog | undefined, log: OwnerLog | undefined): void {
    this.#toggle(owner, this.#fingerprint(former), this.#fingerprint(log, false));
  }

  #toggle(owner: string, before: number, after: number): void {
    const { names, summary } = this.#options;
    summary.replace(names.bucketOf(names.indexOf(owner)), before, after);
  }

  /** 0 for a log without facts, and for one that is not offered to others. */
  #fingerprint(log: OwnerLog | undefined, canBeUnconfirmed = true): number {
    if (log === undefined || log.version === 0 || (canBeUnconfirmed && this.#unconfirmed.has(log.owner))) return 0;
    const { names } = this.#options;
    const owner = names.hashOf(names.indexOf(log.owner)) ^ 0x5bd1e995;
    return hashNumber(hashNumber(owner, log.generation), log.version) || 1;
  }
}

function positionOf(owner: string, log: OwnerLog | undefined): Position {
  return { owner, generation: log?.generation ?? 0, version: log?.version ?? 0, base: log?.floor ?? 0 };
}

/** True for a delta from the start that is to take the place of what is here, which misses removals. */
function beginsAnew(log: OwnerLog, { from, floor }: Delta): boolean {
  return from === 0 && log.version > 0 && log.version < floor && log.floor < floor;
}

function isReal(log: OwnerLog, { key, value }: FactChange): boolean {
  return !isSame(log.get(key)?.value, value);
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && equalBytes(a, b));
}

function tooLarge(key: string, length: number, value: Uint8Array | undefined): NetError {
  return new NetError("invalid", {
    tried: `publish the fact ${JSON.stringify(key.slice(0, 80))}`,
    said: `its key has ${length} bytes and its value ${value?.length ?? 0}; 1 to ${WIRE.key} and up to ${WIRE.value} can be`,
  });
}
