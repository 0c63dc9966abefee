import { RCODE } from "../../dns/codes.ts";
import type { AnswerTable } from "../../dns/forward/cache.ts";
import type { Forwarding } from "../../dns/forward/forwarder.ts";
import { type ForwardZone, Routes } from "../../dns/forward/route.ts";
import type { Query } from "../../dns/message.ts";
import type { Name } from "../../dns/name.ts";
import type { Reply } from "../../dns/reply.ts";
import type { Transport } from "../../dns/respond.ts";
import type { Clock } from "../../lib/clock.ts";
import { Histogram } from "../../lib/histogram.ts";

/** Those of DC/OS, seconds. */
const BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/** How long askers waited for names of a forward zone, and how often for nothing. */
export interface ZoneTimes {
  readonly durations: Histogram;
  failures: number;
}

/** Times what another forwarding does, by zone. Zones come from the settings, so there are few of them. */
export class TimedForwarding implements Forwarding {
  readonly #forwarding: Forwarding;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #times = new Map<Name, ZoneTimes>();
  #routes = new Routes([]);

  constructor(forwarding: Forwarding, clock: Pick<Clock, "monotonic">) {
    this.#forwarding = forwarding;
    this.#clock = clock;
  }

  /** Takes the zones that names are told apart by from now on. */
  setZones(zones: readonly ForwardZone[]): void {
    this.#routes = new Routes(zones);
    for (const { zone } of zones) {
      if (!this.#times.has(zone)) this.#times.set(zone, { durations: new Histogram(BOUNDS), failures: 0 });
    }
  }

  times(): ReadonlyMap<Name, ZoneTimes> {
    return this.#times;
  }

  async forward(query: Query, transport: Transport): Promise<Uint8Array | Reply> {
    const start = this.#clock.monotonic();
    const reply = await this.#forwarding.forward(query, transport);
    const times = this.#times.get(this.#routes.routeOf(query.name)?.zone ?? "");
    times?.durations.observe((this.#clock.monotonic() - start) / 1000);
    if (times !== undefined && rcodeOf(reply) === RCODE.SERVFAIL) times.failures += 1;
    return reply;
  }

  publishTo(table: AnswerTable): void {
    this.#forwarding.publishTo(table);
  }
}

function rcodeOf(reply: Uint8Array | Reply): number {
  return reply instanceof Uint8Array ? (reply[3] ?? 0) & 0xf : reply.rcode;
}
