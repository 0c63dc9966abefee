import { formatIp, type Ip, ipBytes, ipFromBytes } from "../lib/address.ts";
import { cString, fromCString } from "../lib/bytes.ts";
import { AF } from "./address.ts";
import {
  type Attributes,
  type MessageWriter,
  malformed,
  readAttributes,
  readU16,
  readU16Network,
  readU32,
} from "./attribute.ts";
import { GENL_HEADER_LENGTH, genericMessage } from "./genetlink.ts";
import type {
  IpvsCounters,
  IpvsDestination,
  IpvsDestinationState,
  IpvsForwarding,
  IpvsOperation,
  IpvsService,
  IpvsServiceKey,
  IpvsServiceState,
} from "./ipvs.ts";
import type { Message } from "./netlink.ts";

/** Constants of linux/ip_vs.h. */
const IPVS_GENL_VERSION = 1;
const IPVS_CMD_GET_SERVICE = 4;
const IPVS_CMD_GET_DEST = 8;
const IPVS_CMD_ATTR_SERVICE = 1;
const IPVS_CMD_ATTR_DEST = 2;
const IPVS_SVC_ATTR_AF = 1;
const IPVS_SVC_ATTR_PROTOCOL = 2;
const IPVS_SVC_ATTR_ADDR = 3;
const IPVS_SVC_ATTR_PORT = 4;
const IPVS_SVC_ATTR_FWMARK = 5;
const IPVS_SVC_ATTR_SCHED_NAME = 6;
const IPVS_SVC_ATTR_FLAGS = 7;
const IPVS_SVC_ATTR_TIMEOUT = 8;
const IPVS_SVC_ATTR_NETMASK = 9;
const IPVS_SVC_ATTR_STATS = 10;
const IPVS_SVC_ATTR_STATS64 = 12;
const IPVS_DEST_ATTR_ADDR = 1;
const IPVS_DEST_ATTR_PORT = 2;
const IPVS_DEST_ATTR_FWD_METHOD = 3;
const IPVS_DEST_ATTR_WEIGHT = 4;
const IPVS_DEST_ATTR_U_THRESH = 5;
const IPVS_DEST_ATTR_L_THRESH = 6;
const IPVS_DEST_ATTR_ACTIVE_CONNS = 7;
const IPVS_DEST_ATTR_INACT_CONNS = 8;
const IPVS_DEST_ATTR_STATS = 10;
const IPVS_DEST_ATTR_ADDR_FAMILY = 11;
const IPVS_DEST_ATTR_STATS64 = 12;
const IPVS_STATS_ATTR_CONNS = 1;
const IPVS_STATS_ATTR_INPKTS = 2;
const IPVS_STATS_ATTR_OUTPKTS = 3;
const IPVS_STATS_ATTR_INBYTES = 4;
const IPVS_STATS_ATTR_OUTBYTES = 5;
const IP_VS_SVC_F_PERSISTENT = 0x1;
const IP_VS_SVC_F_ONEPACKET = 0x4;
/** IP_VS_SVC_F_SCHED1 is bit 3. */
const SCHEDULER_FLAGS_SHIFT = 3;
const SCHEDULER_FLAGS_MASK = 0x7;
const IP_VS_CONN_F_FWD_MASK = 0x7;
const ALL_BITS = 0xffffffff;
/** union nf_inet_addr: room for either family. */
const ADDRESS_BYTES = 16;

const COMMAND = {
  "service.add": 1,
  "service.set": 2,
  "service.delete": 3,
  "destination.add": 5,
  "destination.set": 6,
  "destination.delete": 7,
} as const;

/** By IP_VS_CONN_F_MASQ, _LOCALNODE, _TUNNEL, _DROUTE, _BYPASS. */
const FORWARDING: readonly IpvsForwarding[] = ["masquerade", "local", "tunnel", "route", "bypass"];

/** The message of one operation; `type` is the number of the family `IPVS`. */
export function ipvsMessage(type: number, operation: IpvsOperation): Uint8Array {
  const writer = genericMessage(type, COMMAND[operation.do], IPVS_GENL_VERSION);
  switch (operation.do) {
    case "service.add":
    case "service.set": {
      const { service } = operation;
      return writer.nest(IPVS_CMD_ATTR_SERVICE, (nest) => writeSettings(writeKey(nest, service), service)).finish();
    }
    case "service.delete":
      return writer.nest(IPVS_CMD_ATTR_SERVICE, (nest) => writeKey(nest, operation.service)).finish();
    case "destination.add":
    case "destination.set": {
      const { service, destination } = operation;
      return writer
        .nest(IPVS_CMD_ATTR_SERVICE, (nest) => writeKey(nest, service))
        .nest(IPVS_CMD_ATTR_DEST, (nest) => writeShare(writeEnd(nest, destination), destination))
        .finish();
    }
    case "destination.delete":
      return writer
        .nest(IPVS_CMD_ATTR_SERVICE, (nest) => writeKey(nest, operation.service))
        .nest(IPVS_CMD_ATTR_DEST, (nest) => writeEnd(nest, operation.destination))
        .finish();
  }
}

/** `ipvsadm --list`: a dump of the services. */
export function ipvsServiceDump(type: number): Uint8Array {
  return genericMessage(type, IPVS_CMD_GET_SERVICE, IPVS_GENL_VERSION).finish();
}

/** A dump of the destinations of one service. */
export function ipvsDestinationDump(type: number, service: IpvsServiceKey): Uint8Array {
  return genericMessage(type, IPVS_CMD_GET_DEST, IPVS_GENL_VERSION)
    .nest(IPVS_CMD_ATTR_SERVICE, (nest) => writeKey(nest, service))
    .finish();
}

function familyOf(key: IpvsServiceKey): 4 | 6 {
  return "mark" in key ? key.family : key.ip.family;
}

function writeKey(writer: MessageWriter, key: IpvsServiceKey): MessageWriter {
  writer.attributeU16(IPVS_SVC_ATTR_AF, AF[familyOf(key)]);
  if ("mark" in key) return writer.attributeU32(IPVS_SVC_ATTR_FWMARK, key.mark);
  return writer
    .attributeU16(IPVS_SVC_ATTR_PROTOCOL, key.protocol)
    .attribute(IPVS_SVC_ATTR_ADDR, addressUnion(key.ip))
    .attributeU16Network(IPVS_SVC_ATTR_PORT, key.port);
}

function writeSettings(writer: MessageWriter, service: IpvsService): MessageWriter {
  const { scheduler, persistence, onePacket, schedulerFlags } = service;
  const flags =
    (persistence > 0 ? IP_VS_SVC_F_PERSISTENT : 0) |
    (onePacket ? IP_VS_SVC_F_ONEPACKET : 0) |
    ((schedulerFlags & SCHEDULER_FLAGS_MASK) << SCHEDULER_FLAGS_SHIFT);
  // struct ip_vs_flags: the flags, and which of them are meant.
  const flagBytes = new Uint8Array(new Uint32Array([flags, ALL_BITS]).buffer);
  return (
    writer
      .attribute(IPVS_SVC_ATTR_SCHED_NAME, cString(scheduler))
      .attribute(IPVS_SVC_ATTR_FLAGS, flagBytes)
      .attributeU32(IPVS_SVC_ATTR_TIMEOUT, persistence)
      // Each client counts by itself: a mask of all bits for IPv4, a length for IPv6.
      .attributeU32(IPVS_SVC_ATTR_NETMASK, familyOf(service) === 4 ? ALL_BITS : 128)
  );
}

function writeEnd(writer: MessageWriter, { ip, port }: Pick<IpvsDestination, "ip" | "port">): MessageWriter {
  return writer
    .attributeU16(IPVS_DEST_ATTR_ADDR_FAMILY, AF[ip.family])
    .attribute(IPVS_DEST_ATTR_ADDR, addressUnion(ip))
    .attributeU16Network(IPVS_DEST_ATTR_PORT, port);
}

function writeShare(writer: MessageWriter, { forwarding, weight }: IpvsDestination): MessageWriter {
  return writer
    .attributeU32(IPVS_DEST_ATTR_FWD_METHOD, FORWARDING.indexOf(forwarding))
    .attributeU32(IPVS_DEST_ATTR_WEIGHT, weight)
    .attributeU32(IPVS_DEST_ATTR_U_THRESH, 0)
    .attributeU32(IPVS_DEST_ATTR_L_THRESH, 0);
}

function addressUnion(ip: Ip): Uint8Array {
  const union = new Uint8Array(ADDRESS_BYTES);
  union.set(ipBytes(ip));
  return union;
}

/** A service out of an answer to {@link ipvsServiceDump}. */
export function decodeIpvsService({ payload }: Message): IpvsServiceState {
  const service = readAttributes(need(readAttributes(payload, GENL_HEADER_LENGTH), IPVS_CMD_ATTR_SERVICE));
  const flags = readU32(need(service, IPVS_SVC_ATTR_FLAGS));
  return {
    ...decodeKey(service),
    scheduler: fromCString(need(service, IPVS_SVC_ATTR_SCHED_NAME)),
    persistence: (flags & IP_VS_SVC_F_PERSISTENT) === 0 ? 0 : readU32(need(service, IPVS_SVC_ATTR_TIMEOUT)),
    onePacket: (flags & IP_VS_SVC_F_ONEPACKET) !== 0,
    schedulerFlags: (flags >>> SCHEDULER_FLAGS_SHIFT) & SCHEDULER_FLAGS_MASK,
    counters: decodeCounters(service, IPVS_SVC_ATTR_STATS64, IPVS_SVC_ATTR_STATS),
  };
}

function decodeKey(service: Attributes): IpvsServiceKey {
  const family = familyAt(service, IPVS_SVC_ATTR_AF);
  const mark = service.get(IPVS_SVC_ATTR_FWMARK);
  if (mark !== undefined) return { family, mark: readU32(mark) };
  return {
    protocol: readU16(need(service, IPVS_SVC_ATTR_PROTOCOL)),
    ip: addressAt(service, IPVS_SVC_ATTR_ADDR, family),
    port: readU16Network(need(service, IPVS_SVC_ATTR_PORT)),
  };
}

/** A destination out of an answer to {@link ipvsDestinationDump} about a service of `family`, which kernels before 3.18
 *  don't repeat for each destination. */
export function decodeIpvsDestination({ payload }: Message, family: 4 | 6): IpvsDestinationState {
  const destination = readAttributes(need(readAttributes(payload, GENL_HEADER_LENGTH), IPVS_CMD_ATTR_DEST));
  const own = destination.has(IPVS_DEST_ATTR_ADDR_FAMILY) ? familyAt(destination, IPVS_DEST_ATTR_ADDR_FAMILY) : family;
  const method = readU32(need(destination, IPVS_DEST_ATTR_FWD_METHOD)) & IP_VS_CONN_F_FWD_MASK;
  const forwarding = FORWARDING[method];
  if (forwarding === undefined) throw malformed(`forwarding method ${method}`);
  return {
    ip: addressAt(destination, IPVS_DEST_ATTR_ADDR, own),
    port: readU16Network(need(destination, IPVS_DEST_ATTR_PORT)),
    forwarding,
    weight: readU32(need(destination, IPVS_DEST_ATTR_WEIGHT)),
    active: readU32(need(destination, IPVS_DEST_ATTR_ACTIVE_CONNS)),
    inactive: readU32(need(destination, IPVS_DEST_ATTR_INACT_CONNS)),
    counters: decodeCounters(destination, IPVS_DEST_ATTR_STATS64, IPVS_DEST_ATTR_STATS),
  };
}

/** Kernels before 4.1 have counters of 32 bits, and those of packets and connections are so in the older form
 *  anyway. */
function decodeCounters(attributes: Attributes, wide: number, narrow: number): IpvsCounters {
  const stats = readAttributes(attributes.get(wide) ?? need(attributes, narrow));
  const count = (type: number) => {
    const bytes = need(stats, type);
    return bytes.length < 8 ? readU32(bytes) : readU32(bytes) + readU32(bytes, 4) * 2 ** 32;
  };
  return {
    connections: count(IPVS_STATS_ATTR_CONNS),
    packetsIn: count(IPVS_STATS_ATTR_INPKTS),
    packetsOut: count(IPVS_STATS_ATTR_OUTPKTS),
    bytesIn: count(IPVS_STATS_ATTR_INBYTES),
    bytesOut: count(IPVS_STATS_ATTR_OUTBYTES),
  };
}

function need(attributes: Attributes, type: number): Uint8Array {
  const bytes = attributes.get(type);
  if (bytes === undefined) throw malformed(`an IPVS answer without attribute ${type}`);
  return bytes;
}

function familyAt(attributes: Attributes, type: number): 4 | 6 {
  const number = readU16(need(attributes, type));
  if (number === AF[4]) return 4;
  if (number === AF[6]) return 6;
  throw malformed(`address family ${number}`);
}

function addressAt(attributes: Attributes, type: number, family: 4 | 6): Ip {
  return ipFromBytes(need(attributes, type).subarray(0, family === 4 ? 4 : ADDRESS_BYTES));
}

/** The operation in words, for errors and logs. */
export function describeIpvs(operation: IpvsOperation): string {
  const [noun, verb] = operation.do.split(".");
  const service = describeKey(operation.service);
  if (!("destination" in operation)) return `${verb} virtual ${noun} ${service}`;
  const { ip, port } = operation.destination;
  return `${verb} ${noun} ${endpoint(ip, port)} of virtual service ${service}`;
}

function describeKey(key: IpvsServiceKey): string {
  if ("mark" in key) return `mark ${key.mark} (IPv${key.family})`;
  const protocol = { 6: "tcp", 17: "udp", 132: "sctp" }[key.protocol] ?? `protocol ${key.protocol}`;
  return `${protocol} ${endpoint(key.ip, key.port)}`;
}

function endpoint(ip: Ip, port: number): string {
  return ip.family === 6 ? `[${formatIp(ip)}]:${port}` : `${formatIp(ip)}:${port}`;
}
