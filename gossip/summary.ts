import { mix } from "./hash.ts";
import { BUCKETS } from "./names.ts";

/** A hash over all content of a node: equal on two nodes when they hold the same. */
export interface Root {
  readonly a: number;
  readonly b: number;
}

/** Hashes of a node's content, whole and by bucket of names. Each piece of content is one fingerprint; pieces are
 *  combined by exclusive or, so a change costs the same however much there is. */
export class Summary {
  readonly buckets = new Uint32Array(BUCKETS);
  #a = 0;
  #b = 0;

  /** Replaces a piece of content in a bucket; 0 is no piece. */
  replace(bucket: number, before: number, after: number): void {
    if (before === after) return;
    this.#toggle(bucket, before);
    this.#toggle(bucket, after);
  }

  #toggle(bucket: number, fingerprint: number): void {
    if (fingerprint === 0) return;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) ^ fingerprint;
    this.#a = (this.#a ^ fingerprint) >>> 0;
    this.#b = (this.#b ^ mix(fingerprint + bucket)) >>> 0;
  }

  root(): Root {
    return { a: this.#a, b: this.#b };
  }

  isEqual(root: Root): boolean {
    return root.a === this.#a && root.b === this.#b;
  }

  /** Buckets whose hash differs from the other side's. */
  differing(other: Uint32Array): number[] {
    const found: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (this.buckets[bucket] !== other[bucket]) found.push(bucket);
    }
    return found;
  }
}
