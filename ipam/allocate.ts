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

/** One range set to take an address from. */
interface Draw {
  readonly set: RangeSet;
  /** Place in the configuration. */
  readonly index: number;
  /** The address asked for, if any. */
  readonly wish: Ip | undefined;
}

/** Makes the error of one allocation from its code, the reference's wording and a remedy. */
type Refuse = (code: ErrorCode, said: string, remedy?: string) => NetError;

/** Gives `owner` one address of each range set, or none at all. A set takes the first of the `requested` addresses that
 *  lies in its ranges, else the next free one in round-robin order.
 *
 *  Throws NetErrors with the reference's wording in `said`: `conflict` when the owner already holds an address of a
 *  set, or a requested one is taken; `invalid` when a requested one is a gateway or in no set; `exhausted`. The
 *  reference lets an attachment gather addresses by requesting one after the other; here one address of a set is the
 *  most. */
export function allocate(
  store: LeaseStore,
  sets: readonly RangeSet[],
  owner: Owner,
  requested: readonly Ip[] = [],
): readonly Lease[] {
  const tried = `give container ${owner.id} interface ${owner.ifname} an address of network ${store.network}`;
  const refuse: Refuse = (code, said, remedy) =>
    new NetError(code, { tried, said, ...(remedy === undefined ? {} : { remedy }) });
  const draws = planDraws(sets, requested, refuse);
  return store.locked((leases) => {
    refuseSecond(leases, draws, owner, refuse);
    return drawAll(leases, draws, owner, (draw) => exhausted(store, leases, draw, refuse), refuse);
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

/** The addresses that `owner` holds: what CHECK compares. A lease of the old format, without interface, counts for
 *  every interface of its container that has none of its own. */
export function held(store: LeaseStore, owner: Owner): readonly Ip[] {
  const leases = store.lockedIfPresent((all) => leasesMeant(all.of(owner.id), owner.ifname));
  return leases?.map(({ ip }) => ip) ?? [];
}

/** Deals the requested addresses out to the sets; checked before anything is written. */
function planDraws(sets: readonly RangeSet[], requested: readonly Ip[], refuse: Refuse): readonly Draw[] {
  const open = requested.filter((ip, at) => requested.findIndex((other) => equalIp(other, ip)) === at);
  const draws = sets.map((set, index) => {
    const at = open.findIndex((ip) => rangeFor(set, ip) !== undefined);
    const [wish] = at < 0 ? [] : open.splice(at, 1);
    if (wish === undefined || !isGateway(set, wish)) return { set, index, wish };
    throw refuse("invalid", inRange(index, `requested ip ${formatIp(wish)} is subnet's gateway`));
  });
  if (open.length === 0) return draws;
  const said = `failed to allocate all requested IPs: ${open.map(formatIp).join(" ")}`;
  throw refuse("invalid", said, "ask for addresses inside the configured ranges, one for each range set");
}

function refuseSecond(leases: Leases, draws: readonly Draw[], owner: Owner, refuse: Refuse): void {
  const mine = leases
    .of(owner.id)
    .filter(({ holder }) => holder.ifname === undefined || holder.ifname === owner.ifname);
  for (const draw of draws) {
    const present = mine.map(({ ip }) => ip).filter((ip) => rangeFor(draw.set, ip) !== undefined);
    const [first] = present;
    if (first === undefined) continue;
    const { wish } = draw;
    if (wish !== undefined && present.some((ip) => equalIp(ip, wish))) throw refuse("conflict", takenText(draw, wish));
    const said = `${formatIp(first)} has been allocated to ${owner.id}, duplicate allocation is not allowed`;
    throw refuse("conflict", inRange(draw.index, said));
  }
}

/** The round-robin markers move only when all sets have given an address, so that a refused attachment leaves no
 *  trace. */
function drawAll(
  leases: Leases,
  draws: readonly Draw[],
  owner: Owner,
  exhaustedIn: (draw: Draw) => NetError,
  refuse: Refuse,
): readonly Lease[] {
  const reserved: HeldLease[] = [];
  try {
    const granted = draws.map((draw) => {
      const ip = draw.wish === undefined ? takeNext(leases, draw, owner) : takeWish(leases, draw.wish, owner);
      if (ip === undefined) {
        throw draw.wish === undefined ? exhaustedIn(draw) : refuse("conflict", takenText(draw, draw.wish));
      }
      reserved.push({ ip, holder: owner });
      return leaseOf(draw, ip);
    });
    for (const { set, address } of granted) leases.setLastReserved(set, address.ip);
    return granted;
  } catch (error) {
    undo(leases, reserved);
    throw error;
  }
}

/** What can't be given back now, the runtime's DEL will give back; the error that led here says more. */
function undo(leases: Leases, reserved: readonly HeldLease[]): void {
  for (const lease of reserved) {
    try {
      leases.release(lease);
    } catch {}
  }
}

function takeWish(leases: Leases, wish: Ip, owner: Owner): Ip | undefined {
  return leases.reserve(wish, owner) ? wish : undefined;
}

/** The next free address, else undefined. An index that knows none free is made again first: the address of a lease
 *  file that somebody else removed may count as used in it. */
function takeNext(leases: Leases, { set, index }: Draw, owner: Owner): Ip | undefined {
  const spans = spansAfter(set, leases.lastReserved(index));
  const ip = reserveFirst(leases, set, spans, owner);
  if (ip !== undefined) return ip;
  leases.all();
  return reserveFirst(leases, set, spans, owner);
}

function reserveFirst(leases: Leases, set: RangeSet, spans: readonly Span[], owner: Owner): Ip | undefined {
  for (;;) {
    const ip = firstFree(leases, set, spans);
    if (ip === undefined || leases.reserve(ip, owner)) return ip;
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

function leaseOf({ set, index }: Draw, ip: Ip): Lease {
  const range = rangeFor(set, ip) ?? set[0];
  return { address: { ip, length: range.subnet.length }, gateway: range.gateway, set: index };
}

function exhausted(store: LeaseStore, leases: Leases, { set, index }: Draw, refuse: Refuse): NetError {
  const inSet = leases.all().filter(({ ip }) => rangeFor(set, ip) !== undefined);
  const holders = largestHolders(inSet, (ip) => store.writtenAt(ip));
  return refuse("exhausted", exhaustedText(store.network, index, set, holders), EXHAUSTED_REMEDY);
}

function takenText({ set, index }: Draw, ip: Ip): string {
  return inRange(index, `requested IP address ${formatIp(ip)} is not available in range set ${formatSet(set)}`);
}

function inRange(index: number, reason: string): string {
  return `failed to allocate for range ${index}: ${reason}`;
}
