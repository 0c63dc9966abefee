/** How often one question is sent at most, to whomever. */
const ATTEMPTS_MOST = 6;
/** Shortest time until one who was asked is asked the same again, milliseconds. */
const AGAIN_MS = 250;

export interface Candidate<T> {
  readonly upstream: T;
  /** How long to wait for it before another is asked too, milliseconds. */
  readonly patienceMs: number;
}

/** When to ask whom: the best at once; the next when the one before is later than it usually is, or has failed; all of
 *  them again when nothing came. Pure: told the monotonic time, it says what is due. */
export class Hedge<T> {
  readonly #candidates: readonly Candidate<T>[];
  readonly #given = new Set<T>();
  readonly #waitingFor = new Map<T, number>();
  readonly #deadline: number;
  #asked = 0;
  #dueAt: number;

  /** `candidates` in the order of asking; `deadline`: when the asker must have an answer. */
  constructor(candidates: readonly Candidate<T>[], now: number, deadline: number) {
    this.#candidates = candidates;
    this.#deadline = deadline;
    this.#dueAt = now;
  }

  /** Who is to be asked now; undefined when nobody is. */
  due(now: number): T | undefined {
    if (now < this.#dueAt || this.isOver(now)) return undefined;
    const next = this.#next();
    if (next === undefined) return undefined;
    const round = Math.floor(this.#asked / this.#candidates.length);
    this.#asked++;
    this.#waitingFor.set(next.upstream, (this.#waitingFor.get(next.upstream) ?? 0) + 1);
    const again = this.#asked >= this.#usable().length;
    const wait = next.patienceMs * 2 ** round;
    this.#dueAt = now + (again ? Math.max(AGAIN_MS, wait) : wait);
    return next.upstream;
  }

  /** Somebody who was asked is of no use for this question: another is asked at once. */
  lost(upstream: T, now: number): void {
    this.#given.add(upstream);
    this.#waitingFor.delete(upstream);
    this.#dueAt = Math.min(this.#dueAt, now);
  }

  /** True when no answer can come any more in time. */
  isOver(now: number): boolean {
    return now >= this.#deadline || (this.#waitingFor.size === 0 && this.#next() === undefined);
  }

  /** When to look again: somebody is due then, or it is over. */
  wakeAt(): number {
    return this.#next() === undefined ? this.#deadline : Math.min(this.#dueAt, this.#deadline);
  }

  /** Those who were asked and have neither failed nor answered. */
  waitingFor(): readonly T[] {
    return [...this.#waitingFor.keys()];
  }

  #next(): Candidate<T> | undefined {
    const usable = this.#usable();
    if (usable.length === 0 || this.#asked >= ATTEMPTS_MOST) return undefined;
    const fresh = usable.find(({ upstream }) => !this.#waitingFor.has(upstream));
    return fresh ?? usable[this.#asked % usable.length];
  }

  #usable(): readonly Candidate<T>[] {
    return this.#candidates.filter(({ upstream }) => !this.#given.has(upstream));
  }
}
