/** Calls off a scheduled action; harmless when it has run or was called off already. */
export type Cancel = () => void;

/** Time as features see it, handed in so that tests decide how it passes. */
export interface Clock {
  /** Wall clock, milliseconds since 1970; may jump when somebody sets it. For messages and file contents only. */
  now(): number;
  /** Milliseconds since some fixed moment; never goes back. For every interval. */
  monotonic(): number;
  /** Runs `action` once, `delayMs` milliseconds from now or as soon as possible after that. */
  schedule(delayMs: number, action: () => void): Cancel;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};
