/** Takes `runs` measurements of each side, given back in the order of the sides. They alternate in random order, so
 *  that whatever else the machine does meets all; the first ones, which fill caches and create what later runs find,
 *  are thrown away. */
export async function inTurn<T>(runs: number, sides: readonly (() => T | Promise<T>)[]): Promise<T[][]> {
  const takers = sides.map((measure) => ({ measure, taken: [] as T[], turn: 0 }));
  const warmUp = Math.max(1, Math.ceil(runs / 20));
  for (let run = 0; run < warmUp + runs; run++) {
    for (const taker of takers) taker.turn = Math.random();
    for (const { measure, taken } of takers.toSorted((a, b) => a.turn - b.turn)) {
      const value = await measure();
      if (run >= warmUp) taken.push(value);
    }
  }
  return takers.map(({ taken }) => taken);
}

/** `inTurn` with two sides. */
export async function paired<T>(
  runs: number,
  ours: () => T | Promise<T>,
  theirs: () => T | Promise<T>,
): Promise<{ ours: T[]; theirs: T[] }> {
  const [takenOurs = [], takenTheirs = []] = await inTurn(runs, [ours, theirs]);
  return { ours: takenOurs, theirs: takenTheirs };
}
