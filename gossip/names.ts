import { hashText } from "./hash.ts";

/** Buckets over which names are spread for comparing content. */
export const BUCKETS = 128;

/** Every node name that was seen, each with a small number, so that tables over names are arrays. Numbers are never
 *  reused while the process lives. The simulator shares one between all its nodes. */
export class Names {
  readonly #index = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #hashes: number[] = [];
  readonly #buckets: number[][] = Array.from({ length: BUCKETS }, () => []);

  get size(): number {
    return this.#names.length;
  }

  /** The number of a name; gives it one when it is new. */
  indexOf(name: string): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    const index = this.#names.length;
    const hash = hashText(name);
    this.#index.set(name, index);
    this.#names.push(name);
    this.#hashes.push(hash);
    this.#buckets[hash % BUCKETS]?.push(index);
    return index;
  }

  /** The number of a name; undefined when it was never seen. */
  find(name: string): number | undefined {
    return this.#index.get(name);
  }

  nameOf(index: number): string {
    return this.#names[index] ?? "";
  }

  /** The 32-bit hash of the name with this number. */
  hashOf(index: number): number {
    return this.#hashes[index] ?? 0;
  }

  bucketOf(index: number): number {
    return this.hashOf(index) % BUCKETS;
  }

  /** Numbers of all names of a bucket. */
  inBucket(bucket: number): readonly number[] {
    return this.#buckets[bucket] ?? [];
  }

  /** Which of `parts` equal parts of its bucket a name belongs to. */
  partOf(index: number, parts: number): number {
    return parts === 1 ? 0 : Math.floor(this.hashOf(index) / BUCKETS) % parts;
  }
}
