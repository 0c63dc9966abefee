/** One thing that differs after one call. Either side is undefined where the other has something that it hasn't. */
export interface Difference {
  readonly scenario: string;
  /** Number of the call in its scenario, from 0, and its verb: `0 ADD`. */
  readonly call: string;
  readonly path: string;
  readonly reference: string | undefined;
  readonly ours: string | undefined;
}

/** A difference from the reference plugins that is meant to be. */
export interface Intended {
  readonly reason: string;
  covers(difference: Difference): boolean;
}

/** Every way in which our plugins are meant to differ from the reference's version 1.1.1. */
export const INTENDED: readonly Intended[] = [
  {
    reason: "errors carry the specification's numbers; the reference says 999 for almost everything",
    covers: ({ path, reference, ours }) => path === "error code" && reference === "999" && ours !== undefined,
  },
];
