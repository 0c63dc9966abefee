import type { BpfMap } from "../../kernel/bpf-map.ts";

/** The only element of the map `state`. */
const KEY = new Uint8Array(4);

/** The version that the next state of a service gets. */
export function nextVersion(state: BpfMap): bigint {
  const value = state.get(KEY);
  return value === undefined ? 0n : new DataView(value.buffer).getBigUint64(0, true);
}

export function setNextVersion(state: BpfMap, version: bigint): void {
  state.set(KEY, new Uint8Array(BigUint64Array.of(version).buffer));
}

/** The first of so many versions that no other service has or will have, not even after a crash: they are taken before
 *  any of them is used. */
export function takeVersions(state: BpfMap, count: number): bigint {
  const first = nextVersion(state);
  setNextVersion(state, first + BigInt(count));
  return first;
}
