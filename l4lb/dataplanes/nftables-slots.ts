import { type Backend, backendName, type Service } from "../service.ts";

/** Which backend of a service each value of a number leads to. */
export interface Slots {
  /** Where the number comes from: chance, or the client's address. */
  readonly by: "random" | "hash";
  /** Index of a backend for each number from 0 on. */
  readonly backends: readonly number[];
}

/** Up to this many slots weights are kept exactly, and with many backends up to `EXACT_FACTOR` times their number. */
const EXACT_LIMIT = 128;
const EXACT_FACTOR = 4;
/** Sizes for weights that need more, and the error of a share, relative to it, that sends us to the next size. */
const SIZES = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];
const SHARE_ERROR = 0.02;
/** Sizes of tables of clients: primes, as Maglev hashing needs. With each goes the number of slots that a backend has
 *  there at least. */
const CLIENT_TABLES = [
  { prime: 251, each: 20 },
  { prime: 1021, each: 20 },
  { prime: 4093, each: 20 },
  { prime: 16_381, each: 4 },
  { prime: 65_521, each: 4 },
  { prime: 262_139, each: 3 },
] as const;
const LARGEST_TABLE = 262_139;
/** Backends that take connections, from which on a service is large. */
const LARGE_FROM = 257;

/** The slots of a service that isn't large; undefined when no backend takes connections. The same service always has
 *  the same slots, so that what stands in the kernel can be told from the service alone. */
export function slotsOf({ scheduler, backends }: Service): Slots | undefined {
  if (!backends.some(({ weight }) => weight > 0)) return undefined;
  if (scheduler === "sh" || scheduler === "mh") return { by: "hash", backends: maglev(backends) };
  const counts = slotCounts(backends.map(({ weight }) => weight));
  return { by: "random", backends: counts.flatMap((count, index) => new Array<number>(count).fill(index)) };
}

/** True for a service whose backends keep their slots when one comes or goes, so that a change costs no more than what
 *  it changes. */
export function isLarge({ scheduler, backends }: Service): boolean {
  if (scheduler === "sh" || scheduler === "mh" || backends.length < LARGE_FROM) return false;
  return backends.reduce((count, { weight }) => count + Number(weight > 0), 0) >= LARGE_FROM;
}

/** The slots of a large service after a change: what comes takes the place of what goes, and then the last ones move.
 *  `present` is what they hold now, `more` how many more slots, or how many fewer, the holders that change are to
 *  have. */
export function rearranged(present: readonly string[], more: ReadonlyMap<string, number>): string[] {
  const going = new Map([...more].filter(([, count]) => count < 0));
  const slots = present.map((holder) => {
    const count = going.get(holder) ?? 0;
    if (count < 0) going.set(holder, count + 1);
    return count < 0 ? undefined : holder;
  });
  const coming = [...more].flatMap(([holder, count]) => new Array<string>(Math.max(0, count)).fill(holder));
  for (let index = 0; index < slots.length; index++) {
    while (slots.length > index && coming.length === 0 && slots.at(-1) === undefined) slots.pop();
    if (index < slots.length) slots[index] ??= coming.pop() ?? slots.pop();
  }
  return [...slots.filter((holder) => holder !== undefined), ...coming];
}

/** How many slots each of these weights gets: none for 0, at least one for others. */
export function slotCounts(weights: readonly number[]): number[] {
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  const total = sum(weights) / divisor;
  const takers = weights.filter((weight) => weight > 0).length;
  if (total <= Math.max(EXACT_LIMIT, EXACT_FACTOR * takers)) return weights.map((weight) => weight / divisor);
  const wide = SIZES.filter((size) => size >= takers);
  for (const size of wide) {
    const counts = apportion(weights, size);
    if (isClose(weights, counts)) return counts;
  }
  return apportion(weights, wide.at(-1) ?? takers);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Shares of `size` slots by the method of largest remainders, each positive weight with one at least. */
function apportion(weights: readonly number[], size: number): number[] {
  const total = sum(weights);
  const counts = weights.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.floor((weight * size) / total))));
  const order = weights
    .map((weight, index) => ({ index, missing: (weight * size) / total - (counts[index] ?? 0) }))
    .sort((a, b) => b.missing - a.missing || a.index - b.index);
  let left = size - sum(counts);
  for (const { index, missing } of order) {
    if (left <= 0 || missing <= 0) break;
    counts[index] = (counts[index] ?? 0) + 1;
    left--;
  }
  return counts;
}

/** True when every share that is not below one slot is right within the tolerated error. */
function isClose(weights: readonly number[], counts: readonly number[]): boolean {
  const total = sum(weights);
  const size = sum(counts);
  return weights.every((weight, index) => {
    const share = (weight * size) / total;
    return share < 1 || Math.abs((counts[index] ?? 0) - share) <= SHARE_ERROR * share;
  });
}

/** The lookup table of Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4) with weights: each backend has an own
 *  order of all slots, and backends take turns, as often as their weight says, to claim the next free one of theirs. */
function maglev(backends: readonly Backend[]): number[] {
  const takers = backends.flatMap((backend, index) => (backend.weight > 0 ? [{ backend, index }] : []));
  const fitting = CLIENT_TABLES.find(({ prime, each }) => prime >= each * takers.length);
  const size = fitting?.prime ?? LARGEST_TABLE;
  const total = sum(takers.map(({ backend }) => backend.weight));
  const turns = takers.map(({ backend, index }) => {
    const name = backendName(backend);
    const skip = 1 + (hash(name, 2) % (size - 1));
    return { index, share: (backend.weight * takers.length) / total, credit: 0, next: hash(name, 1) % size, skip };
  });
  const slots = new Array<number>(size).fill(-1);
  for (let free = size; free > 0; ) {
    for (const turn of turns) {
      turn.credit += turn.share;
      for (; turn.credit >= 1 && free > 0; free--) {
        turn.credit -= 1;
        while (slots[turn.next] !== -1) turn.next = (turn.next + turn.skip) % size;
        slots[turn.next] = turn.index;
      }
    }
  }
  return slots;
}

/** FNV-1a with 32 bits (draft-eastlake-fnv), started by a number, and finished so that all bits depend on all. */
function hash(text: string, start: number): number {
  let value = 0x811c9dc5 ^ start;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}
