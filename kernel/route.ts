import { type Ip, ipBytes, ipFromBytes } from "../lib/address.ts";
import { AF, SCOPE_NUMBER, scopeName } from "./address.ts";
import { type Attributes, MessageWriter, malformed, readAttributes, readU8, readU16, readU32 } from "./attribute.ts";
import type { Route, Scope } from "./kernel.ts";
import { type Message, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST } from "./netlink.ts";

/** Constants of linux/rtnetlink.h. */
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTPROT_KERNEL = 2;
const RTPROT_BOOT = 3;
/** The table that a route is in when none is named (linux/rtnetlink.h). */
export const RT_TABLE_MAIN = 254;
const RT_SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const RTMSG_LENGTH = 12;
const RTNEXTHOP_LENGTH = 8;
/** The priority that the kernel gives to IPv6 routes without one (IP6_RT_PRIO_USER). */
const IPV6_PRIORITY = 1024;

const CREATION = {
  add: NLM_F_CREATE | NLM_F_EXCL,
  append: NLM_F_CREATE | NLM_F_APPEND,
  replace: NLM_F_CREATE | NLM_F_REPLACE,
  delete: 0,
} as const;

/** `ip route add|append|replace|delete`. `index` is that of the outgoing link, where one is given. */
export function routeMessage(verb: keyof typeof CREATION, route: Route, index: number | undefined): Uint8Array {
  const { dst, gateway, source } = route;
  const table = route.table ?? RT_TABLE_MAIN;
  const removing = verb === "delete";
  const writer = new MessageWriter(removing ? RTM_DELROUTE : RTM_NEWROUTE, NLM_F_REQUEST | CREATION[verb]);
  writer
    .u8(AF[dst.ip.family])
    .u8(dst.length)
    .u8(0)
    .u8(0)
    .u8(table < 256 ? table : 0)
    .u8(route.protocol ?? (removing ? 0 : RTPROT_BOOT))
    .u8(removing && route.scope === undefined ? RT_SCOPE_NOWHERE : SCOPE_NUMBER[scopeOf(route)])
    .u8(route.local === true ? RTN_LOCAL : RTN_UNICAST)
    .u32(route.onlink === true ? RTNH_F_ONLINK : 0);
  if (dst.length > 0) writer.attribute(RTA_DST, ipBytes(dst.ip));
  if (gateway !== undefined) writer.attribute(RTA_GATEWAY, ipBytes(gateway));
  if (source !== undefined) writer.attribute(RTA_PREFSRC, ipBytes(source));
  if (route.priority !== undefined) writer.attributeU32(RTA_PRIORITY, route.priority);
  if (index !== undefined) writer.attributeU32(RTA_OIF, index);
  if (table >= 256) writer.attributeU32(RTA_TABLE, table);
  if (route.mtu !== undefined || route.advmss !== undefined)
    writer.nest(RTA_METRICS, (metrics) => routeMetrics(metrics, route));
  return writer.finish();
}

function routeMetrics(writer: MessageWriter, { mtu, advmss }: Route): void {
  if (mtu !== undefined) writer.attributeU32(RTAX_MTU, mtu);
  if (advmss !== undefined) writer.attributeU32(RTAX_ADVMSS, advmss);
}

/** IPv6 has no scopes for routes; IPv4 wants `link` for destinations that are reached without a gateway. */
function scopeOf(route: Route): Scope {
  if (route.scope !== undefined) return route.scope;
  if (route.local === true && route.dst.ip.family === 4) return "host";
  return route.gateway === undefined && route.dst.ip.family === 4 ? "link" : "global";
}

/** `ip route show table …`, a dump of one family; `index` narrows it to one outgoing link. */
export function routeDump(family: 4 | 6, table: number, index: number | undefined, local: boolean): Uint8Array {
  const writer = new MessageWriter(RTM_GETROUTE, NLM_F_REQUEST);
  writer
    .u8(AF[family])
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(local ? RTN_LOCAL : RTN_UNICAST)
    .u32(0);
  writer.attributeU32(RTA_TABLE, table);
  if (index !== undefined) writer.attributeU32(RTA_OIF, index);
  return writer.finish();
}

/** What a route says of its way out. */
type NextHop = Pick<Route, "gateway" | "onlink"> & { readonly index: number | undefined };

/** Unicast and local routes out of an RTM_NEWROUTE message, with the index of their link: one, or for a multipath route
 *  one for each next hop (IPv6 makes one of routes that were appended with gateways). None for other kinds, and for the
 *  local routes that the kernel keeps for addresses. */
export function decodeRoutes({ payload }: Message): (Omit<Route, "dev"> & NextHop)[] {
  const family = readU8(payload, 0);
  if (family !== AF[4] && family !== AF[6]) return [];
  const local = readU8(payload, 7) === RTN_LOCAL;
  if (local ? readU8(payload, 5) === RTPROT_KERNEL : readU8(payload, 7) !== RTN_UNICAST) return [];
  const attributes = readAttributes(payload, RTMSG_LENGTH);
  const bits = family === AF[4] ? 4 : 16;
  const dst = ipFromBytes(attributes.get(RTA_DST) ?? new Uint8Array(bits));
  const source = ipAt(attributes, RTA_PREFSRC);
  const priority = numberAt(attributes, RTA_PRIORITY);
  const metrics = attributes.get(RTA_METRICS);
  const limits = metrics === undefined ? undefined : readAttributes(metrics);
  const mtu = limits && numberAt(limits, RTAX_MTU);
  const advmss = limits && numberAt(limits, RTAX_ADVMSS);
  const common = {
    dst: { ip: dst, length: readU8(payload, 1) },
    table: numberAt(attributes, RTA_TABLE) ?? readU8(payload, 4),
    protocol: readU8(payload, 5),
    scope: scopeName(readU8(payload, 6)),
    ...(local ? { local } : {}),
    ...(source === undefined ? {} : { source }),
    ...(priority === undefined || (family === AF[6] && priority === IPV6_PRIORITY) ? {} : { priority }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(advmss === undefined ? {} : { advmss }),
  };
  const multipath = attributes.get(RTA_MULTIPATH);
  const single = () => [nextHop(numberAt(attributes, RTA_OIF), readU32(payload, 8), attributes)];
  return (multipath === undefined ? single() : decodeMultipath(multipath)).map((hop) => ({ ...common, ...hop }));
}

function nextHop(index: number | undefined, flags: number, attributes: Attributes): NextHop {
  const gateway = ipAt(attributes, RTA_GATEWAY);
  return { index, onlink: (flags & RTNH_F_ONLINK) !== 0, ...(gateway === undefined ? {} : { gateway }) };
}

/** A run of struct rtnexthop, each with its length, flags, weight, link and attributes. */
function decodeMultipath(bytes: Uint8Array): NextHop[] {
  const hops: NextHop[] = [];
  for (let offset = 0; offset + RTNEXTHOP_LENGTH <= bytes.length; ) {
    const length = readU16(bytes, offset);
    if (length < RTNEXTHOP_LENGTH || offset + length > bytes.length) throw malformed(`a next hop of ${length} bytes`);
    const hop = bytes.subarray(offset, offset + length);
    hops.push(nextHop(readU32(hop, 4), readU8(hop, 2), readAttributes(hop, RTNEXTHOP_LENGTH)));
    offset += (length + 3) & ~3;
  }
  return hops;
}

function ipAt(attributes: Attributes, type: number): Ip | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined ? undefined : ipFromBytes(bytes);
}

function numberAt(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined ? undefined : readU32(bytes);
}
