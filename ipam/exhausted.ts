import { formatHolders, type HolderCount } from "./holders.ts";
import { formatSet, type RangeSet, sizeOfSet } from "./range.ts";

/** What is said of a range set without a free address, by ADD and by STATUS: the reference's words, then the pool's
 *  network, its size and who fills it. `index` is the set's place in the configuration. */
export function exhaustedText(network: string, index: number, set: RangeSet, holders: readonly HolderCount[]): string {
  const pool = `failed to allocate for range ${index}: no IP addresses available in range set: ${formatSet(set)}`;
  const size = sizeOfSet(set);
  return `${pool} (network ${network}, ${size} ${size === 1n ? "address" : "addresses"}; ${formatHolders(holders)})`;
}

/** What an operator can do about it. */
export const EXHAUSTED_REMEDY =
  "remove containers, widen the range, or free addresses whose containers are gone: `dcos-net ipam show` lists them";
