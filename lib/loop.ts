import type { Cancel, Clock } from "./clock.ts";

export interface LoopOptions {
  /** One pass: read what is, do what is missing. Throwing (or rejecting) makes it a failure, to be retried. */
  readonly run: () => void | Promise<void>;
  readonly clock: Clock;
  /** 0 ≤ number < 1, as Math.random. */
  readonly random: () => number;
  /** Least time between the starts of two passes, milliseconds. */
  readonly leastGapMs: number;
  /** Longest time from the end of a pass to the start of the next when nobody asks, milliseconds. */
  readonly longestGapMs: number;
  /** Longest wait before the first retry after a failure, milliseconds; doubles with each further failure … */
  readonly firstRetryMs: number;
  /** … up to this. */
  readonly longestRetryMs: number;
  /** Told of each failed pass, with the wait that follows. */
  readonly onFailure: (error: unknown, retryMs: number) => void;
}

export interface LoopStatus {
  readonly runs: number;
  readonly failures: number;
  /** Failures since the last success. */
  readonly failuresInARow: number;
  /** Wall clock of the end of the last good pass, milliseconds since 1970; undefined before the first. */
  readonly lastSuccess: number | undefined;
  /** Length of the last pass, milliseconds; undefined before the first. */
  readonly lastDurationMs: number | undefined;
  readonly running: boolean;
}

export interface Loop {
  /** Asks for a pass soon. Any number of requests before it starts are one. */
  request(): void;
  /** Starts no further pass; resolves when the present one, if any, has ended. */
  stop(): Promise<void>;
  status(): LoopStatus;
}

/**
 * The one runner of reconciliation, used by every feature. It promises:
 *
 * 1. The first pass starts at once (in the next turn of the event loop); passes never overlap.
 * 2. After a request a full pass starts that saw everything from before the request: a request during a pass leads to
 *    another one. Requests are coalesced, and starts are at least `leastGapMs` apart, so a storm of requests costs
 *    one pass per gap.
 * 3. Without requests a pass starts at most `longestGapMs` after the end of the previous one.
 * 4. After a failed pass the next comes after a random half to whole of `firstRetryMs` × 2^(failures in a row − 1),
 *    at most `longestRetryMs` and at least `leastGapMs`; requests don't shorten that wait, or a failing kernel would
 *    be hammered. The random part keeps nodes that failed together from retrying together.
 * 5. After `stop` no pass starts.
 */
export function startLoop(options: LoopOptions): Loop {
  return new Runner(options);
}

class Runner implements Loop {
  readonly #options: LoopOptions;
  #cancel: Cancel | undefined;
  #current: Promise<void> | undefined;
  #requested = false;
  #stopped = false;
  #startedAt = Number.NEGATIVE_INFINITY;
  /** Monotonic time before which no pass starts: the wait of rule 4. */
  #notBefore = Number.NEGATIVE_INFINITY;
  #runs = 0;
  #failures = 0;
  #failuresInARow = 0;
  #lastSuccess: number | undefined;
  #lastDurationMs: number | undefined;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#wakeIn(0);
  }

  request(): void {
    if (this.#requested) return;
    this.#requested = true;
    if (this.#current === undefined) this.#plan();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#current;
  }

  status(): LoopStatus {
    return {
      runs: this.#runs,
      failures: this.#failures,
      failuresInARow: this.#failuresInARow,
      lastSuccess: this.#lastSuccess,
      lastDurationMs: this.#lastDurationMs,
      running: this.#current !== undefined,
    };
  }

  /** Sets the one timer to the moment when the next pass is due. */
  #plan(): void {
    const { clock, leastGapMs, longestGapMs } = this.#options;
    const now = clock.monotonic();
    const earliest = Math.max(this.#startedAt + leastGapMs, this.#notBefore);
    const retrying = this.#failuresInARow > 0;
    this.#wakeIn(this.#requested || retrying ? Math.max(0, earliest - now) : Math.max(longestGapMs, earliest - now));
  }

  #wakeIn(delayMs: number): void {
    this.#cancel?.();
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.schedule(delayMs, () => {
      this.#current = this.#pass().then(() => {
        this.#current = undefined;
        this.#plan();
      });
    });
  }

  async #pass(): Promise<void> {
    const { clock, run } = this.#options;
    this.#requested = false;
    this.#startedAt = clock.monotonic();
    try {
      await run();
      this.#failuresInARow = 0;
      this.#lastSuccess = clock.now();
    } catch (error) {
      this.#failed(error);
    }
    this.#runs += 1;
    this.#lastDurationMs = clock.monotonic() - this.#startedAt;
  }

  #failed(error: unknown): void {
    const { clock, random, firstRetryMs, longestRetryMs, leastGapMs, onFailure } = this.#options;
    this.#failures += 1;
    this.#failuresInARow += 1;
    const longest = Math.min(longestRetryMs, firstRetryMs * 2 ** (this.#failuresInARow - 1));
    const retryMs = Math.max(leastGapMs, longest * (0.5 + random() / 2));
    this.#notBefore = clock.monotonic() + retryMs;
    onFailure(error, retryMs);
  }
}
