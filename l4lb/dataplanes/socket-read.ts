import { compareIp } from "../../lib/address.ts";
import type { BackendCounters, ServiceCounters } from "../dataplane.ts";
import { type Backend, compareBackends, type Service, serviceName } from "../service.ts";
import { maglevTable, slotsOf } from "./socket-choice.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import {
  COUNTER_VALUE,
  ENDPOINT_BYTES,
  endpointAt,
  MH_BYTES,
  PAIR_BYTES,
  pairKey,
  SERVICE_VALUE,
  type ServiceValue,
  SLOT_KEY,
  SLOT_VALUE,
  type Slot,
  serviceValueAt,
  slotAt,
} from "./socket-layout.ts";

/** All that the maps say of services, by the keys that tie it together. */
interface Contents {
  readonly slots: ReadonlyMap<bigint, ReadonlyMap<number, Slot>>;
  readonly tables: ReadonlyMap<bigint, Uint8Array>;
  /** Weights by pair in hexadecimal digits. */
  readonly members: ReadonlyMap<string, number>;
}

/** The services that the maps hold. One whose parts don't fit together, so that it would not do what it says, is left
 *  out. */
export function readServices(maps: SocketMaps): Service[] {
  const { keys, values, count } = maps.services.dump();
  const contents = contentsOf(maps);
  const services: Service[] = [];
  for (let index = 0; index < count; index++) {
    const key = endpointAt(keys, index * ENDPOINT_BYTES);
    const value = serviceValueAt(values, index * SERVICE_VALUE.bytes);
    if (key === undefined || value === undefined) continue;
    const backends = backendsOf(value, contents);
    if (backends === undefined) continue;
    const service = { ...key, scheduler: value.scheduler, affinity: value.affinity, backends };
    if (isWhole(service, contents)) services.push(service);
  }
  return services;
}

function contentsOf(maps: SocketMaps): Contents {
  const slots = new Map<bigint, Map<number, Slot>>();
  const all = maps.slots.dump();
  const view = new DataView(all.keys.buffer);
  for (let index = 0; index < all.count; index++) {
    const version = view.getBigUint64(index * SLOT_KEY.bytes + SLOT_KEY.version, true);
    const of = slots.get(version) ?? new Map<number, Slot>();
    slots.set(version, of);
    of.set(view.getUint32(index * SLOT_KEY.bytes + SLOT_KEY.index, true), slotAt(all.values, index * SLOT_VALUE.bytes));
  }
  const tables = maps.tables.dump();
  const versions = new DataView(tables.keys.buffer);
  const members = maps.members.dump();
  const weights = new DataView(members.values.buffer);
  return {
    slots,
    tables: new Map(
      Array.from({ length: tables.count }, (_, index) => [
        versions.getBigUint64(index * 8, true),
        tables.values.subarray(index * MH_BYTES, (index + 1) * MH_BYTES),
      ]),
    ),
    members: new Map(
      Array.from({ length: members.count }, (_, index) => [
        members.keys.subarray(index * PAIR_BYTES, (index + 1) * PAIR_BYTES).toHex(),
        weights.getUint32(index * 4, true),
      ]),
    ),
  };
}

/** In ascending order; undefined when the slots aren't those that we would write for them. */
function backendsOf(value: ServiceValue, { slots, tables }: Contents): Backend[] | undefined {
  const present = slots.get(value.version) ?? new Map<number, Slot>();
  const backends = [...present.values()].map(({ backend }) => backend).sort(compareBackends);
  const due = slotsOf(backends);
  if (present.size !== value.backends || due.length !== value.backends) return undefined;
  const chosen = backends.filter(({ weight }) => weight > 0);
  if (chosen.length !== value.choices) return undefined;
  if (!due.every((slot, number) => equalSlots(slot, present.get(number)))) return undefined;
  if (value.scheduler !== "mh" || chosen.length === 0) return backends;
  const table = tables.get(value.version);
  return table?.toHex() === new Uint8Array(maglevTable(chosen).buffer).toHex() ? backends : undefined;
}

function equalSlots(a: Slot, b: Slot | undefined): boolean {
  return (
    b !== undefined &&
    a.threshold === b.threshold &&
    a.alias === b.alias &&
    a.backend.weight === b.backend.weight &&
    compareBackends(a.backend, b.backend) === 0
  );
}

/** True when every backend is known as a member with its weight. */
function isWhole(service: Service, { members }: Contents): boolean {
  return service.backends.every((backend) => members.get(pairKey(service, backend).toHex()) === backend.weight);
}

/** What the programs have counted, for every backend that there is. Unconnected UDP sockets have no end that we could
 *  see, so the number of connections of UDP services is unknown. */
export function readCounters(maps: SocketMaps): ServiceCounters[] {
  const counted = countedBy(maps);
  const { keys, count } = maps.members.dump();
  const services = new Map<string, { key: ServiceCounters["key"]; backends: BackendCounters[] }>();
  for (let index = 0; index < count; index++) {
    const key = endpointAt(keys, index * PAIR_BYTES);
    const backend = endpointAt(keys, index * PAIR_BYTES + ENDPOINT_BYTES);
    if (key === undefined || backend === undefined) continue;
    const entry = services.get(serviceName(key)) ?? { key, backends: [] };
    services.set(serviceName(key), entry);
    const pair = keys.subarray(index * PAIR_BYTES, (index + 1) * PAIR_BYTES).toHex();
    const { total, active } = counted.get(pair) ?? { total: 0, active: 0 };
    const { ip, port } = backend;
    entry.backends.push({ ip, port, total, ...(key.protocol === "tcp" ? { active: Math.max(0, active) } : {}) });
  }
  for (const { backends } of services.values()) backends.sort((a, b) => compareIp(a.ip, b.ip) || a.port - b.port);
  return [...services.values()];
}

/** By pair in hexadecimal digits. */
function countedBy(maps: SocketMaps): Map<string, { total: number; active: number }> {
  const { keys, values, count } = maps.counters.dump();
  const view = new DataView(values.buffer);
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const total = Number(view.getBigUint64(index * COUNTER_VALUE.bytes + COUNTER_VALUE.total, true));
      const active = Number(view.getBigInt64(index * COUNTER_VALUE.bytes + COUNTER_VALUE.active, true));
      return [keys.subarray(index * PAIR_BYTES, (index + 1) * PAIR_BYTES).toHex(), { total, active }];
    }),
  );
}
