import { readNumber } from "./query.ts";

/** Which part of a long list is wanted. */
export interface PageRequest {
  /** Most entries of the page. */
  readonly limit: number;
  /** Key of the last entry of the page before; the empty text for the first page. */
  readonly after: string;
}

export interface Page<T> {
  readonly entries: readonly T[];
  /** Entries of the whole list that match. */
  readonly total: number;
  /** What to ask for `after` this page; undefined when it is the last. */
  readonly next: string | undefined;
}

const LIMIT = { least: 1, most: 1000, fallback: 100 } as const;

/** Characters of JSON after which a page ends: entries differ in size a thousandfold. */
const LARGEST_PAGE = 2_000_000;

export function readPage(limit: string | undefined, after: string | undefined): PageRequest {
  return { limit: readNumber("limit", limit, LIMIT), after: after ?? "" };
}

/**
 * One page of `keys`, which are sorted. A cursor is a key and not a number, so that what comes and goes between two
 * requests moves nothing from one page to another. `find` gives the entry of a key, or undefined when it doesn't match.
 */
export function pageOf<T>(
  keys: readonly string[],
  find: (key: string) => T | undefined,
  { limit, after }: PageRequest,
): Page<T> {
  const entries: T[] = [];
  let total = 0;
  let size = 0;
  let last = "";
  let hasMore = false;
  for (const key of keys) {
    const entry = find(key);
    if (entry === undefined) continue;
    total += 1;
    if (key <= after || hasMore) continue;
    const length = JSON.stringify(entry).length;
    if (entries.length >= limit || (entries.length > 0 && size + length > LARGEST_PAGE)) {
      hasMore = true;
      continue;
    }
    entries.push(entry);
    size += length;
    last = key;
  }
  return { entries, total, next: hasMore ? last : undefined };
}

/** Wraps a function of an object that never changes, so that it is computed once for each. */
export function once<K extends object, V>(compute: (of: K) => V): (of: K) => V {
  const known = new WeakMap<K, V>();
  return (of) => {
    const before = known.get(of);
    if (before !== undefined) return before;
    const value = compute(of);
    known.set(of, value);
    return value;
  };
}
