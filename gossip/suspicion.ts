import type { Settings } from "./settings.ts";

/** One suspicion against a member, as this node times it. Starts long; each independent confirmation shortens it
 *  (Lifeguard section IV.B), so that what many see is settled soon and what one sees leaves time to answer. */
export class Suspicion {
  /** Monotonic time at which this node heard of it. */
  readonly startedAt: number;
  readonly #needed: number;
  readonly #settings: Settings;
  readonly #from = new Set<string>();
  #shift = 0;

  /** `others` is the number of present members besides this node and the suspected one. */
  constructor(now: number, by: string, others: number, settings: Settings) {
    this.startedAt = now;
    this.#settings = settings;
    this.#needed = Math.min(settings.confirmations, others);
    this.#from.add(by);
  }

  /** Counts one more accuser; true when it is a new one that was still needed. */
  confirm(by: string): boolean {
    if (this.#from.has(by) || this.#from.size > this.#needed) return false;
    this.#from.add(by);
    return true;
  }

  /** Grants more time: this node itself was not running for so many milliseconds. */
  postpone(ms: number): void {
    this.#shift += ms;
  }

  /** Monotonic time at which the suspicion becomes a verdict. */
  deadline(): number {
    const { suspicionMinMs: least, suspicionMaxMs: most } = this.#settings;
    const confirmed = this.#from.size - 1;
    // With nobody else to confirm there is nothing to wait for in full.
    const share = this.#needed === 0 ? 0.5 : Math.log(confirmed + 1) / Math.log(this.#needed + 1);
    return this.startedAt + this.#shift + Math.max(least, most - share * (most - least));
  }
}
