import type { Name } from "../../dns/name.ts";
import type { Zone } from "../../dns/zone.ts";
import type { Zones } from "../../dns/zones.ts";
import type { Clock } from "../../lib/clock.ts";

/** Names that one turn of the event loop counts; queries are answered in between. */
const NAMES_AT_ONCE = 2000;
/** For so long a count is good enough, milliseconds. */
const FRESH_MS = 10_000;

/** What a zone holds. */
export interface ZoneCount {
  /** Names that have records, the apex included. */
  readonly names: number;
  readonly records: number;
}

export type ZoneCounts = ReadonlyMap<Name, ZoneCount>;

/** Counts names and records of the zones without keeping anybody waiting, and not more often than is of use. */
export class ZoneCounter {
  readonly #zones: Zones;
  readonly #clock: Clock;
  #last: ZoneCounts = new Map();
  #countedAt = Number.NEGATIVE_INFINITY;
  #counting: Promise<ZoneCounts> | undefined;

  constructor(zones: Zones, clock: Clock) {
    this.#zones = zones;
    this.#clock = clock;
  }

  /** The last count, at once; empty before the first. Sees to a new one when it is old. */
  last(): ZoneCounts {
    if (this.#clock.monotonic() - this.#countedAt > FRESH_MS) void this.count();
    return this.#last;
  }

  /** A count of now. */
  count(): Promise<ZoneCounts> {
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #count(): Promise<ZoneCounts> {
    this.#countedAt = this.#clock.monotonic();
    const counts = new Map(this.#zones.zones().map((zone) => [countedAs(zone), { names: 0, records: 0 }]));
    let left = NAMES_AT_ONCE;
    for (const { data } of this.#zones) {
      const count = counts.get(countedAs(data.zone));
      if (count === undefined) continue;
      count.names += 1;
      for (const { records } of data.sets) count.records += records.length;
      if (--left > 0) continue;
      left = NAMES_AT_ONCE;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#clock.schedule(0, resolve);
      await promise;
    }
    this.#last = counts;
    return counts;
  }
}

/** The zone's name; of one of many small zones, what all of them are counted as. */
function countedAs({ name, countedAs = name }: Zone): Name {
  return countedAs;
}
