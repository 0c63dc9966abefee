/** What was measured of one side: milliseconds, or what the measurement's `unit` says. */
export interface Sample {
  readonly runs: number;
  readonly median: number;
  /** Median absolute deviation: half of the runs were within this of the median. */
  readonly mad: number;
  readonly smallest: number;
}

/** A line of the report: ours, and beside it theirs, measured in the same run. */
export type Measurement = Compared | Alone;

interface Measured {
  readonly name: string;
  /** Of the samples and the budget; `ms` when absent. */
  readonly unit?: string;
  readonly ours: Sample;
}

export interface Compared extends Measured {
  /** Who `theirs` is. */
  readonly reference: string;
  readonly theirs: Sample;
  /** Absent when the comparison only informs. */
  readonly budget?: Budget;
}

/** A measurement of something that no other program does. */
export interface Alone extends Measured {
  readonly theirs?: never;
  /** Absent when the figure only informs. */
  readonly budget?: { readonly most: number };
}

/** What the median of ours may be: at most so many times theirs, or so much; or, for what is better the more there is
 *  of it, at least so many times theirs. */
export type Budget = { readonly ratio: number } | { readonly most: number } | { readonly atLeast: number };

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
    smallest: Math.min(...times),
  };
}

/** How many times theirs ours is; undefined without theirs. */
export function ratioOf({ ours, theirs }: Measurement): number | undefined {
  return theirs && ours.median / theirs.median;
}

/** Which part of its budget ours takes: 1 or less is within; undefined without a budget. */
export function shareOf(measurement: Measurement): number | undefined {
  const { budget, ours } = measurement;
  if (budget === undefined) return undefined;
  if ("most" in budget) return ours.median / budget.most;
  const ratio = ratioOf(measurement) ?? Number.NaN;
  return "ratio" in budget ? ratio / budget.ratio : budget.atLeast / ratio;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? upper) + upper) / 2;
}
