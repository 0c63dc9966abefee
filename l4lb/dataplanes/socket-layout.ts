import { BPF_NAME_MAX } from "../../kernel/bpf.ts";
import type { MapSpec } from "../../kernel/bpf-map.ts";
import { type Ip, ipBytes, ipFromBytes } from "../../lib/address.ts";
import type { Backend, Scheduler, ServiceKey, VipProtocol } from "../service.ts";

/** The bytes that the programs in the kernel and we share. Numbers are little-endian but for ports and addresses, which
 *  are as in packets. A change of any of them takes another number here, which the names of maps hold: maps of
 *  another layout are not taken over. */
const LAYOUT = 1;

/** An address with port and protocol: sixteen bytes (IPv4 as ::ffff:a.b.c.d), port, protocol, zero. */
export const ENDPOINT_BYTES = 20;
export const PORT_AT = 16;
export const PROTOCOL_AT = 18;
const MAPPED_AT = 10;
const IP4_AT = 12;
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

/** Schedulers by number. Up to `rr` the programs choose at random, from `sh` on by the client. */
const SCHEDULERS: readonly Scheduler[] = ["wlc", "rr", "sh", "mh"];
export const SCHEDULER_SH = 2;
export const SCHEDULER_MH = 3;

/** A backend, and how it is chosen: who draws this slot takes it when a random number of 32 bits is at most
 *  `threshold`, and the slot `alias` otherwise (Walker's alias method). */
export interface Slot {
  readonly backend: Backend;
  readonly threshold: number;
  readonly alias: number;
}
export const SLOT_KEY = { version: 0, index: 8, bytes: 16 } as const;
export const SLOT_VALUE = { ip: 0, port: 16, weight: 18, threshold: 20, alias: 24, bytes: 28 } as const;

/** Entries of the table of a service with the scheduler `mh`, each the number of a slot in two bytes. A prime. */
export const MH_ENTRIES = 1021;
export const MH_BYTES = 2 * MH_ENTRIES;

/** Connections of one service with one backend, as the programs count them. */
export const COUNTER_VALUE = { total: 0, active: 8, bytes: 16 } as const;

/** Of a socket: its pair, then the cookie of its network namespace. */
export const CONNECTION_VALUE = { pair: 0, netns: PAIR_BYTES, bytes: PAIR_BYTES + 8 } as const;

/** An endpoint, four zeros, and the cookie of a socket or of a network namespace. */
export const OWNED_KEY = { endpoint: 0, cookie: 24, bytes: 32 } as const;
/** An endpoint, four zeros, and for affinities the time of the last choice, nanoseconds since the machine started. */
export const REMEMBERED_VALUE = { endpoint: 0, time: 24, bytes: 32 } as const;

/** How much the maps can hold. Memory is taken as elements come, but for those that make room by themselves. */
const SERVICES_MAX = 65_536;
const BACKENDS_MAX = 262_144;
const CONNECTIONS_MAX = 262_144;
const REMEMBERED_MAX = 32_768;

/** Names of the maps, which are those of their pins too. */
export type MapName = keyof typeof MAPS;

/** - `state` one element: the next version
 *  - `addresses` by address: how many services have it
 *  - `services` by endpoint
 *  - `slots` by version and number
 *  - `tables` by version: for the scheduler `mh`
 *  - `members` by pair: the weight; who is not in here is no backend any more
 *  - `counters` by pair
 *  - `connections` by socket cookie: connected sockets, TCP and UDP
 *  - `flows` by service and socket cookie: the backend of an unconnected UDP socket
 *  - `replies` by backend and socket cookie: the service that answers of this backend seem to come from
 *  - `affinities` by service and namespace cookie: the backend of a client */
export const MAPS = {
  state: map("state", "array", 4, 8, 1),
  addresses: map("addresses", "hash", ADDRESS_BYTES, 4, SERVICES_MAX),
  services: map("services", "hash", ENDPOINT_BYTES, SERVICE_VALUE.bytes, SERVICES_MAX),
  slots: map("slots", "hash", SLOT_KEY.bytes, SLOT_VALUE.bytes, BACKENDS_MAX),
  tables: map("tables", "hash", 8, MH_BYTES, SERVICES_MAX),
  members: map("members", "hash", PAIR_BYTES, 4, BACKENDS_MAX),
  counters: map("counters", "hash", PAIR_BYTES, COUNTER_VALUE.bytes, BACKENDS_MAX),
  connections: map("connections", "hash", 8, CONNECTION_VALUE.bytes, CONNECTIONS_MAX),
  flows: map("flows", "lru-hash", OWNED_KEY.bytes, REMEMBERED_VALUE.bytes, REMEMBERED_MAX),
  replies: map("replies", "lru-hash", OWNED_KEY.bytes, REMEMBERED_VALUE.bytes, REMEMBERED_MAX),
  affinities: map("affinities", "lru-hash", OWNED_KEY.bytes, REMEMBERED_VALUE.bytes, REMEMBERED_MAX),
} as const satisfies Record<string, MapSpec>;

function map(name: string, type: MapSpec["type"], keyBytes: number, valueBytes: number, capacity: number): MapSpec {
  return { name: `vip${LAYOUT}_${name}`.slice(0, BPF_NAME_MAX), type, keyBytes, valueBytes, capacity };
}

/** An address in sixteen bytes. */
export function addressKey(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  writeAddress(bytes, 0, ip);
  return bytes;
}

/** A service's own endpoint. */
export function serviceKey({ protocol, ip, port }: ServiceKey): Uint8Array {
  const bytes = new Uint8Array(ENDPOINT_BYTES);
  writeEndpoint(bytes, 0, protocol, ip, port);
  return bytes;
}

/** The service with one of its backends. */
export function pairKey({ protocol, ip, port }: ServiceKey, backend: Pick<Backend, "ip" | "port">): Uint8Array {
  const bytes = new Uint8Array(PAIR_BYTES);
  writeEndpoint(bytes, 0, protocol, ip, port);
  writeEndpoint(bytes, ENDPOINT_BYTES, protocol, backend.ip, backend.port);
  return bytes;
}

/** Undefined for bytes that we didn't write. */
export function endpointAt(bytes: Uint8Array, offset: number): ServiceKey | undefined {
  const protocol = protocolOf(bytes[offset + PROTOCOL_AT]);
  const port = ((bytes[offset + PORT_AT] ?? 0) << 8) | (bytes[offset + PORT_AT + 1] ?? 0);
  if (protocol === undefined || port === 0) return undefined;
  return { protocol, ip: addressAt(bytes, offset), port };
}

export function slotKey(version: bigint, index: number): Uint8Array {
  const bytes = new Uint8Array(SLOT_KEY.bytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(SLOT_KEY.version, version, true);
  view.setUint32(SLOT_KEY.index, index, true);
  return bytes;
}

export function versionKey(version: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(version).buffer);
}

/** A weight, or a number of services. */
export function numberValue(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer);
}

export function serviceValue({ version, choices, backends, scheduler, affinity }: ServiceValue): Uint8Array {
  const bytes = new Uint8Array(SERVICE_VALUE.bytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(SERVICE_VALUE.version, version, true);
  view.setUint32(SERVICE_VALUE.choices, choices, true);
  view.setUint32(SERVICE_VALUE.backends, backends, true);
  view.setUint32(SERVICE_VALUE.scheduler, SCHEDULERS.indexOf(scheduler), true);
  view.setUint32(SERVICE_VALUE.affinity, affinity, true);
  return bytes;
}

/** Undefined for bytes that we didn't write. */
export function serviceValueAt(bytes: Uint8Array, offset = 0): ServiceValue | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, SERVICE_VALUE.bytes);
  const scheduler = SCHEDULERS[view.getUint32(SERVICE_VALUE.scheduler, true)];
  if (scheduler === undefined) return undefined;
  return {
    version: view.getBigUint64(SERVICE_VALUE.version, true),
    choices: view.getUint32(SERVICE_VALUE.choices, true),
    backends: view.getUint32(SERVICE_VALUE.backends, true),
    scheduler,
    affinity: view.getUint32(SERVICE_VALUE.affinity, true),
  };
}

export function slotValue({ backend, threshold, alias }: Slot): Uint8Array {
  const bytes = new Uint8Array(SLOT_VALUE.bytes);
  const view = new DataView(bytes.buffer);
  writeAddress(bytes, SLOT_VALUE.ip, backend.ip);
  view.setUint16(SLOT_VALUE.port, backend.port, false);
  view.setUint16(SLOT_VALUE.weight, backend.weight, true);
  view.setUint32(SLOT_VALUE.threshold, threshold, true);
  view.setUint32(SLOT_VALUE.alias, alias, true);
  return bytes;
}

export function slotAt(bytes: Uint8Array, offset = 0): Slot {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, SLOT_VALUE.bytes);
  return {
    backend: {
      ip: addressAt(bytes, offset + SLOT_VALUE.ip),
      port: view.getUint16(SLOT_VALUE.port, false),
      weight: view.getUint16(SLOT_VALUE.weight, true),
    },
    threshold: view.getUint32(SLOT_VALUE.threshold, true),
    alias: view.getUint32(SLOT_VALUE.alias, true),
  };
}

function writeEndpoint(bytes: Uint8Array, offset: number, protocol: VipProtocol, ip: Ip, port: number): void {
  writeAddress(bytes, offset, ip);
  bytes[offset + PORT_AT] = port >>> 8;
  bytes[offset + PORT_AT + 1] = port;
  bytes[offset + PROTOCOL_AT] = PROTOCOL[protocol];
}

function writeAddress(bytes: Uint8Array, offset: number, ip: Ip): void {
  if (ip.family === 4) {
    bytes[offset + MAPPED_AT] = 0xff;
    bytes[offset + MAPPED_AT + 1] = 0xff;
  }
  bytes.set(ipBytes(ip), offset + (ip.family === 4 ? IP4_AT : 0));
}

function addressAt(bytes: Uint8Array, offset: number): Ip {
  const mapped =
    bytes[offset + MAPPED_AT] === 0xff &&
    bytes[offset + MAPPED_AT + 1] === 0xff &&
    bytes.subarray(offset, offset + MAPPED_AT).every((byte) => byte === 0);
  return ipFromBytes(bytes.subarray(offset + (mapped ? IP4_AT : 0), offset + ADDRESS_BYTES));
}

function protocolOf(number: number | undefined): VipProtocol | undefined {
  if (number === PROTOCOL.tcp) return "tcp";
  return number === PROTOCOL.udp ? "udp" : undefined;
}
