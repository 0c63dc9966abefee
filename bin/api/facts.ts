import { type Fact, type FactKind, factName } from "../../facts/fact.ts";
import type { Snapshot } from "../../facts/view.ts";
import { once, pageOf, readPage } from "./page.ts";
import { readChoice, readQuery } from "./query.ts";
import type { ApiState } from "./state.ts";

export interface FactPage {
  readonly generation: number;
  readonly total: number;
  readonly facts: readonly Fact[];
  readonly next?: string;
}

export const FACT_KINDS: readonly FactKind[] = ["node", "assignment", "status", "task", "vip", "drain"];

/** Every fact that counts, by a name that is unique in the view: those of two nodes may have one `factName`. */
const byName = once((snapshot: Snapshot): ReadonlyMap<string, Fact> => {
  const { nodes, assignments, statuses, tasks, vips, drains } = snapshot;
  const facts = new Map<string, Fact>();
  for (const { fact } of nodes.values()) facts.set(factName(fact), fact);
  for (const fact of assignments.values()) facts.set(factName(fact), fact);
  for (const [key, fact] of statuses) facts.set(`status/${key}`, fact);
  for (const fact of tasks.values()) facts.set(factName(fact), fact);
  for (const [key, fact] of vips) facts.set(`vip/${key}`, fact);
  for (const [key, fact] of drains) facts.set(`drain/${key}`, fact);
  return new Map([...facts].sort(([a], [b]) => (a < b ? -1 : 1)));
});
const namesOf = once((facts: ReadonlyMap<string, Fact>): readonly string[] => [...facts.keys()]);

/** One page of the facts that count, as nodes exchange them, sorted by kind and key. Filters: `kind`, and `owner`, the
 *  id of the node whose word it is. */
export function factPage(state: ApiState, query: URLSearchParams): FactPage {
  const { kind: wanted, owner, limit, after } = readQuery(query, ["kind", "owner", "limit", "after"]);
  const kind = readChoice("kind", wanted, FACT_KINDS);
  const snapshot = state.facts();
  const facts = byName(snapshot);
  const find = (name: string): Fact | undefined => {
    const fact = facts.get(name);
    const matches = (kind === undefined || fact?.kind === kind) && (owner === undefined || fact?.owner === owner);
    return matches ? fact : undefined;
  };
  const { entries, total, next } = pageOf(namesOf(facts), find, readPage(limit, after));
  return { generation: snapshot.generation, total, facts: entries, ...(next !== undefined && { next }) };
}
