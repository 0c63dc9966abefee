import { NetError } from "../../lib/error.ts";
import { type Endpoint, endpointText } from "../endpoint.ts";
import { type Name, parentOf } from "../name.ts";

/** Upstreams of one zone at most; the rest would never be asked. */
const UPSTREAMS_MOST = 16;

/** A part of the name space with those who are asked about it. */
export interface ForwardZone {
  /** Names at and below it; the root, empty, is all that no other zone has. */
  readonly zone: Name;
  /** Best first where nothing is known of them. With none, names below the zone are answered by nobody. */
  readonly upstreams: readonly Endpoint[];
}

/** Says who is asked about a name: the longest zone that it is under, however the zones were ordered. */
export class Routes {
  readonly #zones: ReadonlyMap<Name, ForwardZone>;

  /** Of two zones of one name the later holds. Throws a NetError `invalid` for more upstreams than are ever asked. */
  constructor(zones: readonly ForwardZone[]) {
    for (const { zone, upstreams } of zones) {
      if (upstreams.length <= UPSTREAMS_MOST) continue;
      const said = `${upstreams.length} upstreams, and at most ${UPSTREAMS_MOST} are used`;
      throw new NetError("invalid", { tried: `forward names of zone ${zone === "" ? "." : zone}`, said });
    }
    this.#zones = new Map(zones.map((zone) => [zone.zone, zone]));
  }

  /** Undefined when nobody is asked about the name. */
  routeOf(name: Name): ForwardZone | undefined {
    for (let rest = name; ; rest = parentOf(rest)) {
      const found = this.#zones.get(rest);
      if (found !== undefined) return found.upstreams.length === 0 ? undefined : found;
      if (rest === "") return undefined;
    }
  }

  zones(): readonly ForwardZone[] {
    return [...this.#zones.values()];
  }
}

/** Refuses upstreams at which this server itself listens: a query would come back for ever. `own` are the endpoints of
 *  this server, with each address of the machine in place of "any address". Throws a NetError `invalid` that names the
 *  first such upstream. */
export function refuseOwn(zones: readonly ForwardZone[], own: readonly Endpoint[]): void {
  const mine = new Set(own.map(endpointText));
  for (const { zone, upstreams } of zones) {
    const looping = upstreams.find((upstream) => mine.has(endpointText(upstream)));
    if (looping === undefined) continue;
    throw new NetError("invalid", {
      tried: `forward ${zone === "" ? "names outside the local zones" : `names of zone ${zone}`} to ${endpointText(looping)}`,
      said: "this server itself listens there, and would ask itself for ever",
      remedy: "name the resolver of the site, not this node",
    });
  }
}
