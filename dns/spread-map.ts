const PARTS = 256;
/** Characters of a key that choose its part: names differ at their beginning. */
const READ = 24;

/** A map from texts, spread over many small ones. A map that grows must copy what it holds, and with a million entries
 *  that would keep everything else waiting for a third of a second. */
export class SpreadMap<V> {
  readonly #parts: Map<string, V>[] = [];

  get(key: string): V | undefined {
    return this.#parts[partOf(key)]?.get(key);
  }

  has(key: string): boolean {
    return this.#parts[partOf(key)]?.has(key) === true;
  }

  set(key: string, value: V): void {
    const index = partOf(key);
    const part = this.#parts[index];
    if (part === undefined) this.#parts[index] = new Map([[key, value]]);
    else part.set(key, value);
  }

  delete(key: string): boolean {
    return this.#parts[partOf(key)]?.delete(key) === true;
  }

  get size(): number {
    return this.#parts.reduce((sum, part) => sum + part.size, 0);
  }

  /** In no order. */
  *values(): Generator<V> {
    for (const part of Object.values(this.#parts)) yield* part.values();
  }

  /** In no order. */
  *keys(): Generator<string> {
    // Parts that hold nothing yet are holes.
    for (const part of Object.values(this.#parts)) yield* part.keys();
  }
}

function partOf(key: string): number {
  let hash = key.length;
  const end = Math.min(key.length, READ);
  for (let index = 0; index < end; index++) hash = (Math.imul(hash, 31) + key.charCodeAt(index)) | 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % PARTS;
}
