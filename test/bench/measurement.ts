/** Times of one side, in milliseconds. */
export interface Sample {
  readonly runs: number;
  readonly median: number;
  /** Median absolute deviation: half of the runs were within this of the median. */
  readonly mad: number;
  readonly fastest: number;
}

/** A line of the report: ours beside theirs, measured in the same run. */
export interface Measurement {
  readonly name: string;
  /** Who `theirs` is. */
  readonly reference: string;
  readonly ours: Sample;
  readonly theirs: Sample;
  readonly budget: Budget;
}

/** What the median of ours may be: so many times theirs, or so many milliseconds. */
export type Budget = { readonly ratio: number } | { readonly milliseconds: number };

/** A program of `make bench`. */
export interface Benchmark {
  /** Name on the command line and of the result file. */
  readonly name: string;
  /** How often each side is measured when the caller doesn't say. */
  readonly runs: number;
  /** Why it can't run here; undefined when it can. */
  readonly whyNot: () => string | undefined;
  readonly run: (runs: number) => Promise<Measurement[]>;
}

export function summarise(times: readonly number[]): Sample {
  const middle = median(times);
  return {
    runs: times.length,
    median: middle,
    mad: median(times.map((time) => Math.abs(time - middle))),
    fastest: Math.min(...times),
  };
}

export function ratioOf({ ours, theirs }: Measurement): number {
  return ours.median / theirs.median;
}

/** True when ours is within the budget. */
export function isKept(measurement: Measurement): boolean {
  const { budget, ours } = measurement;
  return "ratio" in budget ? ratioOf(measurement) <= budget.ratio : ours.median <= budget.milliseconds;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? upper) + upper) / 2;
}
