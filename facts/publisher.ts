import { NetError } from "../lib/error.ts";
import { encodeFact } from "./codec.ts";
import { type Fact, type FactKind, factName } from "./fact.ts";
import type { GossipedValue } from "./gossiped.ts";

/** What a node has to say, before it is numbered and dated. */
export type Statement = { [K in FactKind]: Pick<Extract<Fact, { kind: K }>, "kind" | "key" | "body"> }[FactKind];

export interface PublisherOptions {
  /** Id of this node. */
  readonly owner: string;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
  /** Takes one batch of writes: gossip. */
  readonly write: (values: readonly GossipedValue[]) => void;
}

/** What this node says to the cluster. A statement that is made again unchanged costs nothing and keeps its date. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #said = new Map<string, Statement>();
  readonly #noted = new Map<string, Uint8Array | undefined>();
  #version = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Notes a statement for the next `flush`, in the place of the last one under its kind and key. Throws a NetError
   *  `invalid`, and takes back what was said before, for one that other nodes would refuse. */
  put(statement: Statement): void {
    const name = factName(statement);
    const before = this.#said.get(name);
    if (before !== undefined && Bun.deepEquals(before.body, statement.body, true)) return;
    const { owner, now } = this.#options;
    try {
      const bytes = encodeFact({ owner, version: ++this.#version, observedAt: now(), ...statement } as Fact);
      this.#said.set(name, statement);
      this.#noted.set(name, bytes);
    } catch (error) {
      this.take(statement);
      throw error;
    }
  }

  /** True when something is said under this name (`factName`). */
  says(name: string): boolean {
    return this.#said.has(name);
  }

  /** Notes that a statement is taken back. */
  take(statement: Pick<Statement, "kind" | "key">): void {
    const name = factName(statement);
    if (this.#said.delete(name)) this.#noted.set(name, undefined);
  }

  /** Publishes what was noted, as one batch. */
  flush(): void {
    const values = [...this.#noted].map(([key, value]) => ({ key, value }));
    this.#noted.clear();
    if (values.length > 0) this.#options.write(values);
  }
}

/** The NetError that `put` threw, to be told; anything else is our own mistake and is thrown on. */
export function refusalOf(error: unknown): NetError {
  if (error instanceof NetError) return error;
  throw error;
}
