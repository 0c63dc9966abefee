import type { Dataplane, ServiceCounters } from "../../l4lb/dataplane.ts";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";

/** How old counters may be, milliseconds. */
const LONGEST_AGE_MS = 5000;

/** What services and backends have carried. Read anew after a while only: a read costs as much as there are services
 *  and connections, and may be asked for at any time. */
export class Carried {
  readonly #dataplane: Pick<Dataplane, "counters">;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #log: Log;
  #last: { readonly at: number; readonly counters: readonly ServiceCounters[] } | undefined;

  constructor(dataplane: Pick<Dataplane, "counters">, clock: Pick<Clock, "monotonic">, log: Log) {
    this.#dataplane = dataplane;
    this.#clock = clock;
    this.#log = log;
  }

  /** Nothing when the kernel can't tell. */
  counters(): readonly ServiceCounters[] {
    const at = this.#clock.monotonic();
    if (this.#last === undefined || at - this.#last.at > LONGEST_AGE_MS) this.#last = { at, counters: this.#read() };
    return this.#last.counters;
  }

  #read(): readonly ServiceCounters[] {
    try {
      return this.#dataplane.counters();
    } catch (error) {
      this.#log.warn("counters of virtual IPs not read", { problem: messageOf(error) });
      return [];
    }
  }
}
