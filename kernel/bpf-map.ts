import { fromCString } from "../lib/bytes.ts";
import { BPF_NAME_MAX, bpfAttribute, bpfError, bpfInfo, pinBpf, pinnedBpf, tryBpf } from "./bpf.ts";
import { addressOf, trySystemCall } from "./ffi.ts";

/** Kinds of maps (linux/bpf.h, enum bpf_map_type). An `lru-hash` makes room by itself when it is full. */
const TYPE = { hash: 1, array: 2, "lru-hash": 9 } as const;
/** The kernel takes memory for an element when it comes, not for all at once. Not possible for the other kinds. */
const BPF_F_NO_PREALLOC = 1;
const MAP_INFO_BYTES = 40;

const ENOENT = 2;
const EPERM = 1;
const E2BIG = 7;
const ENOSPC = 28;
const RLIMIT_MEMLOCK = 8;

/** Elements that a dump asks for at first; buckets with more make it ask for more. */
const DUMP_ELEMENTS = 4096;

export interface MapSpec {
  /** At most 15 letters, digits, `_` and `.`. */
  readonly name: string;
  readonly type: keyof typeof TYPE;
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Most elements. */
  readonly capacity: number;
}

/** Elements side by side: `count` keys, and as many values. */
export interface MapElements {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

/** A map between eBPF programs and us (bpf(2)). Holds a descriptor until {@link close}. */
export class BpfMap {
  readonly #key: Uint8Array;
  readonly #value: Uint8Array;
  /** The union bpf_attr of calls on one element; their buffers stay in place, so that it is filled in only once. */
  readonly #attribute: Uint8Array;
  /** The same without a value, which a deletion may not have. */
  readonly #deletion: Uint8Array;

  private constructor(
    readonly descriptor: number,
    readonly spec: MapSpec,
  ) {
    // Over buffers of their own: a small array without one is moved when somebody asks for its buffer.
    this.#key = new Uint8Array(new ArrayBuffer(spec.keyBytes));
    this.#value = new Uint8Array(new ArrayBuffer(spec.valueBytes));
    const key = addressOf(this.#key);
    this.#attribute = bpfAttribute({ u32: { 0: descriptor }, u64: { 8: key, 16: addressOf(this.#value) } });
    this.#deletion = bpfAttribute({ u32: { 0: descriptor }, u64: { 8: key } });
  }

  /** Makes an empty map. Before Linux 5.11 maps count as locked memory, so the limit of that is lifted when it stands
   *  in the way. */
  static create(spec: MapSpec): BpfMap {
    const attribute = bpfAttribute({
      u32: {
        0: TYPE[spec.type],
        4: spec.keyBytes,
        8: spec.valueBytes,
        12: spec.capacity,
        16: flagsOf(spec),
      },
      name: [28, spec.name],
    });
    let result = tryBpf("mapCreate", attribute);
    if (result === -EPERM && liftMemoryLimit()) result = tryBpf("mapCreate", attribute);
    if (result < 0) throw bpfError(-result, { tried: `create BPF map ${spec.name}` });
    return new BpfMap(result, spec);
  }

  /** The map that is pinned at `path`; undefined when there is none, or what is there isn't such a map. */
  static pinned(path: string, spec: MapSpec): BpfMap | undefined {
    const descriptor = pinnedBpf(path);
    if (descriptor === undefined) return undefined;
    if (fits(descriptor, spec)) return new BpfMap(descriptor, spec);
    trySystemCall("close", descriptor);
    return undefined;
  }

  /** The kernel's number for the map, which no other map has as long as it lives. */
  get id(): number {
    return bpfInfo(this.descriptor, MAP_INFO_BYTES).getUint32(4, true);
  }

  pin(path: string): void {
    pinBpf(this.descriptor, path);
  }

  /** A copy of the value; undefined when there is no such key. */
  get(key: Uint8Array): Uint8Array | undefined {
    this.#key.set(key);
    const result = tryBpf("mapLookup", this.#attribute);
    if (result === -ENOENT) return undefined;
    if (result < 0) throw bpfError(-result, { tried: `look up in BPF map ${this.spec.name}` });
    return this.#value.slice();
  }

  /** Adds or replaces an element, in one step for the programs that read it. Throws a NetError with E2BIG when the
   *  map is full. */
  set(key: Uint8Array, value: Uint8Array): void {
    this.#key.set(key);
    this.#value.set(value);
    const result = tryBpf("mapUpdate", this.#attribute);
    if (result < 0) throw this.#updateError(-result);
  }

  /** False when there was no such key. */
  delete(key: Uint8Array): boolean {
    this.#key.set(key);
    const result = tryBpf("mapDelete", this.#deletion);
    if (result < 0 && result !== -ENOENT) throw bpfError(-result, { tried: `delete from BPF map ${this.spec.name}` });
    return result >= 0;
  }

  /** Adds or replaces elements in order and goes on after one that is refused, which is reported to `refused`. */
  setMany({ keys, values, count }: MapElements, refused: (index: number, error: Error) => void): void {
    const { keyBytes, valueBytes } = this.spec;
    for (let start = 0; start < count; ) {
      const attribute = this.#batch(
        keys.subarray(start * keyBytes),
        count - start,
        values.subarray(start * valueBytes),
      );
      const result = tryBpf("mapUpdateBatch", attribute);
      if (result >= 0) return;
      start += countIn(attribute);
      refused(start++, this.#updateError(-result));
    }
  }

  /** Deletes elements; those that aren't there are passed over. */
  deleteMany(keys: Uint8Array, count: number): void {
    for (let start = 0; start < count; ) {
      const attribute = this.#batch(keys.subarray(start * this.spec.keyBytes), count - start);
      const result = tryBpf("mapDeleteBatch", attribute);
      if (result >= 0) return;
      if (result !== -ENOENT) throw bpfError(-result, { tried: `delete from BPF map ${this.spec.name}` });
      start += countIn(attribute) + 1;
    }
  }

  /** All elements. One that is added or deleted meanwhile may be among them or not; all others are, once. */
  dump(): MapElements {
    const { keyBytes, valueBytes, capacity } = this.spec;
    const parts: MapElements[] = [];
    let size = Math.min(DUMP_ELEMENTS, capacity);
    let position: Uint8Array | undefined;
    for (;;) {
      const keys = new Uint8Array(size * keyBytes);
      const values = new Uint8Array(size * valueBytes);
      const next = new Uint8Array(Math.max(8, keyBytes));
      const attribute = this.#batch(keys, size, values, position, next);
      const result = tryBpf("mapLookupBatch", attribute);
      if (result === -ENOSPC) {
        size *= 2;
        continue;
      }
      if (result < 0 && result !== -ENOENT) throw bpfError(-result, { tried: `read BPF map ${this.spec.name}` });
      parts.push({ keys, values, count: countIn(attribute) });
      if (result === -ENOENT) return joined(parts, keyBytes, valueBytes);
      position = next;
    }
  }

  close(): void {
    trySystemCall("close", this.descriptor);
  }

  #batch(keys: Uint8Array, count: number, values?: Uint8Array, position?: Uint8Array, next?: Uint8Array): Uint8Array {
    const at = (bytes: Uint8Array | undefined): number => (bytes === undefined ? 0 : addressOf(bytes));
    return bpfAttribute({
      u64: { 0: at(position), 8: at(next), 16: at(keys), 24: at(values) },
      u32: { 32: count, 36: this.descriptor },
    });
  }

  #updateError(errno: number): Error {
    const tried = `write to BPF map ${this.spec.name}`;
    if (errno !== E2BIG) return bpfError(errno, { tried });
    return bpfError(errno, { tried, said: `it is full with ${this.spec.capacity} elements` });
  }
}

/** Where a batch left off: the number of elements that it has done. */
function countIn(attribute: Uint8Array): number {
  return new DataView(attribute.buffer).getUint32(32, true);
}

function flagsOf({ type }: MapSpec): number {
  return type === "hash" ? BPF_F_NO_PREALLOC : 0;
}

/** struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags, name. */
function fits(descriptor: number, spec: MapSpec): boolean {
  const info = bpfInfo(descriptor, MAP_INFO_BYTES);
  const name = fromCString(new Uint8Array(info.buffer, 24, BPF_NAME_MAX + 1));
  const numbers = [0, 8, 12, 16, 20].map((offset) => info.getUint32(offset, true));
  const due = [TYPE[spec.type], spec.keyBytes, spec.valueBytes, spec.capacity, flagsOf(spec)];
  return name === spec.name && due.every((value, index) => value === numbers[index]);
}

function joined(parts: readonly MapElements[], keyBytes: number, valueBytes: number): MapElements {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const keys = new Uint8Array(count * keyBytes);
  const values = new Uint8Array(count * valueBytes);
  let done = 0;
  for (const part of parts) {
    keys.set(part.keys.subarray(0, part.count * keyBytes), done * keyBytes);
    values.set(part.values.subarray(0, part.count * valueBytes), done * valueBytes);
    done += part.count;
  }
  return { keys, values, count };
}

/** Lifts the limit of locked memory of this process; false when that isn't allowed. */
function liftMemoryLimit(): boolean {
  const unlimited = new Uint8Array(16).fill(0xff);
  return trySystemCall("prlimit64", 0, RLIMIT_MEMLOCK, unlimited, null) >= 0;
}
