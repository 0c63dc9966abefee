/** Requests answered since the start, by route and status. Bounded, because both come from lists of our own. */
export class Traffic {
  readonly #counts = new Map<string, Answered>();

  count(route: string, status: number): void {
    const key = `${status} ${route}`;
    this.#counts.set(key, { route, status, requests: (this.#counts.get(key)?.requests ?? 0) + 1 });
  }

  answered(): Iterable<Answered> {
    return this.#counts.values();
  }
}

export interface Answered {
  /** Path of the route; `none` when the request was for none. */
  readonly route: string;
  readonly status: number;
  readonly requests: number;
}
