import type { Changes, Entry, Replacement } from "./delta.ts";
import { TrieMap } from "./trie.ts";

export interface TableRules<F, V> {
  /** What is shown of the facts that the owners have for one key; undefined for nothing. Must depend on nothing but
   *  them and what is handed to it, never on their order. */
  readonly choose: (candidates: Iterable<F>, key: string) => V | undefined;
  readonly same: (a: V, b: V) => boolean;
}

/** What the only owner says. */
class Sole<F> {
  readonly owner: string;
  readonly fact: F;

  constructor(owner: string, fact: F) {
    this.owner = owner;
    this.fact = fact;
  }
}

/** One kind of facts: for each key what every owner says, and what is shown of it. Keys are noted when something that
 *  matters to them changes, and looked at once, when the batch ends: the cost is that of the keys noted. */
export class Table<F, V> {
  readonly #rules: TableRules<F, V>;
  /** By key: the fact, or, in the rare case of several owners, the fact of each. */
  readonly #candidates = new Map<string, Sole<F> | Map<string, F>>();
  readonly #dirty = new Set<string>();
  #shown = TrieMap.empty<V>();

  constructor(rules: TableRules<F, V>) {
    this.#rules = rules;
  }

  get shown(): TrieMap<V> {
    return this.#shown;
  }

  put(key: string, owner: string, fact: F): void {
    const before = this.#candidates.get(key);
    if (before instanceof Map) before.set(owner, fact);
    else if (before === undefined || before.owner === owner) this.#candidates.set(key, new Sole(owner, fact));
    else {
      const both = [
        [before.owner, before.fact],
        [owner, fact],
      ] as const;
      this.#candidates.set(key, new Map(both));
    }
    this.#dirty.add(key);
  }

  drop(key: string, owner: string): void {
    const before = this.#candidates.get(key);
    const isThere = before instanceof Map ? before.delete(owner) : before?.owner === owner;
    if (!isThere) return;
    if (!(before instanceof Map) || before.size === 0) this.#candidates.delete(key);
    this.#dirty.add(key);
  }

  candidates(key: string): Iterable<F> {
    const found = this.#candidates.get(key);
    if (found instanceof Map) return found.values();
    return found === undefined ? [] : [found.fact];
  }

  keys(): Iterable<string> {
    return this.#candidates.keys();
  }

  /** Notes that what is shown for this key may have changed for a reason outside of this table. */
  touch(key: string): void {
    this.#dirty.add(key);
  }

  /** Looks at what was noted, and makes the next snapshot. `onLooked` is told of each key that was looked at, with what
   *  is shown of it now. */
  settle(onLooked?: (key: string, shown: V | undefined) => void): Changes<V> {
    const added: Entry<V>[] = [];
    const changed: Replacement<V>[] = [];
    const removed: Entry<V>[] = [];
    for (const key of this.#dirty) {
      const before = this.#shown.get(key);
      const after = this.#rules.choose(this.candidates(key), key);
      onLooked?.(key, after);
      if (after === undefined) {
        if (before === undefined) continue;
        this.#shown = this.#shown.without(key);
        removed.push({ key, value: before });
      } else if (before === undefined) {
        this.#shown = this.#shown.with(key, after);
        added.push({ key, value: after });
      } else if (!this.#rules.same(before, after)) {
        this.#shown = this.#shown.with(key, after);
        changed.push({ key, before, after });
      }
    }
    this.#dirty.clear();
    return { added, changed, removed };
  }
}
