import { equalIp, formatIp, type Ip, offsetIp, type Prefix } from "../lib/address.ts";
import { type ErrorCode, NetError } from "../lib/error.ts";
import type { HeldLease } from "./directory.ts";
import { EXHAUSTED_REMEDY, exhaustedText } from "./exhausted.ts";
import { largestHolders } from "./holders.ts";
import { leasesMeant, type Owner } from "./lease.ts";
import { formatSet, isGateway, type RangeSet, rangeFor, type Span, spansAfter } from "./range.ts";
import type { LeaseStore, Leases } from "./store.ts";

/** An address given to an attachment. */
export interface Lease {
  /** The address with its subnet's prefix length. */
  readonly address: Prefix;
  readonly gateway: Ip | undefined;
  /** Place of its range set in the configuration. */
  readonly set: number;
}

/** Gives `owner` one address of each range set, or none at all. A set takes the first of the `requested` addresses that lies
 *  in its ranges, else the next free one in round-robin order.
 *
 *  Throws NetErrors with the reference's wording in `said`: `conflict` when the owner already holds an address of a set, or a
 *  requested one is taken; `invalid` when a requested one is a gateway or in no set; `exhausted`. The reference lets an
 *  attachment gather addresses by requesting one after the other; here one address of a set is the most. */
export function allocate(
  store: LeaseStore,
  sets: readonly RangeSet[],
  owner: Owner,
  requested: readonly Ip[] = [],
): readonly Lease[] {
  const wishes = matchRequests(store, sets, owner, requested);
  return store.locked((leases) => {
    refuseSecond(store, leases, sets, owner, wishes);
    const reserved: HeldLease[] = [];
    try {
      const granted = sets.map((set, index) => {
        const ip =
          takeWish(store, leases, set, index, owner, wishes[index]) ?? takeNext(store, leases, set, index, owner);
        reserved.push({ ip, holder: owner });
        return leaseOf(set, index, ip);
      });
      for (const { set, address } of granted) leases.setLastReserved(set, address.ip);
      return granted;
    } catch (error) {
      for (const lease of reserved) leases.release(lease);
      throw error;
    }
  });
}

/** Gives back what `owner` holds, or with `ifname` undefined what all interfaces of the container hold, and returns it.
 *  Holding nothing is no error. */
export function release(
  store: LeaseStore,
  owner: { readonly id: string; readonly ifname: string | undefined },
): readonly Ip[] {
  const freed = store.lockedIfPresent((leases) => {
    const meant = leasesMeant(leases.of(owner.id), owner.ifname);
    for (const lease of meant) leases.release(lease);
    return meant.map(({ ip }) => ip);
  });
  return freed ?? [];
}

/** The addresses that `owner` holds: what CHECK compares. A lease of the old format, without interface, counts for every
 *  interface of its container that has none of its own. */
export function held(store: LeaseStore, owner: Owner): readonly Ip[] {
  const leases = store.lockedIfPresent((all) => leasesMeant(all.of(owner.id), owner.ifname));
  return leases?.map(({ ip }) => ip) ?? [];
}

/** For each set the requested address that it will try, checked before anything is written. */
function matchRequests(
  store: LeaseStore,
  sets: readonly RangeSet[],
  owner: Owner,
  requested: readonly Ip[],
): readonly (Ip | undefined)[] {
  const open = requested.filter((ip, at) => requested.findIndex((other) => equalIp(other, ip)) === at);
  const wishes = sets.map((set, index) => {
    const at = open.findIndex((ip) => rangeFor(set, ip) !== undefined);
    const [wish] = at < 0 ? [] : open.splice(at, 1);
    if (wish === undefined || !isGateway(set, wish)) return wish;
    throw refusal("invalid", store, owner, index, `requested ip ${formatIp(wish)} is subnet's gateway`);
  });
  if (open.length === 0) return wishes;
  const unmatched = open.map(formatIp).join(" ");
  throw failure(
    "invalid",
    store,
    owner,
    `failed to allocate all requested IPs: ${unmatched}`,
    "ask for addresses in the configured ranges, one a range set",
  );
}

function refuseSecond(
  store: LeaseStore,
  leases: Leases,
  sets: readonly RangeSet[],
  owner: Owner,
  wishes: readonly (Ip | undefined)[],
): void {
  const mine = leases
    .of(owner.id)
    .filter(({ holder }) => holder.ifname === undefined || holder.ifname === owner.ifname);
  for (const [index, set] of sets.entries()) {
    const wish = wishes[index];
    const present = mine.filter(({ ip }) => rangeFor(set, ip) !== undefined);
    const [first] = present;
    if (first === undefined) continue;
    if (wish !== undefined && present.some(({ ip }) => equalIp(ip, wish))) throw taken(store, owner, set, index, wish);
    const said = `${formatIp(first.ip)} has been allocated to ${owner.id}, duplicate allocation is not allowed`;
    throw refusal("conflict", store, owner, index, said);
  }
}

function takeWish(
  store: LeaseStore,
  leases: Leases,
  set: RangeSet,
  index: number,
  owner: Owner,
  wish: Ip | undefined,
): Ip | undefined {
  if (wish === undefined || leases.reserve(wish, owner)) return wish;
  throw taken(store, owner, set, index, wish);
}

function takeNext(store: LeaseStore, leases: Leases, set: RangeSet, index: number, owner: Owner): Ip {
  const spans = spansAfter(set, leases.lastReserved(index));
  for (;;) {
    const ip = firstFree(leases, set, spans);
    if (ip !== undefined && leases.reserve(ip, owner)) return ip;
    if (ip === undefined && !leases.verify()) throw exhausted(store, leases, set, index, owner);
  }
}

function firstFree(leases: Leases, set: RangeSet, spans: readonly Span[]): Ip | undefined {
  for (const { from, to } of spans) {
    let ip = leases.firstFree(from, to);
    while (ip !== undefined && isGateway(set, ip)) {
      const next = offsetIp(ip, 1);
      ip = next && leases.firstFree(next, to);
    }
    if (ip !== undefined) return ip;
  }
  return undefined;
}

function leaseOf(set: RangeSet, index: number, ip: Ip): Lease {
  const range = rangeFor(set, ip) ?? set[0];
  return { address: { ip, length: range.subnet.length }, gateway: range.gateway, set: index };
}

function exhausted(store: LeaseStore, leases: Leases, set: RangeSet, index: number, owner: Owner): NetError {
  const inSet = leases.all().filter(({ ip }) => rangeFor(set, ip) !== undefined);
  const holders = largestHolders(inSet, (ip) => leases.writtenAt(ip));
  return failure("exhausted", store, owner, exhaustedText(store.network, index, set, holders), EXHAUSTED_REMEDY);
}

function taken(store: LeaseStore, owner: Owner, set: RangeSet, index: number, ip: Ip): NetError {
  const said = `requested IP address ${formatIp(ip)} is not available in range set ${formatSet(set)}`;
  return refusal("conflict", store, owner, index, said);
}

function refusal(code: ErrorCode, store: LeaseStore, owner: Owner, index: number, reason: string): NetError {
  return failure(code, store, owner, `failed to allocate for range ${index}: ${reason}`);
}

function failure(code: ErrorCode, store: LeaseStore, { id, ifname }: Owner, said: string, remedy?: string): NetError {
  const tried = `give container ${id} interface ${ifname} an address of network ${store.network}`;
  return new NetError(code, { tried, said, ...(remedy === undefined ? {} : { remedy }) });
}
