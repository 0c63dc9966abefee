import type { BpfMap } from "../../kernel/bpf-map.ts";
import { MapDump, pairName, slotPlaces } from "./socket-dump.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import { ADDRESS_BYTES, ENDPOINT_BYTES, numberValue, SERVICE_VALUE, SLOT_KEY, VERSION_BYTES } from "./socket-layout.ts";
import { nextVersion, setNextVersion } from "./socket-version.ts";

/** What a sweep has found. Services are named by their key in hexadecimal digits. */
export interface Swept {
  /** What was wrong and is right now, for people. */
  readonly repaired: readonly string[];
  /** Services that are there in part. The plan will put those that are wanted, so what belongs to them is left alone
   *  until the next sweep. */
  readonly broken: ReadonlySet<string>;
}

/** Puts the maps in order that only serve the services: deletes what no service names, which is what is left of a
 *  change that was broken off, and counts the services of each address. `brokenBefore`: what the sweep before found;
 *  what is broken still is nobody's. */
export function sweep(maps: SocketMaps, brokenBefore: ReadonlySet<string>): Swept {
  const services = new MapDump(maps.services);
  const slots = new MapDump(maps.slots);
  const members = new MapDump(maps.members);
  const whole = wholeServices(services, slots, members);
  const broken = new Set<string>();
  const isNobodys = (service: string): boolean => {
    if (whole.has(service)) return false;
    broken.add(service);
    return brokenBefore.has(service);
  };
  const versions = new Set(services.names().map((_, place) => services.valueDigits(place, VERSION_BYTES)));
  const isStray = (name: string): boolean => !versions.has(name.slice(0, 2 * VERSION_BYTES));
  const dropped = [
    drop(maps.services, services, isNobodys),
    drop(maps.members, members, (pair) => {
      const service = pair.slice(0, 2 * ENDPOINT_BYTES);
      return isNobodys(service) || whole.get(service)?.has(pair) === false;
    }),
    drop(maps.slots, slots, isStray),
    drop(maps.tables, new MapDump(maps.tables), isStray),
  ];
  const repaired = dropped.includes(true) ? ["leftovers in BPF maps"] : [];
  if (countAddresses(maps)) repaired.push("BPF map addresses");
  if (passVersions(maps, services, slots)) repaired.push("next version in BPF map state");
  return { repaired, broken: new Set([...broken].filter((service) => !brokenBefore.has(service))) };
}

/** The services all of whose backends are there, each with the names of its pairs. */
function wholeServices(services: MapDump, slots: MapDump, members: MapDump): Map<string, ReadonlySet<string>> {
  const places = slotPlaces(slots);
  const whole = new Map<string, ReadonlySet<string>>();
  for (let place = 0; place < services.count; place++) {
    const service = services.name(place);
    const offset = place * SERVICE_VALUE.bytes;
    const own = places.get(services.values.getBigUint64(offset + SERVICE_VALUE.version, true));
    const pairs = new Set<string>();
    for (const slot of own?.values() ?? []) pairs.add(pairName(service, slots, slot));
    if (pairs.size !== services.values.getUint32(offset + SERVICE_VALUE.backends, true)) continue;
    if ([...pairs].every((pair) => members.place(pair) !== undefined)) whole.set(service, pairs);
  }
  return whole;
}

/** True when an address was missing, too much, or had another number than it has services. */
function countAddresses(maps: SocketMaps): boolean {
  const services = new MapDump(maps.services);
  const addresses = new MapDump(maps.addresses);
  const due = new Map<string, number>();
  for (let place = 0; place < services.count; place++) {
    const address = services.name(place, ADDRESS_BYTES);
    due.set(address, (due.get(address) ?? 0) + 1);
  }
  let wrong = drop(maps.addresses, addresses, (address) => !due.has(address));
  for (const [address, number] of due) {
    const place = addresses.place(address);
    if (place !== undefined && addresses.values.getUint32(4 * place, true) === number) continue;
    maps.addresses.set(Uint8Array.fromHex(address), numberValue(number));
    wrong = true;
  }
  return wrong;
}

/** True when the next version was one that is in use, or would come to one: the map of it was lost. */
function passVersions({ state }: SocketMaps, services: MapDump, slots: MapDump): boolean {
  let least = 0n;
  for (let place = 0; place < services.count; place++) {
    const version = services.values.getBigUint64(place * SERVICE_VALUE.bytes + SERVICE_VALUE.version, true);
    if (version >= least) least = version + 1n;
  }
  for (let place = 0; place < slots.count; place++) {
    const version = slots.keys.getBigUint64(place * SLOT_KEY.bytes + SLOT_KEY.version, true);
    if (version >= least) least = version + 1n;
  }
  if (nextVersion(state) >= least) return false;
  setNextVersion(state, least);
  return true;
}

/** True when there was something to delete. */
function drop(map: BpfMap, dump: MapDump, isDoomed: (name: string) => boolean): boolean {
  const doomed = dump.names().filter(isDoomed);
  for (const name of doomed) map.delete(Uint8Array.fromHex(name));
  return doomed.length > 0;
}
