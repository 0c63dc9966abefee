const BITS = 1024;
const WORDS = BITS / 32;

/** Which counters of a sender were seen (RFC 6479): each is accepted once, in any order, unless it is so far behind the
 *  highest that it can't be told any more. */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #highest = -1;

  /** True, and noted, when this counter was not accepted before. */
  accept(counter: number): boolean {
    if (counter <= this.#highest - BITS) return false;
    for (let next = Math.max(this.#highest + 1, counter - BITS + 1); next <= counter; next++) this.#set(next, false);
    this.#highest = Math.max(this.#highest, counter);
    if (this.#isSet(counter)) return false;
    this.#set(counter, true);
    return true;
  }

  #isSet(counter: number): boolean {
    const place = counter % BITS;
    return ((this.#bits[place >>> 5] ?? 0) & (1 << (place & 31))) !== 0;
  }

  #set(counter: number, value: boolean): void {
    const place = counter % BITS;
    const bit = 1 << (place & 31);
    const word = this.#bits[place >>> 5] ?? 0;
    this.#bits[place >>> 5] = value ? word | bit : word & ~bit;
  }
}
