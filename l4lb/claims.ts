/** An address that a node claims for a name. Addresses are numbers of one family. */
export interface Claim {
  /** Id of the node. */
  readonly owner: string;
  readonly name: string;
  readonly address: bigint;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Whether the node can be reached. What others say of a name goes before what those say who can't hear it. */
  readonly reachable: boolean;
}

/** What a name has by its claims. */
export interface Held {
  readonly address: bigint;
  readonly since: number;
}

/**
 * Which address each name has, by the claims of all nodes. Depends on nothing but them:
 *
 * 1. For a name the claims of nodes that can be reached count; if there are none, all.
 * 2. The earliest claim of all gets its address; of the rest, the earliest for another name and another address; and so
 *    on. What nodes claim that can't be reached comes after all else, whenever it was claimed.
 *
 * So nobody can take an address from a name that claimed it first, and nodes that join the earliest claim that they
 * know of come to agree in whatever order they hear of each other: the earliest stays, then the next. When two
 * parts of a cluster meet that each gave one address to a name of theirs, the name that had it later moves. One change
 * costs what the names cost that share claims with it.
 */
export class Claims {
  /** By name, one of each owner. */
  readonly #claims = new Map<string, readonly Claim[]>();
  /** Names with a claim that counts, by address. */
  readonly #names = new Map<bigint, readonly string[]>();
  readonly #held = new Map<string, Held>();
  readonly #dirty = new Set<string>();

  put(claim: Claim): void {
    this.#change(claim.name, claim.owner, [claim]);
  }

  drop(owner: string, name: string): void {
    this.#change(name, owner, []);
  }

  held(name: string): Held | undefined {
    return this.#held.get(name);
  }

  /** Decides anew what was changed; names with what they had and have, for those that are different. */
  settle(): Map<string, { readonly before: Held | undefined; readonly after: Held | undefined }> {
    const names = this.#connected();
    const decided = this.#decide(names);
    this.#dirty.clear();
    const changes = new Map<string, { before: Held | undefined; after: Held | undefined }>();
    for (const name of names) {
      const [before, after] = [this.#held.get(name), decided.get(name)];
      if (before?.address === after?.address && before?.since === after?.since) continue;
      changes.set(name, { before, after });
      if (after === undefined) this.#held.delete(name);
      else this.#held.set(name, after);
    }
    return changes;
  }

  #change(name: string, owner: string, said: readonly Claim[]): void {
    for (const { address } of this.#counting(name)) this.#leave(address, name);
    const others = (this.#claims.get(name) ?? []).filter((claim) => claim.owner !== owner);
    const claims = [...others, ...said];
    if (claims.length === 0) this.#claims.delete(name);
    else this.#claims.set(name, claims);
    for (const { address } of this.#counting(name)) this.#enter(address, name);
    this.#dirty.add(name);
  }

  #leave(address: bigint, name: string): void {
    const others = (this.#names.get(address) ?? []).filter((other) => other !== name);
    if (others.length === 0) this.#names.delete(address);
    else this.#names.set(address, others);
    // Whoever claims it, too, may have it now.
    for (const other of others) this.#dirty.add(other);
  }

  #enter(address: bigint, name: string): void {
    const names = this.#names.get(address) ?? [];
    if (!names.includes(name)) this.#names.set(address, [...names, name]);
  }

  #counting(name: string): readonly Claim[] {
    const all = this.#claims.get(name) ?? [];
    const reachable = all.filter((claim) => claim.reachable);
    return reachable.length > 0 ? reachable : all;
  }

  /** The changed names and all that share claims with them, directly or through others. */
  #connected(): Set<string> {
    const names = new Set(this.#dirty);
    for (const name of names) {
      for (const { address } of this.#counting(name)) {
        for (const other of this.#names.get(address) ?? []) names.add(other);
      }
    }
    return names;
  }

  #decide(names: ReadonlySet<string>): Map<string, Held> {
    const held = new Map<string, Held>();
    const taken = new Set<bigint>();
    for (const { name, address, since } of [...names].flatMap((each) => this.#counting(each)).sort(byAge)) {
      if (held.has(name) || taken.has(address)) continue;
      held.set(name, { address, since });
      taken.add(address);
    }
    return held;
  }
}

/** Names and owners decide between claims of one moment, so that no two are equal. */
function byAge(a: Claim, b: Claim): number {
  if (a.reachable !== b.reachable) return a.reachable ? -1 : 1;
  if (a.since !== b.since) return a.since - b.since;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.owner < b.owner ? -1 : Number(a.owner > b.owner);
}
