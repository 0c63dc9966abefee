const { SEED } = process.env;

/** Numbers from 0 to 1 that a seed repeats, and the seed to print: taken from `SEED`, else from the clock. */
export function randomNumbers(): { readonly seed: number; next(): number } {
  const seed = SEED === undefined ? Date.now() >>> 0 : Number(SEED) >>> 0;
  let state = seed;
  const next = () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { seed, next };
}
