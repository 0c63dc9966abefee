import { messageOf, NetError } from "../lib/error.ts";
import type { Change, Dataplane } from "./dataplane.ts";
import type { VipMetrics } from "./metric.ts";
import { equalServices, planServices, withoutLosses } from "./plan.ts";
import type { ServiceChange } from "./rows.ts";
import { type Service, serviceName } from "./service.ts";

export interface VipKeeperOptions {
  readonly dataplane: Dataplane;
  readonly metrics: VipMetrics;
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
}

/** A change that the kernel refused. */
export interface Refusal {
  /** `serviceName`. */
  readonly service: string;
  readonly error: Error;
}

/** What a pass did. */
export interface VipReport {
  /** What was missing or wrong although nothing was to be changed: somebody else's doing. Empty after the first pass,
   *  which takes over what is there. */
  readonly repaired: readonly string[];
  readonly refused: readonly Refusal[];
}

/** Keeps one kernel's services as the table says. News goes the short way, as changes of what the kernel is known to
 *  have; from time to time, and when something was refused, the kernel is read as a whole and compared. */
export class VipKeeper {
  readonly #options: VipKeeperOptions;
  /** What the kernel has, as far as is known. */
  readonly #known = new Map<string, Service>();
  /** Services that the kernel refused to have as they should be, with why. */
  readonly #refused = new Map<string, Error>();
  #isTakenOver = false;

  constructor(options: VipKeeperOptions) {
    this.#options = options;
  }

  /** True once the kernel was read and compared, so that changes make sense. */
  get isTakenOver(): boolean {
    return this.#isTakenOver;
  }

  /** Whether the kernel has a service, be it as it should be or not. `name`: `serviceName`. */
  has(name: string): boolean {
    return this.#known.has(name);
  }

  /** What the kernel has of a service, as far as is known. */
  known(name: string): Service | undefined {
    return this.#known.get(name);
  }

  /** Services that the kernel hasn't as they should be, and why. */
  refusals(): ReadonlyMap<string, Error> {
    return this.#refused;
  }

  /** Carries out what changed in the table. With `removing` false nothing that is there is taken away: for a table that
   *  may be known in part only. What is refused is left to the next pass. */
  change(services: Iterable<readonly [string, ServiceChange]>, removing: boolean): readonly Refusal[] {
    const changes: Change[] = [];
    for (const [name, { after }] of services) {
      const have = this.#known.get(name);
      const want = removing ? after : withoutLosses(have, after);
      if (want !== undefined && (have === undefined || !equalServices(have, want)))
        changes.push({ do: "put", service: want, before: have });
      else if (want === undefined && have !== undefined) changes.push({ do: "delete", key: have, before: have });
      if (want === undefined && have === undefined) this.#refused.delete(name);
    }
    return this.#apply(deletesFirst(changes));
  }

  /** Brings up what services need, reads the kernel, and makes what differs from the table as it should be. Throws a
   *  NetError when the kernel can't be read, or when it can't have virtual IPs at all. */
  reconcile(wanted: ReadonlyMap<string, Service>, removing: boolean): VipReport {
    const { dataplane, metrics, monotonic } = this.#options;
    const startedAt = monotonic();
    metrics.passes += 1;
    try {
      const { made } = dataplane.prepare();
      const before = new Map(this.#known);
      const unsettled = new Set(this.#refused.keys());
      this.#take(dataplane.read());
      const kept = removing ? wanted.values() : this.#union(wanted);
      const changes = planServices(this.#known.values(), kept);
      const damaged = this.#isTakenOver ? changes.flatMap((change) => damageOf(change, before, unsettled)) : [];
      const repaired = this.#isTakenOver ? [...made, ...damaged] : [];
      this.#isTakenOver = true;
      const refused = this.#apply(changes);
      metrics.repairs += repaired.length;
      if (refused.length > 0) metrics.failedPasses += 1;
      return { repaired, refused };
    } catch (error) {
      metrics.failedPasses += 1;
      throw error;
    } finally {
      metrics.lastPassMs = monotonic() - startedAt;
    }
  }

  #take(services: readonly Service[]): void {
    this.#known.clear();
    this.#refused.clear();
    this.#options.metrics.pending = 0;
    for (const service of services) this.#known.set(serviceName(service), service);
  }

  /** All that is wanted and all that is there. */
  *#union(wanted: ReadonlyMap<string, Service>): Generator<Service> {
    for (const name of new Set([...wanted.keys(), ...this.#known.keys()])) {
      const service = withoutLosses(this.#known.get(name), wanted.get(name));
      if (service !== undefined) yield service;
    }
  }

  #apply(changes: readonly Change[]): Refusal[] {
    const { dataplane, metrics, monotonic } = this.#options;
    if (changes.length === 0) return [];
    const startedAt = monotonic();
    const results = applied(dataplane, changes);
    metrics.lastChangeMs = monotonic() - startedAt;
    const refused: Refusal[] = [];
    for (const [index, change] of changes.entries()) {
      const service = serviceName(change.do === "put" ? change.service : change.key);
      const error = results[index];
      if (error === undefined) this.#done(service, change);
      else refused.push({ service, error });
    }
    for (const { service, error } of refused) this.#refused.set(service, error);
    metrics.changes += changes.length - refused.length;
    metrics.refusals += refused.length;
    metrics.pending = this.#refused.size;
    return refused;
  }

  #done(name: string, change: Change): void {
    this.#refused.delete(name);
    if (change.do === "put") this.#known.set(name, change.service);
    else this.#known.delete(name);
  }
}

/** What became of each change. When the data plane can't go on at all, nothing is known of any: the next pass reads
 *  what there is. */
function applied(dataplane: Dataplane, changes: readonly Change[]): (Error | undefined)[] {
  try {
    return dataplane.apply(changes);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return changes.map(() => error);
  }
}

/** One NetError for all refusals, with the first as its cause; undefined when there is none. */
export function refusalError(refused: readonly Refusal[]): NetError | undefined {
  const [first] = refused;
  if (first === undefined) return undefined;
  const more = refused.length === 1 ? "" : `; ${refused.length - 1} more services were refused`;
  return new NetError("kernel", {
    tried: `set up ${first.service}`,
    said: `${messageOf(first.error)}${more}`,
    cause: first.error,
  });
}

/** What is freed first may be used by what comes. */
function deletesFirst(changes: readonly Change[]): Change[] {
  return [...changes.filter((change) => change.do === "delete"), ...changes.filter((change) => change.do === "put")];
}

/** In words, what somebody else did to a service that stood as it should; nothing for one that was refused before. */
function damageOf(change: Change, before: ReadonlyMap<string, Service>, unsettled: ReadonlySet<string>): string[] {
  const service = change.do === "put" ? change.service : change.key;
  const name = serviceName(service);
  const was = before.get(name);
  if (unsettled.has(name)) return [];
  if (change.do === "delete") return was === undefined ? [`service ${name}, which is not ours`] : [];
  return was !== undefined && equalServices(was, change.service) ? [`service ${name}`] : [];
}
