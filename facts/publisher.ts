import { NetError } from "../lib/error.ts";
import { canonicalFact, type Encoded } from "./codec.ts";
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
  readonly #said = new Map<string, Fact>();
  readonly #noted = new Map<string, Encoded | undefined>();
  /** The facts that are being written, by their bytes. */
  #written: ReadonlyMap<Uint8Array, Fact> = new Map();
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
      const { fact, bytes } = canonicalFact({
        ...{ owner, version: ++this.#version, observedAt: now() },
        ...statement,
      } as Fact);
      if (before !== undefined && Bun.deepEquals(before.body, fact.body, true)) return;
      // Whoever made the statement has its body in memory already.
      const isCanonical = Bun.deepEquals(fact.body, statement.body, true);
      const shared = isCanonical ? ({ ...fact, body: statement.body } as Fact) : fact;
      this.#said.set(name, shared);
      this.#noted.set(name, { fact: shared, bytes });
    } catch (error) {
      this.take(statement);
      throw error;
    }
  }

  /** True when something is said under this name (`factName`). */
  says(name: string): boolean {
    return this.#said.has(name);
  }

  /** The fact that these very bytes stand for, while `flush` writes them: so that who shows this node's own facts needs
   *  neither read nor hold them twice. */
  writes(bytes: Uint8Array): Fact | undefined {
    return this.#written.get(bytes);
  }

  /** Notes that a statement is taken back. */
  take(statement: Pick<Statement, "kind" | "key">): void {
    const name = factName(statement);
    if (this.#said.delete(name)) this.#noted.set(name, undefined);
  }

  /** Publishes what was noted, as one batch. */
  flush(): void {
    const noted = [...this.#noted];
    this.#noted.clear();
    if (noted.length === 0) return;
    this.#written = new Map(noted.flatMap(([, said]) => (said === undefined ? [] : [[said.bytes, said.fact]])));
    try {
      this.#options.write(noted.map(([key, said]) => ({ key, value: said?.bytes })));
    } finally {
      this.#written = new Map();
    }
  }
}

/** The NetError that `put` threw, to be told; anything else is our own mistake and is thrown on. */
export function refusalOf(error: unknown): NetError {
  if (error instanceof NetError) return error;
  throw error;
}
