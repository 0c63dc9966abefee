import type { DrainFact } from "../../facts/fact.ts";
import { NetError } from "../../lib/error.ts";
import { isObject } from "../../overlay/section.ts";
import type { ApiState } from "./state.ts";

/** What is drained, as `GET /v1/drains` shows it. */
export interface DrainEntry {
  readonly target: "node" | "task";
  /** Id of the node, or key of the task. */
  readonly id: string;
  /** RFC 3339 in UTC. */
  readonly since: string;
  /** Id of the node where it was asked for, and can be called off. */
  readonly owner: string;
}

/** Everything that operators drain, sorted. */
export function drainEntries({ facts }: ApiState): DrainEntry[] {
  return [...facts().drains].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, fact]) => entryOf(fact));
}

/** `POST /v1/drains` with `{"target": "node" | "task", "id": …, "drain": true | false}`: drains, or calls it off. Throws a
 *  NetError `not-found` for a node or task that there isn't, and for a drain that there isn't; `conflict` when another
 *  node has to call it off. */
export async function changeDrain(state: ApiState, body: unknown): Promise<DrainEntry> {
  const { target, id, drain } = read(body);
  const { nodes, tasks, drains } = state.facts();
  const tried = `${drain ? "drain" : "stop draining"} ${target} ${id.slice(0, 100)}`;
  const key = `${state.self.id}/${target}/${id}`;
  if (drain) {
    if (!(target === "node" ? nodes : tasks).has(id))
      throw new NetError("not-found", {
        tried,
        said: `there is no such ${target}`,
        remedy: `see \`dcos-net ${target} ls\``,
      });
    return entryOf(drains.get(key) ?? state.drain(target, id));
  }
  const own = drains.get(key);
  if (own !== undefined) {
    state.undrain(target, id);
    return entryOf(own);
  }
  const others = [...drains.values()].filter((fact) => fact.body.target === target && fact.body.id === id);
  if (others.length === 0)
    throw new NetError("not-found", {
      tried,
      said: `that ${target} is not drained`,
      remedy: "see `dcos-net drain ls`",
    });
  const owners = others.map(({ owner }) => nodes.get(owner)?.fact.body.name ?? owner).join(", ");
  const remedy = `call it off there: ${owners}`;
  throw new NetError("conflict", { tried, said: "it was asked for on another node", remedy });
}

function read(body: unknown): { readonly target: "node" | "task"; readonly id: string; readonly drain: boolean } {
  const { target, id, drain } = isObject(body) ? body : {};
  const isTarget = target === "node" || target === "task";
  if (isTarget && typeof id === "string" && id !== "" && typeof drain === "boolean") return { target, id, drain };
  const remedy = 'send {"target": "node" or "task", "id": "...", "drain": true or false}';
  throw new NetError("invalid", { tried: "read what to drain", said: "that isn't said in the body", remedy });
}

function entryOf({ owner, body: { target, id, since } }: DrainFact): DrainEntry {
  return { target, id, since: new Date(since).toISOString(), owner };
}
