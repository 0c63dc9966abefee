/** Which numbers of a pool are taken, as ascending ranges `[first, end)` that neither overlap nor touch. Because the
 *  lowest free number is always handed out, there are few ranges however many numbers are taken, and the size of the
 *  pool (2^64 for IPv6) costs nothing. Immutable: a change gives a new list. */
export type Taken = readonly Range[];

interface Range {
  readonly first: bigint;
  /** The first number past the range. */
  readonly end: bigint;
}

/** The lowest number from `least` to `most` that is not taken, in constant time; undefined when all are. Nothing
 *  below `least` may be taken. */
export function lowestFree(taken: Taken, least: bigint, most: bigint): bigint | undefined {
  const head = taken[0];
  const free = head === undefined || head.first > least ? least : head.end;
  return free <= most ? free : undefined;
}

/** True when `number` is taken; by bisection. */
export function isTaken(taken: Taken, number: bigint): boolean {
  const range = taken[lastStartingAtOrBelow(taken, number)];
  return range !== undefined && number < range.end;
}

/** The list with `number` taken too. Throws when it is taken already: handing something out twice is our own mistake. */
export function take(taken: Taken, number: bigint): Taken {
  const position = lastStartingAtOrBelow(taken, number);
  const before = taken[position];
  const after = taken[position + 1];
  if (before !== undefined && number < before.end) throw new Error(`number ${number} is taken already`);
  const joinsBefore = before?.end === number;
  const joinsAfter = after?.first === number + 1n;
  const range = {
    first: joinsBefore ? before.first : number,
    end: joinsAfter ? after.end : number + 1n,
  };
  const start = joinsBefore ? position : position + 1;
  return taken.toSpliced(start, Number(joinsBefore) + Number(joinsAfter), range);
}

/** The list without `number`. Throws when it is not taken. */
export function release(taken: Taken, number: bigint): Taken {
  const position = lastStartingAtOrBelow(taken, number);
  const range = taken[position];
  if (range === undefined || number >= range.end) throw new Error(`number ${number} is not taken`);
  const rest = [
    { first: range.first, end: number },
    { first: number + 1n, end: range.end },
  ].filter(({ first, end }) => first < end);
  return taken.toSpliced(position, 1, ...rest);
}

/** How many numbers are taken. */
export function countTaken(taken: Taken): bigint {
  return taken.reduce((sum, { first, end }) => sum + end - first, 0n);
}

/** Position of the last range whose first number is at most `number`; -1 when there is none. */
function lastStartingAtOrBelow(taken: Taken, number: bigint): number {
  let low = 0;
  let high = taken.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = taken[middle];
    if (range !== undefined && range.first <= number) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
