import { contains, equalIp, equalPrefix, type Ip, isNetwork, networkOf, type Prefix, widthOf } from "../lib/address.ts";
import { hasIpv6, isBroadcast, isLocal } from "./fake-local.ts";
import { Refusal } from "./fake-refusal.ts";
import type { FakeLink, FakeRoute, FakeStack } from "./fake-state.ts";
import type { Route } from "./kernel.ts";

const MAIN = 254;
const PROTOCOL_KERNEL = 2;
const PROTOCOL_BOOT = 3;
const PRIORITY_6 = 1024;
const PRIORITY_6_CONNECTED = 256;
const LINK_LOCAL_6: Prefix = { ip: { family: 6, value: 0xfe80n << 112n }, length: 10 };

type Creation = "add" | "append" | "replace";

/** `ip route add|append|replace`. */
export function addRoute(stack: FakeStack, spec: Route, how: Creation): void {
  const route = spec.dst.ip.family === 4 ? complete4(stack, spec) : complete6(stack, spec);
  const slot = slotOf(stack, route.table, route.dst);
  const first = slot.findIndex(({ priority }) => priority === route.priority);
  if (first >= 0 && how === "add") throw new Refusal("EEXIST");
  if (first >= 0 && how === "replace") {
    slot[first] = route;
    return;
  }
  if (slot.some((other) => equalRoute(other, route))) throw new Refusal("EEXIST");
  insertRoute(slot, route);
}

/** `ip route delete`: the first route that has everything that is asked for. */
export function deleteRoute(stack: FakeStack, wanted: Route): void {
  const table = wanted.table ?? MAIN;
  const slot = stack.routes.get(keyOf(table, wanted.dst)) ?? [];
  const link = wanted.dev === undefined ? undefined : stack.need(wanted.dev);
  const index = slot.findIndex((route) => (link === undefined || route.link === link) && matches(route, wanted));
  if (index < 0) throw new Refusal(meetsNullEntry(stack, wanted) ? "ENOENT" : "ESRCH");
  slot.splice(index, 1);
}

/** The root of every IPv6 table is a placeholder for the default route, which a deletion that asks for nothing else
 *  finds and then can't delete (fib6_null_entry). */
function meetsNullEntry(stack: FakeStack, wanted: Route): boolean {
  const { dst, gateway, dev, priority, protocol, table = MAIN } = wanted;
  const bare = [gateway, dev, priority, protocol].every((each) => each === undefined);
  return dst.ip.family === 6 && dst.length === 0 && bare && stack.tables6.has(table);
}

function matches(route: FakeRoute, wanted: Route): boolean {
  const { gateway, source, scope, priority, protocol, local = false } = wanted;
  return (
    route.local === local &&
    (gateway === undefined || (route.gateway !== undefined && equalIp(route.gateway, gateway))) &&
    (source === undefined || (route.source !== undefined && equalIp(route.source, source))) &&
    (scope === undefined || route.dst.ip.family === 6 || route.scope === scope) &&
    (priority === undefined || priority === 0 || route.priority === priority) &&
    (protocol === undefined || route.protocol === protocol)
  );
}

/** An IPv4 route with what the kernel adds, checked as fib_create_info does. */
function complete4(stack: FakeStack, spec: Route): FakeRoute {
  const nearest = spec.local === true ? "host" : "link";
  const scope = spec.scope ?? (spec.gateway === undefined ? nearest : "global");
  const given = spec.dev === undefined ? undefined : stack.need(spec.dev);
  if (spec.local === true && scope !== "host") throw new Refusal("EINVAL", "Route type doesn't fit its scope");
  if (!isNetwork(spec.dst)) throw new Refusal("EINVAL", "Invalid prefix for given prefix length");
  if (spec.gateway !== undefined && scope === "host") {
    throw new Refusal("EINVAL", "Route with host scope can not have a gateway");
  }
  if (spec.gateway === undefined && scope !== "host" && spec.onlink === true) {
    throw new Refusal("EINVAL", "Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
  }
  const link =
    spec.gateway === undefined ? directLink(given, scope === "host") : gatewayLink4(stack, spec, spec.gateway, given);
  checkSource(stack, spec.source, "Invalid prefsrc address");
  return filled(spec, link, scope, spec.priority ?? 0);
}

/** The link of a route without gateway: named, and up, unless it leads to the host itself. */
function directLink(given: FakeLink | undefined, mayBeDown: boolean): FakeLink {
  if (given === undefined) throw new Refusal("ENODEV");
  if (!given.up && !mayBeDown) throw new Refusal("ENETDOWN", "Device for nexthop is not up");
  return given;
}

/** The link that leads to a gateway, which must be on a connected network (fib_check_nh_v4_gw). */
function gatewayLink4(stack: FakeStack, spec: Route, gateway: Ip, given: FakeLink | undefined): FakeLink {
  if (spec.onlink === true) {
    if (given === undefined) throw new Refusal("ENODEV", "Nexthop device required for onlink");
    if (!given.up) throw new Refusal("ENETDOWN", "Nexthop device is not up");
    if (isBroadcast(stack, gateway) || isLocal(stack, gateway))
      throw new Refusal("EINVAL", "Nexthop has invalid gateway");
    return given;
  }
  if (isBroadcast(stack, gateway, given)) throw new Refusal("EINVAL", "Nexthop has invalid gateway");
  const own = stack.addresses.find(
    ({ address, link }) => equalIp(address.ip, gateway) && (given === undefined || link === given),
  )?.link;
  const link = own ?? connectedLink(stack, spec.table ?? MAIN, gateway, given);
  if (link === undefined || (given !== undefined && link !== given)) {
    throw new Refusal("ENETUNREACH", "Nexthop has invalid gateway");
  }
  if (!link.up) throw new Refusal("ENETDOWN");
  return link;
}

/** An IPv6 route, checked as ip6_route_info_create does. Host bits of the destination are dropped, not refused. */
function complete6(stack: FakeStack, spec: Route): FakeRoute {
  const given = spec.dev === undefined ? undefined : stack.need(spec.dev);
  stack.tables6.add(spec.table ?? MAIN);
  if (given !== undefined && !hasIpv6(given)) throw new Refusal("ENODEV");
  if (given !== undefined && stack.sysctl.isOnLink("ipv6", given.name, "disable_ipv6")) {
    throw new Refusal("EACCES", "IPv6 is disabled on nexthop device");
  }
  const link = spec.gateway === undefined ? directLink(given, false) : gatewayLink6(stack, spec, spec.gateway, given);
  if (!link.up) throw new Refusal("ENETDOWN", "Nexthop device is not up");
  checkSource(stack, spec.source, "Invalid source address");
  return filled({ ...spec, dst: networkOf(spec.dst) }, link, "global", spec.priority ?? PRIORITY_6);
}

function gatewayLink6(stack: FakeStack, spec: Route, gateway: Ip, given: FakeLink | undefined): FakeLink {
  checkForeign6(stack, gateway, given);
  const free = spec.onlink === true || contains(LINK_LOCAL_6, gateway);
  if (free && given === undefined) throw new Refusal("EINVAL", "Egress device not specified");
  const link = free ? given : connectedLink(stack, spec.table ?? MAIN, gateway, given);
  if (link === undefined) throw new Refusal("EHOSTUNREACH");
  return link;
}

/** A gateway must be another host: a link-local one not on the same link, others nowhere. */
function checkForeign6(stack: FakeStack, gateway: Ip, given: FakeLink | undefined): void {
  const owners = stack.addresses.filter(({ address }) => equalIp(address.ip, gateway)).map(({ link }) => link);
  const same = given !== undefined && contains(LINK_LOCAL_6, gateway) ? owners.includes(given) : owners.length > 0;
  if (same) throw new Refusal("EINVAL", "Gateway can not be a local address");
}

/** The link of the most specific route to `ip`, when that route has no gateway itself. The route's own table is asked
 *  first, then those that the policy rules without a source name. */
function connectedLink(stack: FakeStack, table: number, ip: Ip, through: FakeLink | undefined): FakeLink | undefined {
  const general = stack.rules.filter(
    (rule) => rule.family === ip.family && rule.from === undefined && (rule.to === undefined || contains(rule.to, ip)),
  );
  for (const each of [table, ...general.map((rule) => rule.table)]) {
    const route = mostSpecific(stack, each, ip, through);
    if (route !== undefined) return route.gateway === undefined ? route.link : undefined;
  }
  return undefined;
}

/** Only prefix lengths that some route has are tried, so that a table of thousands of routes costs a few look-ups. */
function mostSpecific(stack: FakeStack, table: number, ip: Ip, through: FakeLink | undefined): FakeRoute | undefined {
  for (let length = widthOf(ip.family); length >= 0; length--) {
    if (!stack.routeLengths.has(lengthKey(table, ip.family, length))) continue;
    const slot = stack.routes.get(keyOf(table, { ip, length })) ?? [];
    const route = slot.find(({ link }) => through === undefined || link === through);
    if (route !== undefined) return route;
  }
  return undefined;
}

function checkSource(stack: FakeStack, source: Ip | undefined, said: string): void {
  if (source !== undefined && !isLocal(stack, source)) throw new Refusal("EINVAL", said);
}

function filled(spec: Route, link: FakeLink, scope: FakeRoute["scope"], priority: number): FakeRoute {
  return {
    dst: spec.dst,
    table: spec.table ?? MAIN,
    priority,
    scope,
    link,
    gateway: spec.gateway,
    source: spec.source,
    onlink: spec.onlink ?? false,
    mtu: spec.mtu,
    advmss: spec.advmss,
    protocol: spec.protocol ?? PROTOCOL_BOOT,
    local: spec.local ?? false,
  };
}

/** The route to an address' own network, which the kernel keeps in table main as long as the link is up. None for an
 *  IPv4 address of the loopback, a /32 or the IPv6 loopback address. */
export function insertConnected(link: FakeLink, address: Prefix): void {
  const { family } = address.ip;
  const none4 = family === 4 && (link.kind === undefined || address.length === 32 || address.length === 0);
  if (none4 || (family === 6 && address.ip.value === 1n)) return;
  const dst = networkOf(address);
  const route: FakeRoute = {
    dst,
    table: MAIN,
    priority: family === 4 ? 0 : PRIORITY_6_CONNECTED,
    scope: family === 4 ? "link" : "global",
    link,
    gateway: undefined,
    source: family === 4 ? address.ip : undefined,
    onlink: false,
    mtu: undefined,
    advmss: undefined,
    protocol: PROTOCOL_KERNEL,
    local: false,
  };
  const slot = slotOf(link.stack, MAIN, dst);
  if (!slot.some((other) => equalRoute(other, route))) insertRoute(slot, route);
}

/** The reverse of {@link insertConnected}. */
export function removeConnected(link: FakeLink, address: Prefix): void {
  const slot = slotOf(link.stack, MAIN, networkOf(address));
  const index = slot.findIndex(
    (route) =>
      route.link === link &&
      route.protocol === PROTOCOL_KERNEL &&
      (route.source === undefined || equalIp(route.source, address.ip)),
  );
  if (index >= 0) slot.splice(index, 1);
}

/** Drops the routes of a link that `which` accepts, in all tables. */
export function dropRoutes(link: FakeLink, which: (route: FakeRoute) => boolean): void {
  dropWhere(link.stack, (route) => route.link === link && which(route));
}

/** What becomes of routes whose preferred source address is gone: IPv4 drops those of table main (fib_sync_down_addr
 *  looks at no other), IPv6 forgets the preference. */
export function dropRoutesFrom(stack: FakeStack, source: Ip): void {
  const affected = (route: FakeRoute) => route.source !== undefined && equalIp(route.source, source);
  if (source.family === 4) {
    dropWhere(stack, (route) => route.table === MAIN && affected(route));
    return;
  }
  for (const slot of stack.routes.values()) {
    for (const [index, route] of slot.entries()) if (affected(route)) slot[index] = { ...route, source: undefined };
  }
}

function dropWhere(stack: FakeStack, which: (route: FakeRoute) => boolean): void {
  for (const [key, slot] of stack.routes) {
    const kept = slot.filter((route) => !which(route));
    if (kept.length === 0) stack.routes.delete(key);
    else if (kept.length < slot.length) stack.routes.set(key, kept);
  }
}

export function* allRoutes(stack: FakeStack): Generator<FakeRoute> {
  for (const slot of stack.routes.values()) yield* slot;
}

/** Text that is equal for prefixes of the same network. */
function keyOf(table: number, { ip, length }: Prefix): string {
  return `${lengthKey(table, ip.family, length)} ${ip.value >> BigInt(widthOf(ip.family) - length)}`;
}

function lengthKey(table: number, family: 4 | 6, length: number): string {
  return `${table} ${family} ${length}`;
}

function slotOf(stack: FakeStack, table: number, dst: Prefix): FakeRoute[] {
  const key = keyOf(table, dst);
  const slot = stack.routes.get(key) ?? [];
  stack.routes.set(key, slot);
  stack.routeLengths.add(lengthKey(table, dst.ip.family, dst.length));
  return slot;
}

/** Behind the last route of the same or a lower priority. */
function insertRoute(slot: FakeRoute[], route: FakeRoute): void {
  const later = slot.findIndex(({ priority }) => priority > route.priority);
  slot.splice(later < 0 ? slot.length : later, 0, route);
}

function equalRoute(a: FakeRoute, b: FakeRoute): boolean {
  const plain = ["table", "priority", "scope", "link", "onlink", "mtu", "advmss", "protocol", "local"] as const;
  return (
    equalPrefix(a.dst, b.dst) &&
    plain.every((key) => a[key] === b[key]) &&
    equalOptionalIp(a.gateway, b.gateway) &&
    equalOptionalIp(a.source, b.source)
  );
}

function equalOptionalIp(a: Ip | undefined, b: Ip | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalIp(a, b);
}

/** The route in the shape that the interface promises: an IPv6 route of the usual priority doesn't mention it. */
export function reportRoute(route: FakeRoute): Route {
  const { dst, table, protocol, scope, onlink, priority, gateway, source, mtu, advmss, local } = route;
  const usual = dst.ip.family === 4 ? 0 : PRIORITY_6;
  return {
    dst,
    dev: route.link.name,
    table,
    protocol,
    scope,
    onlink,
    ...(local ? { local } : {}),
    ...(gateway === undefined ? {} : { gateway }),
    ...(source === undefined ? {} : { source }),
    ...(priority === usual ? {} : { priority }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(advmss === undefined ? {} : { advmss }),
  };
}
