import {
  contains,
  equalIp,
  firstOf,
  formatIp,
  formatPrefix,
  type Ip,
  isNetwork,
  lastOf,
  offsetIp,
  type Prefix,
  widthOf,
} from "../lib/address.ts";
import { NetError } from "../lib/error.ts";

/** One range as a configuration gives it (cni.dev host-local, `ranges`). */
export interface RangeConfig {
  readonly subnet: Prefix;
  readonly rangeStart?: Ip;
  readonly rangeEnd?: Ip;
  readonly gateway?: Ip;
}

/** A range with its defaults filled in. Both ends belong to it. */
export interface Range {
  readonly subnet: Prefix;
  readonly start: Ip;
  readonly end: Ip;
  /** Never handed out. Undefined in subnets of one or two addresses that name none. */
  readonly gateway: Ip | undefined;
}

/** Ranges of one family that are used up together: an attachment gets one address from each set. */
export type RangeSet = readonly [Range, ...Range[]];

/** A run of addresses of one range, both ends included. */
export interface Span {
  readonly range: Range;
  readonly from: Ip;
  readonly to: Ip;
}

/** Checks range sets as the reference host-local does and fills in its defaults: gateway and rangeStart are the
 *  network's first address after the network address, rangeEnd is the last before the broadcast address (IPv6: the
 *  last). Unlike the reference, /31, /32, /127 and /128 are allowed: every address of them is usable (RFC 3021, RFC
 *  6164) and there is no gateway unless one is given. Throws `invalid` with the reference's wording. */
export function completeRangeSets(configs: readonly (readonly RangeConfig[])[]): readonly RangeSet[] {
  if (configs.length === 0) throw invalid("no IP ranges specified");
  const sets = configs.map(completeSet);
  for (const [index, set] of sets.entries()) {
    const other = sets.findIndex((candidate, at) => at > index && setsOverlap(set, candidate));
    if (other >= 0) throw invalid(`range set ${index} overlaps with ${other}`);
  }
  return sets;
}

function completeSet(configs: readonly RangeConfig[], index: number): RangeSet {
  const [first, ...others] = configs.map((config) => completeRange(config, index));
  if (first === undefined) throw invalid(`invalid range set ${index}: empty range set`);
  const set: RangeSet = [first, ...others];
  for (const [at, range] of set.entries()) {
    if (range.start.family !== first.start.family) throw invalid(`invalid range set ${index}: mixed address families`);
    const other = set.slice(at + 1).find((candidate) => rangesOverlap(range, candidate));
    if (other !== undefined) {
      throw invalid(`invalid range set ${index}: subnets ${formatRange(range)} and ${formatRange(other)} overlap`);
    }
  }
  return set;
}

function completeRange(config: RangeConfig, index: number): Range {
  const { subnet } = config;
  const refuse = (said: string) => invalid(`invalid range set ${index}: ${said}`);
  if (!isNetwork(subnet)) {
    const right = formatIp(firstOf(subnet));
    throw refuse(
      `Network has host bits set. For a subnet mask of length ${subnet.length} the network address is ${right}`,
    );
  }
  const defaults = defaultRange(subnet);
  const start = config.rangeStart ?? defaults.start;
  const end = config.rangeEnd ?? defaults.end;
  const gateway = config.gateway ?? defaults.gateway;
  if (gateway !== undefined && gateway.family !== subnet.ip.family) throw refuse("mixed address families");
  if (!contains(subnet, start)) throw refuse(`RangeStart ${formatIp(start)} not in network ${formatPrefix(subnet)}`);
  if (!contains(subnet, end)) throw refuse(`RangeEnd ${formatIp(end)} not in network ${formatPrefix(subnet)}`);
  if (end.value < start.value) throw refuse(`RangeEnd ${formatIp(end)} is before RangeStart ${formatIp(start)}`);
  return { subnet, start, end, gateway };
}

function defaultRange(subnet: Prefix): Omit<Range, "subnet"> {
  const network = firstOf(subnet);
  const last = lastOf(subnet);
  const first = offsetIp(network, 1);
  if (subnet.length >= widthOf(subnet.ip.family) - 1 || first === undefined) {
    return { start: network, end: last, gateway: undefined };
  }
  const end = subnet.ip.family === 4 ? { ...last, value: last.value - 1n } : last;
  return { start: first, end, gateway: first };
}

/** The range of the set that hands out `ip`, if one does. */
export function rangeFor(set: RangeSet, ip: Ip): Range | undefined {
  return set.find((range) => inSpan({ from: range.start, to: range.end }, ip));
}

export function isGateway(set: RangeSet, ip: Ip): boolean {
  return set.some(({ gateway }) => gateway !== undefined && equalIp(gateway, ip));
}

/** How many addresses the set can hand out: all between the ends, without gateways. */
export function sizeOfSet(set: RangeSet): bigint {
  const gateways = new Set<bigint>();
  let size = 0n;
  for (const { start, end, gateway } of set) {
    size += end.value - start.value + 1n;
    if (gateway !== undefined && rangeFor(set, gateway) !== undefined) gateways.add(gateway.value);
  }
  return size - BigInt(gateways.size);
}

/** The order in which the set hands out addresses, round robin as the reference: from the address after `last` if the
 *  set has `last`, else from the beginning; through all ranges and around, so that each address comes once and `last`
 *  at the end. */
export function spansAfter(set: RangeSet, last: Ip | undefined): readonly Span[] {
  const whole = set.map((range) => ({ range, from: range.start, to: range.end }));
  const at = last === undefined ? -1 : set.findIndex((range) => inSpan({ from: range.start, to: range.end }, last));
  const current = whole[at];
  if (current === undefined || last === undefined) return whole;
  const next = offsetIp(last, 1);
  const head = next === undefined || equalIp(last, current.to) ? [] : [{ ...current, from: next }];
  return [...head, ...whole.slice(at + 1), ...whole.slice(0, at), { ...current, to: last }];
}

/** `10.1.0.1-10.1.0.254,10.2.0.1-10.2.0.9`, as the reference prints a set. */
export function formatSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

function formatRange({ start, end }: Range): string {
  return `${formatIp(start)}-${formatIp(end)}`;
}

function inSpan({ from, to }: Pick<Span, "from" | "to">, ip: Ip): boolean {
  return from.family === ip.family && from.value <= ip.value && ip.value <= to.value;
}

function rangesOverlap(a: Range, b: Range): boolean {
  return a.start.family === b.start.family && a.start.value <= b.end.value && b.start.value <= a.end.value;
}

function setsOverlap(a: RangeSet, b: RangeSet): boolean {
  return a.some((range) => b.some((other) => rangesOverlap(range, other)));
}

function invalid(said: string): NetError {
  return new NetError("invalid", { tried: "use the configured address ranges", said });
}
