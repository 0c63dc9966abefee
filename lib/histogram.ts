/** Counts of durations by bucket, as Prometheus has them. */
export class Histogram {
  /** Upper bounds of the buckets, seconds, ascending; the last bucket has none. */
  readonly bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** Sum of all durations, seconds. */
  get sum(): number {
    return this.#sum;
  }

  /** Durations up to each bound, and all of them at the end. */
  get cumulative(): readonly number[] {
    let count = 0;
    return this.#counts.map((each) => {
      count += each;
      return count;
    });
  }

  observe(seconds: number): void {
    const found = this.bounds.findIndex((bound) => seconds <= bound);
    const bucket = found < 0 ? this.bounds.length : found;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }
}
