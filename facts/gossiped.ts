import { messageOf, NetError } from "../lib/error.ts";
import { decodeFact } from "./codec.ts";
import { type Fact, factName } from "./fact.ts";
import type { FactChange } from "./view.ts";

/** A write as gossip carries it: bytes under a key (`factName`), or its removal. */
export interface GossipedValue {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/** Changes for the view from what gossip says of one owner, in that order. What can't be read, or is said in another
 *  owner's name, is told to `onRefused` and takes the place of what was there with nothing: it isn't known any more.
 *  `known`: what bytes stand for that need not be read. */
export function changesFromGossip(
  owner: string,
  values: readonly GossipedValue[],
  onRefused: (error: NetError) => void,
  known: (bytes: Uint8Array) => Fact | undefined = () => undefined,
): FactChange[] {
  return values.map(({ key, value }) => {
    try {
      const fact = value && (known(value) ?? factOf(owner, key, value));
      return { type: "held", owner, name: key, fact };
    } catch (error) {
      onRefused(refusal(owner, key, error));
      return { type: "held", owner, name: key, fact: undefined };
    }
  });
}

function factOf(owner: string, key: string, value: Uint8Array): Fact {
  const fact = decodeFact(value);
  const [tried, remedy] = [`take the fact ${key} of ${owner}`, "find out who runs with that node's name"];
  if (fact.owner !== owner) throw new NetError("invalid", { tried, said: `it speaks for ${fact.owner}`, remedy });
  if (factName(fact) !== key)
    throw new NetError("invalid", { tried, said: `it is the fact ${factName(fact)}`, remedy });
  return fact;
}

function refusal(owner: string, key: string, error: unknown): NetError {
  const tried = `take the fact ${key.slice(0, 100)} of ${owner}`;
  return new NetError("invalid", { tried, said: messageOf(error), cause: error });
}
