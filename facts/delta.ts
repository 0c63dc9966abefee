/** What became different in one table, from one snapshot to the next. */
export interface Changes<T> {
  readonly added: readonly Entry<T>[];
  readonly changed: readonly Replacement<T>[];
  /** With what was there last. */
  readonly removed: readonly Entry<T>[];
}

export interface Entry<T> {
  readonly key: string;
  readonly value: T;
}

export interface Replacement<T> {
  readonly key: string;
  readonly before: T;
  readonly after: T;
}

/** True when nothing became different. */
export function isQuiet({ added, changed, removed }: Changes<unknown>): boolean {
  return added.length + changed.length + removed.length === 0;
}
