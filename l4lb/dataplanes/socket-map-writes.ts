import type { BpfMap } from "../../kernel/bpf-map.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import { MAPS, type MapName } from "./socket-layout.ts";

/** Writes a key at an offset of a view. */
export type WriteKey = (view: DataView, offset: number) => void;

/** Writes to the maps, gathered so that each map takes one system call for all of them. */
export class MapWrites {
  readonly #pending = new Map<MapName, Pending>();

  /** A write that the kernel refuses is noted in `outcome` for its change. */
  constructor(
    private readonly maps: SocketMaps,
    private readonly outcome: (Error | undefined)[],
  ) {}

  set(map: MapName, change: number, key: WriteKey, value: WriteKey): void {
    const { keys, values, changes } = this.#of(map);
    keys.add(key);
    values.add(value);
    changes.push(change);
  }

  delete(map: MapName, key: WriteKey): void {
    this.#of(map).deletions.add(key);
  }

  /** Carries out what has been gathered: in each map what is set, then what is deleted. */
  flush(): void {
    for (const [name, pending] of this.#pending) this.#flushOne(this.maps[name], pending);
    this.#pending.clear();
  }

  #flushOne(map: BpfMap, { keys, values, changes, deletions }: Pending): void {
    if (keys.count > 0) {
      map.setMany({ keys: keys.bytes, values: values.bytes, count: keys.count }, (index, error) => {
        const change = changes[index];
        if (change !== undefined) this.outcome[change] ??= error;
      });
    }
    if (deletions.count > 0) map.deleteMany(deletions.bytes, deletions.count);
  }

  #of(map: MapName): Pending {
    let pending = this.#pending.get(map);
    if (pending === undefined) {
      const { keyBytes, valueBytes } = MAPS[map];
      pending = { keys: new Rows(keyBytes), values: new Rows(valueBytes), changes: [], deletions: new Rows(keyBytes) };
      this.#pending.set(map, pending);
    }
    return pending;
  }
}

interface Pending {
  readonly keys: Rows;
  readonly values: Rows;
  /** The change that each element belongs to. */
  readonly changes: number[];
  readonly deletions: Rows;
}

/** Rows of one size behind each other, in a buffer that grows. */
class Rows {
  count = 0;
  #view: DataView<ArrayBuffer>;

  constructor(private readonly size: number) {
    this.#view = new DataView(new ArrayBuffer(size * 4));
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.count * this.size);
  }

  add(write: WriteKey): void {
    const offset = this.count++ * this.size;
    if (offset === this.#view.byteLength) this.#view = new DataView(this.#view.buffer.transfer(offset * 2));
    write(this.#view, offset);
  }
}
