import { compareIp } from "../../lib/address.ts";
import type { BackendCounters, ServiceCounters } from "../dataplane.ts";
import { type Backend, compareBackends, type Service, serviceName } from "../service.ts";
import { maglevTable, slotsOf } from "./socket-choice.ts";
import { MapDump, pairName, slotPlaces } from "./socket-dump.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import {
  COUNTER_VALUE,
  ENDPOINT_BYTES,
  endpointAt,
  numberKey,
  PAIR_BYTES,
  SERVICE_VALUE,
  type ServiceValue,
  SLOT_VALUE,
  type Slot,
  serviceAt,
  slotAt,
} from "./socket-layout.ts";

/** All that the maps say of services. */
interface Contents {
  readonly slots: MapDump;
  /** By version: the places of its slots by number. */
  readonly places: ReadonlyMap<bigint, ReadonlyMap<number, number>>;
  readonly tables: MapDump;
  readonly members: MapDump;
}

/** The services that the maps hold. One whose parts don't fit together, so that it would not do what it says, is left
 *  out. */
export function readServices(maps: SocketMaps): Service[] {
  const found = new MapDump(maps.services);
  const slots = new MapDump(maps.slots);
  const contents: Contents = {
    slots,
    places: slotPlaces(slots),
    tables: new MapDump(maps.tables),
    members: new MapDump(maps.members),
  };
  const services: Service[] = [];
  for (let index = 0; index < found.count; index++) {
    const key = endpointAt(found.keys, index * ENDPOINT_BYTES);
    const value = serviceAt(found.values, index * SERVICE_VALUE.bytes);
    if (key === undefined || value === undefined) continue;
    const backends = backendsOf(found.name(index), value, contents);
    if (backends === undefined) continue;
    services.push({ ...key, scheduler: value.scheduler, affinity: value.affinity, backends });
  }
  return services;
}

/** In ascending order; undefined when what belongs to the service isn't what we would write for it. */
function backendsOf(service: string, value: ServiceValue, contents: Contents): Backend[] | undefined {
  const present = new Map<number, Slot>();
  const places = contents.places.get(value.version) ?? new Map<number, number>();
  if (places.size !== value.backends) return undefined;
  for (const [number, place] of places) {
    const slot = slotAt(contents.slots.values, place * SLOT_VALUE.bytes);
    const member = contents.members.place(pairName(service, contents.slots, place));
    if (member === undefined || contents.members.values.getUint32(member * 4, true) !== slot.backend.weight)
      return undefined;
    present.set(number, slot);
  }
  const backends = [...present.values()].map(({ backend }) => backend).sort(compareBackends);
  const due = slotsOf(backends);
  const chosen = backends.filter(({ weight }) => weight > 0);
  if (chosen.length !== value.choices) return undefined;
  if (!due.every((slot, number) => equalSlots(slot, present.get(number)))) return undefined;
  if (value.scheduler === "mh" && chosen.length > 0 && !hasTable(value.version, chosen, contents)) return undefined;
  return backends;
}

function hasTable(version: bigint, chosen: readonly Backend[], { tables }: Contents): boolean {
  const place = tables.place(numberKey(version).toHex());
  return place !== undefined && tables.valueDigits(place) === new Uint8Array(maglevTable(chosen).buffer).toHex();
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

/** What the programs have counted, for every backend that there is. Unconnected UDP sockets have no end that we could
 *  see, so the number of connections of UDP services is unknown. */
export function readCounters(maps: SocketMaps): ServiceCounters[] {
  const counted = new MapDump(maps.counters);
  const members = new MapDump(maps.members);
  const services = new Map<string, { key: ServiceCounters["key"]; backends: BackendCounters[] }>();
  for (let place = 0; place < members.count; place++) {
    const key = endpointAt(members.keys, place * PAIR_BYTES);
    const backend = endpointAt(members.keys, place * PAIR_BYTES + ENDPOINT_BYTES);
    if (key === undefined || backend === undefined) continue;
    const service = serviceName(key);
    const entry = services.get(service) ?? { key, backends: [] };
    services.set(service, entry);
    const { ip, port } = backend;
    const { total, active } = countAt(counted, counted.place(members.name(place)));
    entry.backends.push({ ip, port, total, ...(key.protocol === "tcp" ? { active } : {}) });
  }
  for (const { backends } of services.values()) backends.sort((a, b) => compareIp(a.ip, b.ip) || a.port - b.port);
  return [...services.values()];
}

function countAt({ values }: MapDump, place: number | undefined): { readonly total: number; readonly active: number } {
  if (place === undefined) return { total: 0, active: 0 };
  const offset = place * COUNTER_VALUE.bytes;
  const active = Number(values.getBigInt64(offset + COUNTER_VALUE.active, true));
  return {
    total: Number(values.getBigUint64(offset + COUNTER_VALUE.total, true)),
    active: Math.max(0, active),
  };
}
