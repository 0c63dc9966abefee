/** The order in which slots 0 … n−1 are visited: all once in each round, in an order drawn anew for each round. A
 *  random start and a random step that has no divisor in common with n give such an order without keeping a list. */
export class ProbeOrder {
  readonly #random: () => number;
  #length = 0;
  #position = 0;
  #step = 1;
  #left = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The next slot of 0 … length−1; -1 when there is none. */
  next(length: number): number {
    if (length === 0) return -1;
    if (this.#left === 0 || length !== this.#length) this.#startRound(length);
    this.#left--;
    this.#position = (this.#position + this.#step) % length;
    return this.#position;
  }

  #startRound(length: number): void {
    this.#length = length;
    this.#left = length;
    this.#position = Math.floor(this.#random() * length);
    this.#step = 1 + Math.floor(this.#random() * length);
    while (commonDivisor(this.#step, length) > 1) this.#step++;
  }
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
