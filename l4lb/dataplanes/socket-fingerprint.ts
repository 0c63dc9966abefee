import type { SocketMaps } from "./socket-foundation.ts";
import { MAPS, type MapName, MEMBER_VALUE, SLOT_VALUE } from "./socket-layout.ts";

/** The maps that nobody changes but we, each with the place of a counter in its values, if it has one. */
const OURS: readonly (readonly [MapName, counter: number | undefined])[] = [
  ["state", undefined],
  ["addresses", undefined],
  ["services", undefined],
  ["slots", SLOT_VALUE.total],
  ["tables", undefined],
  ["members", MEMBER_VALUE.total],
];

/** A number that stays the same as long as nobody changes a service in the maps. What the programs count is left out.
 *  Costs a reading of the bytes, of which nothing is taken apart. */
export function fingerprint(maps: SocketMaps): bigint {
  let print = 0n;
  for (const [name, counter] of OURS) {
    const { keys, values, count } = maps[name].dump();
    if (counter !== undefined) clear(values, count, MAPS[name].valueBytes, counter);
    print = Bun.hash.wyhash(values, Bun.hash.wyhash(keys, print));
  }
  return print;
}

/** Sets a number of 64 bits to zero in each of the values. */
function clear(values: Uint8Array, count: number, size: number, offset: number): void {
  const numbers = new BigUint64Array(values.buffer, values.byteOffset, (count * size) / 8);
  for (let index = offset / 8; index < numbers.length; index += size / 8) numbers[index] = 0n;
}
