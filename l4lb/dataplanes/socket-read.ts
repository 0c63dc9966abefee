import { compareIp } from "../../lib/address.ts";
import type { BackendCounters, ServiceCounters } from "../dataplane.ts";
import { type Backend, compareBackends, type Service } from "../service.ts";
import { maglevTable, type NewSlot, slotsOf } from "./socket-choice.ts";
import { connectionsIn } from "./socket-connections.ts";
import { MapDump, pairName, slotPlaces } from "./socket-dump.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import {
  ENDPOINT_BYTES,
  endpointAt,
  hasTable,
  MEMBER_VALUE,
  numberKey,
  SERVICE_VALUE,
  type ServiceValue,
  SLOT_VALUE,
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
  const present = new Map<number, NewSlot>();
  const places = contents.places.get(value.version) ?? new Map<number, number>();
  if (places.size !== value.backends) return undefined;
  for (const [number, place] of places) {
    const slot = slotAt(contents.slots.values, place * SLOT_VALUE.bytes);
    const member = contents.members.place(pairName(service, contents.slots, place));
    if (member === undefined || weightAt(contents.members, member) !== slot.backend.weight) return undefined;
    present.set(number, slot);
  }
  const backends = [...present.values()].map(({ backend }) => backend).sort(compareBackends);
  const due = slotsOf(backends);
  const chosen = backends.filter(({ weight }) => weight > 0);
  if (chosen.length !== value.choices) return undefined;
  if (!due.every((slot, number) => equalSlots(slot, present.get(number)))) return undefined;
  if (hasTable(value) && !isTableOf(value.version, chosen, contents)) return undefined;
  return backends;
}

function isTableOf(version: bigint, chosen: readonly Backend[], { tables }: Contents): boolean {
  const place = tables.place(numberKey(version).toHex());
  return place !== undefined && tables.valueDigits(place) === new Uint8Array(maglevTable(chosen).buffer).toHex();
}

function weightAt({ values }: MapDump, place: number): number {
  return values.getUint32(place * MEMBER_VALUE.bytes + MEMBER_VALUE.weight, true);
}

function equalSlots(a: NewSlot, b: NewSlot | undefined): boolean {
  return (
    b !== undefined &&
    a.threshold === b.threshold &&
    a.alias === b.alias &&
    a.backend.weight === b.backend.weight &&
    compareBackends(a.backend, b.backend) === 0
  );
}

/** What the programs have counted, for every backend that there is, and the connections that there are now. Unconnected
 *  UDP sockets have no end that we could see, so the number of connections of UDP services is unknown. */
export function readCounters(maps: SocketMaps): ServiceCounters[] {
  const services = new MapDump(maps.services);
  const slots = new MapDump(maps.slots);
  const members = new MapDump(maps.members);
  const places = slotPlaces(slots);
  const active = activeByPair(maps);
  const counters: ServiceCounters[] = [];
  for (let place = 0; place < services.count; place++) {
    const key = endpointAt(services.keys, place * ENDPOINT_BYTES);
    const value = serviceAt(services.values, place * SERVICE_VALUE.bytes);
    if (key === undefined || value === undefined) continue;
    const backends: BackendCounters[] = [];
    for (const slot of places.get(value.version)?.values() ?? []) {
      const pair = pairName(services.name(place), slots, slot);
      const { backend, total } = slotAt(slots.values, slot * SLOT_VALUE.bytes);
      const { ip, port } = backend;
      const connections = key.protocol === "tcp" ? { active: active.get(pair) ?? 0 } : {};
      backends.push({ ip, port, total: Number(total + totalAt(members, members.place(pair))), ...connections });
    }
    counters.push({ key, backends: backends.sort((a, b) => compareIp(a.ip, b.ip) || a.port - b.port) });
  }
  return counters;
}

function totalAt({ values }: MapDump, place: number | undefined): bigint {
  return place === undefined ? 0n : values.getBigUint64(place * MEMBER_VALUE.bytes + MEMBER_VALUE.total, true);
}

function activeByPair(maps: SocketMaps): ReadonlyMap<string, number> {
  const active = new Map<string, number>();
  for (const { pair } of connectionsIn(maps)) active.set(pair, (active.get(pair) ?? 0) + 1);
  return active;
}
