import { BPF_NAME_MAX } from "../../kernel/bpf.ts";
import type { MapSpec } from "../../kernel/bpf-map.ts";
import type { Ip } from "../../lib/address.ts";
import type { Backend, Scheduler, ServiceKey, VipProtocol } from "../service.ts";

/** The bytes that the programs in the kernel and we share. Numbers are little-endian but for ports and addresses, which
 *  are as in packets. A change of any of them takes another number here, which the names of maps hold: maps of
 *  another layout are not taken over. */
const LAYOUT = 2;

/** An address with port and protocol: sixteen bytes (IPv4 as ::ffff:a.b.c.d), port, protocol, zero. */
export const ENDPOINT_BYTES = 20;
export const PORT_AT = 16;
export const PROTOCOL_AT = 18;
/** Third of the four words of an IPv4 address. */
const MAPPED = 0x0000ffff;
export const ADDRESS_BYTES = 16;

/** A service and one of its backends. */
export const PAIR_BYTES = 2 * ENDPOINT_BYTES;

/** IP protocol numbers. */
export const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** What the kernel holds for a service. Its backends are in `slots` under the version; a change writes those of a new
 *  version first and then this, so that a reader finds one state or the other. */
export interface ServiceValue {
  /** Unlike every other version of any service. */
  readonly version: bigint;
  /** Backends with weight; they have the first slots. */
  readonly choices: number;
  readonly backends: number;
  readonly scheduler: Scheduler;
  /** Seconds. */
  readonly affinity: number;
}
export const SERVICE_VALUE = { version: 0, choices: 8, backends: 12, scheduler: 16, affinity: 20, bytes: 24 } as const;

/** A version is the first of a service's value, of a slot's key and all of a table's key. */
export const VERSION_BYTES = 8;

/** Schedulers by number. Up to `rr` the programs choose at random, from `sh` on by the client: as `sh` does also for
 *  `mh` without table, which comes last. */
const SCHEDULERS: readonly Scheduler[] = ["wlc", "rr", "sh", "mh", "mh"];
export const SCHEDULER_SH = 2;
export const SCHEDULER_MH = 3;
const SCHEDULER_MH_TABLELESS = 4;

/** A backend, and how it is chosen: a random number of 32 bits times the number of slots draws a slot by its upper
 *  half. When its lower half is at most `threshold`, that backend is taken, and otherwise the one of the slot `alias`
 *  (Walker's alias method). */
export interface Slot {
  readonly backend: Backend;
  readonly threshold: number;
  readonly alias: number;
  /** Connections that the programs have counted here, by drawing this slot. */
  readonly total: bigint;
}
export const SLOT_KEY = { version: 0, index: 8, bytes: 16 } as const;
export const SLOT_VALUE = { ip: 0, port: 16, weight: 18, threshold: 20, alias: 24, total: 32, bytes: 40 } as const;

/** Entries of the table of a service with the scheduler `mh`, each the number of a slot in two bytes. A prime. */
export const MH_ENTRIES = 1021;
const MH_BYTES = 2 * MH_ENTRIES;

/** True for a service that has such a table. With more choices than entries some would never get a connection. */
export function hasTable({ scheduler, choices }: Pick<ServiceValue, "scheduler" | "choices">): boolean {
  return scheduler === "mh" && choices > 0 && choices <= MH_ENTRIES;
}

/** The weight of a member, and the connections that the programs have counted here, by affinity. */
export const MEMBER_VALUE = { weight: 0, total: 8, bytes: 16 } as const;

/** Of a connected socket: its pair, then the cookie of its network namespace. */
export const CONNECTION_VALUE = { pair: 0, netns: PAIR_BYTES, bytes: PAIR_BYTES + 8 } as const;

/** A place for the connection of one socket: its cookie, which is zero as long as the rest isn't whole. */
export const PLACE_VALUE = { cookie: 0, connection: 8, bytes: 8 + CONNECTION_VALUE.bytes } as const;

/** A part of all places, by the lower bits of cookies. Cookies are given in order, so what belongs to one is beside
 *  what belongs to the one before it, which the processor still has at hand. `held`: for each place, in eight
 *  bytes, how many connections are noted in it and, for want of room, in `crowded`; who raises it from zero has the
 *  place. One array element holds as much as can be read in one step. */
export const PART_BITS = 10;
const PART_PLACES = 2 ** PART_BITS;
export const PART = {
  held: 0,
  places: 8 * PART_PLACES,
  bytes: (8 + PLACE_VALUE.bytes) * PART_PLACES,
} as const;
export const PARTS = 16;

/** An endpoint, four zeros, and the cookie of a socket or of a network namespace. */
export const OWNED_KEY = { endpoint: 0, cookie: 24, bytes: 32 } as const;
/** An endpoint, four zeros, and for affinities the time of the last choice, nanoseconds since the machine started. */
export const REMEMBERED_VALUE = { endpoint: 0, time: 24, bytes: 32 } as const;

/** How much the maps can hold. Memory is taken as elements come, but for those that make room by themselves. */
const SERVICES_MAX = 65_536;
const BACKENDS_MAX = 262_144;
const CROWDED_MAX = 65_536;
const REMEMBERED_MAX = 32_768;

/** Names of the maps, which are those of their pins too. */
export type MapName = keyof typeof MAPS;

/** - `state` one element: the next version
 *  - `addresses` by address: how many services have it
 *  - `services` by endpoint
 *  - `slots` by version and number
 *  - `tables` by version: for the scheduler `mh`
 *  - `members` by pair: who is not in here is no backend any more
 *  - `connections` by the bits of the socket cookie above those within a part: connected sockets, TCP and UDP
 *  - `crowded` by socket cookie: those that found their place taken
 *  - `flows` by service and socket cookie: the backend of an unconnected UDP socket
 *  - `replies` by backend and socket cookie: the service that answers of this backend seem to come from
 *  - `affinities` by service and namespace cookie: the backend of a client */
export const MAPS = {
  state: map("state", "array", 4, 8, 1),
  addresses: map("addresses", "hash", ADDRESS_BYTES, 4, SERVICES_MAX),
  services: map("services", "hash", ENDPOINT_BYTES, SERVICE_VALUE.bytes, SERVICES_MAX),
  slots: map("slots", "hash", SLOT_KEY.bytes, SLOT_VALUE.bytes, BACKENDS_MAX),
  tables: map("tables", "hash", VERSION_BYTES, MH_BYTES, SERVICES_MAX),
  members: map("members", "hash", PAIR_BYTES, MEMBER_VALUE.bytes, BACKENDS_MAX),
  connections: map("connections", "array", 4, PART.bytes, PARTS),
  crowded: map("crowded", "hash", 8, CONNECTION_VALUE.bytes, CROWDED_MAX),
  flows: map("flows", "lru-hash", OWNED_KEY.bytes, REMEMBERED_VALUE.bytes, REMEMBERED_MAX),
  replies: map("replies", "lru-hash", OWNED_KEY.bytes, REMEMBERED_VALUE.bytes, REMEMBERED_MAX),
  affinities: map("affinities", "lru-hash", OWNED_KEY.bytes, REMEMBERED_VALUE.bytes, REMEMBERED_MAX),
} as const satisfies Record<string, MapSpec>;

function map(name: string, type: MapSpec["type"], keyBytes: number, valueBytes: number, capacity: number): MapSpec {
  return { name: `vip${LAYOUT}_${name}`.slice(0, BPF_NAME_MAX), type, keyBytes, valueBytes, capacity };
}

/** An address in sixteen bytes. */
export function addressKey(ip: Ip): Uint8Array {
  return written(ADDRESS_BYTES, (view) => writeAddress(view, 0, ip));
}

/** A service's own endpoint. */
export function serviceKey(key: ServiceKey): Uint8Array {
  return written(ENDPOINT_BYTES, (view) => writeEndpoint(view, 0, key.protocol, key));
}

/** The service with one of its backends. */
export function pairKey(key: ServiceKey, backend: Pick<Backend, "ip" | "port">): Uint8Array {
  return written(PAIR_BYTES, (view) => writePair(view, 0, key, backend));
}

export function slotKey(version: bigint, index: number): Uint8Array {
  return written(SLOT_KEY.bytes, (view) => writeSlotKey(view, 0, version, index));
}

/** A number of 64 bits: a version, or the cookie of a socket. */
export function numberKey(number: bigint): Uint8Array {
  return written(8, (view) => view.setBigUint64(0, number, true));
}

/** A number of 32 bits. */
export function numberValue(number: number): Uint8Array {
  return written(4, (view) => view.setUint32(0, number, true));
}

function written(bytes: number, write: (view: DataView) => void): Uint8Array {
  const buffer = new ArrayBuffer(bytes);
  write(new DataView(buffer));
  return new Uint8Array(buffer);
}

export function writePair(
  view: DataView,
  offset: number,
  key: ServiceKey,
  backend: Pick<Backend, "ip" | "port">,
): void {
  writeEndpoint(view, offset, key.protocol, key);
  writeEndpoint(view, offset + ENDPOINT_BYTES, key.protocol, backend);
}

export function writeEndpoint(
  view: DataView,
  offset: number,
  protocol: VipProtocol,
  { ip, port }: Pick<Backend, "ip" | "port">,
): void {
  writeAddress(view, offset, ip);
  view.setUint16(offset + PORT_AT, port, false);
  view.setUint16(offset + PROTOCOL_AT, PROTOCOL[protocol], true);
}

export function writeSlotKey(view: DataView, offset: number, version: bigint, index: number): void {
  view.setBigUint64(offset + SLOT_KEY.version, version, true);
  view.setUint32(offset + SLOT_KEY.index, index, true);
}

export function writeService(view: DataView, offset: number, value: ServiceValue): void {
  view.setBigUint64(offset + SERVICE_VALUE.version, value.version, true);
  view.setUint32(offset + SERVICE_VALUE.choices, value.choices, true);
  view.setUint32(offset + SERVICE_VALUE.backends, value.backends, true);
  const isTableless = value.scheduler === "mh" && value.choices > MH_ENTRIES;
  const scheduler = isTableless ? SCHEDULER_MH_TABLELESS : SCHEDULERS.indexOf(value.scheduler);
  view.setUint32(offset + SERVICE_VALUE.scheduler, scheduler, true);
  view.setUint32(offset + SERVICE_VALUE.affinity, value.affinity, true);
}

export function writeSlot(view: DataView, offset: number, { backend, threshold, alias, total }: Slot): void {
  writeAddress(view, offset + SLOT_VALUE.ip, backend.ip);
  view.setUint16(offset + SLOT_VALUE.port, backend.port, false);
  view.setUint16(offset + SLOT_VALUE.weight, backend.weight, true);
  view.setUint32(offset + SLOT_VALUE.threshold, threshold, true);
  view.setUint32(offset + SLOT_VALUE.alias, alias, true);
  view.setBigUint64(offset + SLOT_VALUE.total, total, true);
}

/** Not by way of lib/address.ts, which goes byte by byte: there are tens of thousands of addresses. */
export function writeAddress(view: DataView, offset: number, { family, value }: Ip): void {
  if (family === 4) {
    view.setBigUint64(offset, 0n, false);
    view.setUint32(offset + 8, MAPPED, false);
    view.setUint32(offset + 12, Number(value), false);
  } else {
    view.setBigUint64(offset, value >> 64n, false);
    view.setBigUint64(offset + 8, value, false);
  }
}

/** Undefined for bytes that we didn't write. */
export function endpointAt(view: DataView, offset: number): ServiceKey | undefined {
  const protocol = protocolOf(view.getUint8(offset + PROTOCOL_AT));
  const port = view.getUint16(offset + PORT_AT, false);
  if (protocol === undefined || port === 0) return undefined;
  return { protocol, ip: addressAt(view, offset), port };
}

/** Undefined for bytes that we didn't write. */
export function serviceAt(view: DataView, offset: number): ServiceValue | undefined {
  const scheduler = SCHEDULERS[view.getUint32(offset + SERVICE_VALUE.scheduler, true)];
  if (scheduler === undefined) return undefined;
  return {
    version: view.getBigUint64(offset + SERVICE_VALUE.version, true),
    choices: view.getUint32(offset + SERVICE_VALUE.choices, true),
    backends: view.getUint32(offset + SERVICE_VALUE.backends, true),
    scheduler,
    affinity: view.getUint32(offset + SERVICE_VALUE.affinity, true),
  };
}

export function slotAt(view: DataView, offset: number): Slot {
  return {
    backend: {
      ip: addressAt(view, offset + SLOT_VALUE.ip),
      port: view.getUint16(offset + SLOT_VALUE.port, false),
      weight: view.getUint16(offset + SLOT_VALUE.weight, true),
    },
    threshold: view.getUint32(offset + SLOT_VALUE.threshold, true),
    alias: view.getUint32(offset + SLOT_VALUE.alias, true),
    total: view.getBigUint64(offset + SLOT_VALUE.total, true),
  };
}

function addressAt(view: DataView, offset: number): Ip {
  const high = view.getBigUint64(offset, false);
  if (high === 0n && view.getUint32(offset + 8, false) === MAPPED) {
    return { family: 4, value: BigInt(view.getUint32(offset + 12, false)) };
  }
  return { family: 6, value: (high << 64n) | view.getBigUint64(offset + 8, false) };
}

/** True for an IPv6 address that stands for an IPv4 one, which is written like that. */
export function isMapped({ family, value }: Ip): boolean {
  return family === 6 && value >> 32n === BigInt(MAPPED);
}

function protocolOf(number: number): VipProtocol | undefined {
  if (number === PROTOCOL.tcp) return "tcp";
  return number === PROTOCOL.udp ? "udp" : undefined;
}
