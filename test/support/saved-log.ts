import type { SavedLog } from "../../gossip/state.ts";

/** So many facts of 500 bytes. */
export function logOf(owner: string, count: number): SavedLog {
  const entries = Array.from({ length: count }, (_, index) => {
    return { key: `k${index}`, version: index + 1, value: new Uint8Array(500).fill(index) };
  });
  return { owner, generation: 5, version: count, entries };
}
