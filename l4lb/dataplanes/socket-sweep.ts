import type { SocketMaps } from "./socket-foundation.ts";
import {
  ADDRESS_BYTES,
  ENDPOINT_BYTES,
  numberValue,
  pairKey,
  SERVICE_VALUE,
  SLOT_KEY,
  serviceKey,
} from "./socket-layout.ts";
import { readServices } from "./socket-read.ts";

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
  const whole = new Map(
    readServices(maps).map((service) => [
      serviceKey(service).toHex(),
      new Set(service.backends.map((backend) => pairKey(service, backend).toHex())),
    ]),
  );
  const broken = new Set<string>();
  const isNobodys = (service: string): boolean => {
    if (whole.has(service)) return false;
    broken.add(service);
    return brokenBefore.has(service);
  };
  const dropped = [
    drop(maps.services, (key) => isNobodys(key.toHex())),
    drop(maps.members, (key) => {
      const service = key.subarray(0, ENDPOINT_BYTES).toHex();
      return isNobodys(service) || whole.get(service)?.has(key.toHex()) === false;
    }),
    dropVersions(maps),
  ];
  // A program may count once more for a backend that is being deleted: that is nobody's fault.
  drop(maps.counters, (key) => maps.members.get(key) === undefined);
  const repaired = dropped.includes(true) ? ["leftovers in BPF maps"] : [];
  if (countAddresses(maps)) repaired.push("BPF map addresses");
  return { repaired, broken: new Set([...broken].filter((service) => !brokenBefore.has(service))) };
}

/** Deletes slots and tables of versions that no service has. */
function dropVersions(maps: SocketMaps): boolean {
  const { values, count } = maps.services.dump();
  const view = new DataView(values.buffer);
  const versions = new Set(
    Array.from({ length: count }, (_, index) =>
      view.getBigUint64(index * SERVICE_VALUE.bytes + SERVICE_VALUE.version, true),
    ),
  );
  const isStray = (key: Uint8Array): boolean =>
    !versions.has(new DataView(key.buffer, key.byteOffset).getBigUint64(SLOT_KEY.version, true));
  const slots = drop(maps.slots, isStray);
  return drop(maps.tables, isStray) || slots;
}

/** True when an address was missing, too much, or had another number than it has services. */
function countAddresses({ services, addresses }: SocketMaps): boolean {
  const due = new Map<string, number>();
  const { keys, count } = services.dump();
  for (let index = 0; index < count; index++) {
    const start = index * ENDPOINT_BYTES;
    const address = keys.subarray(start, start + ADDRESS_BYTES).toHex();
    due.set(address, (due.get(address) ?? 0) + 1);
  }
  let wrong = drop(addresses, (key) => !due.has(key.toHex()));
  for (const [address, number] of due) {
    const key = Uint8Array.fromHex(address);
    const value = numberValue(number);
    if (addresses.get(key)?.toHex() === value.toHex()) continue;
    addresses.set(key, value);
    wrong = true;
  }
  return wrong;
}

/** True when there was something to delete. */
function drop(map: SocketMaps["members"], isDoomed: (key: Uint8Array) => boolean): boolean {
  const { keys, count } = map.dump();
  const size = map.spec.keyBytes;
  const all = Array.from({ length: count }, (_, index) => keys.subarray(index * size, (index + 1) * size));
  const doomed = all.filter(isDoomed);
  for (const key of doomed) map.delete(key);
  return doomed.length > 0;
}
