import { type Fact, type FactRef, factName } from "./fact.ts";

/** What was there before a change that counts; nothing for a fact that is new. */
export interface Held {
  readonly before: Fact | undefined;
}

/** The latest that an owner said under one name; no fact when it took it back. */
interface Said {
  readonly version: number;
  readonly fact: Fact | undefined;
}

/** The facts of every owner, each in its highest version. What was taken back is remembered, so that an older version
 *  that arrives late doesn't bring it back. */
export class OwnedFacts {
  readonly #owners = new Map<string, Map<string, Said>>();

  /** Takes a fact unless the same or a newer version is known; undefined then. */
  put(fact: Fact): Held | undefined {
    return this.#say(fact, fact);
  }

  /** Takes a fact back, as of a version; undefined when a newer version is known. */
  drop(ref: FactRef): Held | undefined {
    return this.#say(ref, undefined);
  }

  /** Puts a fact, or nothing, in the place of what was said under this name, whatever the versions; remembers nothing
   *  else. */
  hold(owner: string, name: string, fact: Fact | undefined): Held {
    const facts = this.#owners.get(owner) ?? new Map<string, Said>();
    const before = facts.get(name)?.fact;
    if (fact !== undefined) this.#owners.set(owner, facts.set(name, { version: fact.version, fact }));
    else if (facts.delete(name) && facts.size === 0) this.#owners.delete(owner);
    return { before };
  }

  /** Stops remembering that a fact was taken back; a fact that is there stays. */
  expire(ref: FactRef): void {
    const facts = this.#owners.get(ref.owner);
    const said = facts?.get(factName(ref));
    if (said === undefined || said.fact !== undefined || said.version > ref.version) return;
    facts?.delete(factName(ref));
    if (facts?.size === 0) this.#owners.delete(ref.owner);
  }

  /** Removes all that an owner said, and gives back the facts among it. */
  forget(owner: string): Fact[] {
    const facts = [...this.of(owner)];
    this.#owners.delete(owner);
    return facts;
  }

  *of(owner: string): Generator<Fact> {
    for (const { fact } of this.#owners.get(owner)?.values() ?? []) if (fact !== undefined) yield fact;
  }

  #say(ref: FactRef, fact: Fact | undefined): Held | undefined {
    const facts = this.#owners.get(ref.owner) ?? new Map<string, Said>();
    const name = factName(ref);
    const said = facts.get(name);
    if (said !== undefined && said.version >= ref.version) return undefined;
    this.#owners.set(ref.owner, facts.set(name, { version: ref.version, fact }));
    return { before: said?.fact };
  }
}
