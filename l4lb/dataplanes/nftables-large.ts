import type { Family } from "../../lib/address.ts";
import { joinBackends, type Service } from "../service.ts";
import { type Held, type Lead, leadOf, numberIn, type Placed, targetDigits } from "./nftables-elements.ts";
import { isLarge, rearranged, slotCounts } from "./nftables-slots.ts";

// The choice among the backends of a large service: a map of a few sizes, of which a part is in use (`largeRules` in
// nftables-table.ts). Who has which number is what came of all changes so far.

/** The service with how its backends are to be chosen. That of a large service differs no more than it must from what
 *  it was before; that of others follows from the service alone. */
export function heldAs(service: Service, before: Held | undefined): Held {
  if (!isLarge(service)) return { service, lead: leadOf(service) };
  const known = before !== undefined && isLarge(before.service) ? before : undefined;
  const targets = rearranged(known?.lead?.targets ?? [], moreSlots(known?.service, service));
  return { service, lead: { set: largeMap(service.ip.family, targets.length), targets } };
}

/** The service with how the elements say that its backends are chosen; undefined when they don't choose all of them by
 *  their weights. */
export function heldBy(service: Service, placed: readonly Placed[]): Held | undefined {
  if (!isLarge(service)) return { service, lead: leadOf(service) };
  const lead = largeLead(service.ip.family, placed);
  const left = moreSlots(undefined, service);
  for (const target of lead.targets) left.set(target, (left.get(target) ?? 0) - 1);
  return [...left.values()].every((count) => count === 0) ? { service, lead } : undefined;
}

/** Gaps between the numbers are closed up, so that such a choice has other elements than those that were found. */
function largeLead(family: Family, placed: readonly Placed[]): Lead {
  const found = placed.filter(({ set }) => set.startsWith("large")).map(({ element }) => element);
  const numbered = found.map(({ key, data = "" }) => ({ number: numberIn(key), data }));
  const targets = numbered.sort((a, b) => a.number - b.number).map(({ data }) => data);
  return { set: largeMap(family, targets.length), targets };
}

/** The smallest map of a power of two that takes so many slots. */
function largeMap(family: Family, slots: number): string {
  return `large${family}_${2 ** Math.ceil(Math.log2(slots))}`;
}

/** How many more slots each backend gets, by its target; those that keep theirs are left out. */
function moreSlots(before: Service | undefined, after: Service): Map<string, number> {
  const counts = (service: Service | undefined) => slotCounts(service?.backends.map(({ weight }) => weight) ?? []);
  const [had, has] = [counts(before), counts(after)];
  const more = new Map<string, number>();
  joinBackends(before?.backends ?? [], after.backends, (from, to) => {
    const count = (has[to ?? -1] ?? 0) - (had[from ?? -1] ?? 0);
    const backend = after.backends[to ?? -1] ?? before?.backends[from ?? -1];
    if (count !== 0 && backend !== undefined) more.set(targetDigits(backend), count);
  });
  return more;
}
