import type { Prefix } from "../lib/address.ts";
import type { Name } from "./name.ts";
import type { DnsRecord } from "./record.ts";
import { reverseName } from "./reverse.ts";
import { isBelow, reverseZonesOf } from "./reverse-zones.ts";
import type { Zone } from "./zone.ts";
import type { Zones } from "./zones.ts";

/** Zones that come or go. */
export interface ZoneChange {
  /** True when the name of this address (canonical text) is in one of them. */
  readonly concerns: (address: string) => boolean;
  /** True when zones of whole ranges are among them, false when only single addresses are. */
  readonly ranges: boolean;
}

/** Keeps the zones of reverse names while ranges and nodes come and go, and says which records belong in them. */
export class ReverseNames {
  readonly #zones: Zones;
  readonly #forwarded: ReadonlySet<Name>;
  #claimed: ReadonlyMap<Name, Zone> = new Map();
  /** Zones that are about to go: nothing belongs in them any more. */
  #closing: ReadonlyMap<Name, Zone> = new Map();

  constructor(zones: Zones, forwarded: readonly Name[]) {
    this.#zones = zones;
    this.#forwarded = new Set(forwarded);
  }

  /** Makes the zones those of these ranges and single addresses. `putAgain` must put what a change concerns; it is
   *  called before zones go, and after others have come. */
  claim(ranges: readonly Prefix[], addresses: readonly string[], putAgain: (change: ZoneChange) => void): void {
    const before = this.#claimed;
    const after = reverseZonesOf({ ranges, addresses, forwarded: this.#forwarded });
    this.#claimed = after;
    this.#closing = without(before, after);
    if (this.#closing.size > 0) putAgain(changeOf(this.#closing));
    for (const name of this.#closing.keys()) this.#zones.close(name);
    this.#closing = new Map();
    const opening = without(after, before);
    for (const zone of opening.values()) this.#zones.open(zone);
    if (opening.size > 0) putAgain(changeOf(opening));
  }

  /** The records without reverse names that no zone has. */
  claimed(records: readonly DnsRecord[]): readonly DnsRecord[] {
    return records.filter(({ name, data }) => data.type !== "PTR" || this.#has(name));
  }

  /** The records without reverse names outside the ranges. */
  inRanges(records: readonly DnsRecord[]): readonly DnsRecord[] {
    return records.filter(({ name, data }) => data.type !== "PTR" || (this.#has(name) && !this.#isSingle(name)));
  }

  #has(name: Name): boolean {
    return isIn(name, this.#claimed) && !isIn(name, this.#closing);
  }

  #isSingle(name: Name): boolean {
    return this.#claimed.get(name)?.countedAs !== undefined;
  }
}

function changeOf(zones: ReadonlyMap<Name, Zone>): ZoneChange {
  return {
    concerns: (address) => isIn(reverseName(address), zones),
    ranges: zones.values().some(({ countedAs }) => countedAs === undefined),
  };
}

function isIn(name: Name, zones: ReadonlyMap<Name, Zone>): boolean {
  return zones.has(name) || isBelow(name, zones);
}

/** What of one map isn't in the other; a zone of a range isn't the zone of one address, though the names be equal. */
function without(zones: ReadonlyMap<Name, Zone>, others: ReadonlyMap<Name, Zone>): Map<Name, Zone> {
  return new Map(
    [...zones].filter(([name, { countedAs }]) => others.get(name)?.countedAs !== countedAs || !others.has(name)),
  );
}
