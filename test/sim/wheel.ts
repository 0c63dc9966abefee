const SLOTS = 1 << 14;

/** Events by the millisecond at which they are due, at most 16 seconds ahead; those of one millisecond in the order in
 *  which they were added. Adding and taking cost the same however many there are. */
export class Wheel<T> {
  readonly #slots: T[][] = Array.from({ length: SLOTS }, () => []);

  /** Adds an event; a time that is further ahead than the wheel reaches is a mistake. */
  add(now: number, at: number, event: T): void {
    if (at < now || at - now >= SLOTS) throw new Error(`an event ${at - now} ms ahead doesn't fit the wheel`);
    this.#slots[at % SLOTS]?.push(event);
  }

  /** Takes out the events of a millisecond. Events added to it meanwhile come with the next call. */
  take(at: number): T[] {
    const events = this.#slots[at % SLOTS] ?? [];
    if (events.length > 0) this.#slots[at % SLOTS] = [];
    return events;
  }
}
