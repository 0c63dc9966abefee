import type { SocketMaps } from "./socket-foundation.ts";
import type { MapName } from "./socket-layout.ts";

interface Pending {
  readonly keys: Uint8Array[];
  readonly values: Uint8Array[];
  /** The change that each element belongs to. */
  readonly changes: number[];
  readonly deletions: Uint8Array[];
}

/** Writes to the maps, gathered so that each map takes one system call for all of them. */
export class MapWrites {
  readonly #pending = new Map<MapName, Pending>();

  /** A write that the kernel refuses is noted in `outcome` for its change. */
  constructor(
    private readonly maps: SocketMaps,
    private readonly outcome: (Error | undefined)[],
  ) {}

  set(map: MapName, key: Uint8Array, value: Uint8Array, change: number): void {
    const { keys, values, changes } = this.#of(map);
    keys.push(key);
    values.push(value);
    changes.push(change);
  }

  delete(map: MapName, key: Uint8Array): void {
    this.#of(map).deletions.push(key);
  }

  /** Carries out what has been gathered: in each map what is set, then what is deleted. */
  flush(): void {
    for (const [name, { keys, values, changes, deletions }] of this.#pending) {
      const map = this.maps[name];
      if (keys.length > 0) {
        map.setMany({ keys: joined(keys), values: joined(values), count: keys.length }, (index, error) => {
          const change = changes[index];
          if (change !== undefined) this.outcome[change] ??= error;
        });
      }
      if (deletions.length > 0) map.deleteMany(joined(deletions), deletions.length);
    }
    this.#pending.clear();
  }

  #of(map: MapName): Pending {
    let pending = this.#pending.get(map);
    if (pending === undefined) {
      pending = { keys: [], values: [], changes: [], deletions: [] };
      this.#pending.set(map, pending);
    }
    return pending;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const first = parts[0];
  if (first !== undefined && parts.length === 1) return first;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
