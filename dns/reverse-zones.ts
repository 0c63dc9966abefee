import type { Prefix } from "../lib/address.ts";
import { type Name, parentOf } from "./name.ts";
import { reverseName, reverseZones } from "./reverse.ts";
import { dcosZone, type Zone } from "./zone.ts";

/** Whose reverse names we answer for. */
export interface ReverseClaims {
  /** Ours alone, and so all names in them: overlays and pools of virtual IPs. */
  readonly ranges: readonly Prefix[];
  /** Addresses among those of others, such as those of nodes, canonical text. */
  readonly addresses: Iterable<string>;
  /** Zones that the operator has others answer for: they know more of the single addresses below. */
  readonly forwarded: ReadonlySet<Name>;
}

/** The zones of reverse names, by name, none of which is below another. Whole zones for ranges; each single address has
 *  one of its own, so that its neighbours' names are still asked of others. */
export function reverseZonesOf({ ranges, addresses, forwarded }: ReverseClaims): Map<Name, Zone> {
  const wide = new Set(ranges.flatMap(reverseZones));
  const zones = new Map<Name, Zone>();
  for (const name of wide) if (!isBelow(name, wide)) zones.set(name, dcosZone(name));
  for (const address of addresses) {
    const name = reverseName(address);
    if (wide.has(name) || isBelow(name, wide) || forwarded.has(name) || isBelow(name, forwarded)) continue;
    zones.set(name, { ...dcosZone(name), countedAs: address.includes(":") ? "ip6.arpa" : "in-addr.arpa" });
  }
  return zones;
}

/** True when one of the zones is above the name; the root, which is above all, doesn't count. */
export function isBelow(name: Name, zones: { has(name: Name): boolean }): boolean {
  for (let above = parentOf(name); above !== ""; above = parentOf(above)) if (zones.has(above)) return true;
  return false;
}
