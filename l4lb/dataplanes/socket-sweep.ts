import type { SocketMaps } from "./socket-foundation.ts";
import { ADDRESS_BYTES, ENDPOINT_BYTES, numberValue, SERVICE_VALUE, SLOT_KEY, SLOT_VALUE } from "./socket-layout.ts";

/** Puts the maps in order that only serve the services: deletes what no service names, which is what is left of a
 *  change that was broken off, and counts the services of each address. Names what was wrong. */
export function sweep(maps: SocketMaps): string[] {
  const services = maps.services.dump();
  const versions = new Map<bigint, string>();
  const addresses = new Map<string, number>();
  const view = new DataView(services.values.buffer);
  for (let index = 0; index < services.count; index++) {
    const start = index * ENDPOINT_BYTES;
    const endpoint = services.keys.subarray(start, start + ENDPOINT_BYTES).toHex();
    versions.set(view.getBigUint64(index * SERVICE_VALUE.bytes + SERVICE_VALUE.version, true), endpoint);
    const address = endpoint.slice(0, 2 * ADDRESS_BYTES);
    addresses.set(address, (addresses.get(address) ?? 0) + 1);
  }
  const wrong: string[] = [];
  if (sweepBackends(maps, versions)) wrong.push("leftovers in BPF maps");
  if (sweepAddresses(maps, addresses)) wrong.push("BPF map addresses");
  return wrong;
}

/** `versions`: the endpoint of each service by its version. */
function sweepBackends(maps: SocketMaps, versions: ReadonlyMap<bigint, string>): boolean {
  const members = new Set<string>();
  const slots = maps.slots.dump();
  const view = new DataView(slots.keys.buffer);
  const stray: Uint8Array[] = [];
  for (let index = 0; index < slots.count; index++) {
    const endpoint = versions.get(view.getBigUint64(index * SLOT_KEY.bytes + SLOT_KEY.version, true));
    const key = slots.keys.subarray(index * SLOT_KEY.bytes, (index + 1) * SLOT_KEY.bytes);
    if (endpoint === undefined) stray.push(key);
    else members.add(pairName(endpoint, slots.values, index * SLOT_VALUE.bytes));
  }
  for (const key of stray) maps.slots.delete(key);
  const tables = dropUnless(maps.tables, (key) => versions.has(new DataView(key.slice().buffer).getBigUint64(0, true)));
  const strangers = dropUnless(maps.members, (key) => members.has(key.toHex()));
  // A program may count once more for a backend that is being deleted: that is nobody's fault.
  dropUnless(maps.counters, (key) => members.has(key.toHex()));
  return stray.length > 0 || tables || strangers;
}

/** The key of a pair in hexadecimal digits, as {@link pairKey} makes it. */
function pairName(endpoint: string, slots: Uint8Array, offset: number): string {
  const addressAndPort = slots.subarray(offset + SLOT_VALUE.ip, offset + SLOT_VALUE.port + 2).toHex();
  return endpoint + addressAndPort + endpoint.slice(addressAndPort.length);
}

function dropUnless(map: SocketMaps["members"], keep: (key: Uint8Array) => boolean): boolean {
  const { keys, count } = map.dump();
  const size = map.spec.keyBytes;
  const doomed = Array.from({ length: count }, (_, index) => keys.subarray(index * size, (index + 1) * size)).filter(
    (key) => !keep(key),
  );
  for (const key of doomed) map.delete(key);
  return doomed.length > 0;
}

function sweepAddresses({ addresses }: SocketMaps, due: ReadonlyMap<string, number>): boolean {
  const { keys, values, count } = addresses.dump();
  const view = new DataView(values.buffer);
  const present = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const key = keys.subarray(index * ADDRESS_BYTES, (index + 1) * ADDRESS_BYTES);
    present.set(key.toHex(), view.getUint32(index * 4, true));
  }
  const missing = [...due].filter(([key, number]) => present.get(key) !== number);
  const stray = [...present.keys()].filter((key) => !due.has(key));
  for (const [key, number] of missing) addresses.set(Uint8Array.fromHex(key), numberValue(number));
  for (const key of stray) addresses.delete(Uint8Array.fromHex(key));
  return missing.length + stray.length > 0;
}
