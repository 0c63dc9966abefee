/** Why a task gets no new connections: its framework ends it, its health check fails, or an operator asked for it. */
export type DrainCause = "killing" | "unhealthy" | "drained";

export interface Drain {
  readonly cause: DrainCause;
  /** Wall clock, milliseconds since 1970. */
  readonly since: number;
  /** Its time is over: what connections it has left are ended. */
  readonly isOver: boolean;
}

/** Tasks that are drained, by key. Each has its connections for a limited time from when it began, whatever more
 *  reasons come meanwhile. */
export class Drains {
  readonly #limitMs: number;
  readonly #drains = new Map<string, Drain>();

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  get size(): number {
    return this.#drains.size;
  }

  of(task: string): Drain | undefined {
    return this.#drains.get(task);
  }

  /** A task is drained for this cause, since a moment if it wasn't before; undefined: it isn't drained any more. A
   *  clock elsewhere may be ahead of ours: what would begin later begins now. */
  note(task: string, cause: DrainCause | undefined, since: number, now: number): void {
    if (cause === undefined) {
      this.#drains.delete(task);
      return;
    }
    const began = this.#drains.get(task)?.since ?? Math.min(since, now);
    this.#drains.set(task, { cause, since: began, isOver: this.#isOver(began, now) });
  }

  /** Tasks whose time is over now and wasn't at the last call. */
  expire(now: number): string[] {
    const over: string[] = [];
    for (const [task, drain] of this.#drains) {
      if (drain.isOver || !this.#isOver(drain.since, now)) continue;
      this.#drains.set(task, { ...drain, isOver: true });
      over.push(task);
    }
    return over;
  }

  #isOver(since: number, now: number): boolean {
    return now - since >= this.#limitMs;
  }
}
