import type { TaskFact } from "../../facts/fact.ts";
import { discoveryName, type Task } from "../../facts/task.ts";
import type { Snapshot } from "../../facts/view.ts";
import { once, pageOf, readPage } from "./page.ts";
import { readQuery } from "./query.ts";
import type { ApiState } from "./state.ts";

/** A task as `GET /v1/tasks` shows it. */
export interface TaskEntry extends Task {
  /** Id of the node whose word this is. */
  readonly owner: string;
  /** When that node saw it so, RFC 3339 in UTC. */
  readonly observedAt: string;
}

export interface TaskPage {
  /** Of the view: the same as long as nothing has changed. */
  readonly generation: number;
  readonly total: number;
  readonly tasks: readonly TaskEntry[];
  readonly next?: string;
}

const sortedKeys = once((tasks: Snapshot["tasks"]): readonly string[] => [...tasks.keys()].sort());

/** One page of the cluster's tasks, sorted by framework id and task id. Filters: `framework` is its id or name, `name`
 *  that of the task or the one it is discovered by, `node` an id, name or address of its node. */
export function taskPage(state: ApiState, query: URLSearchParams): TaskPage {
  const { framework, name, node, limit, after } = readQuery(query, ["framework", "name", "node", "limit", "after"]);
  const snapshot = state.facts();
  const { tasks, generation } = snapshot;
  const matches = ({ owner, body }: TaskFact): boolean =>
    (framework === undefined || framework === body.framework.id || framework === body.framework.name) &&
    (name === undefined || name === body.name || name === discoveryName(body)) &&
    (node === undefined || isOnNode(owner, body, node, snapshot));
  const find = (key: string): TaskFact | undefined => {
    const fact = tasks.get(key);
    return fact !== undefined && matches(fact) ? fact : undefined;
  };
  const { entries, total, next } = pageOf(sortedKeys(tasks), find, readPage(limit, after));
  return { generation, total, tasks: entries.map(entryOf), ...(next !== undefined && { next }) };
}

/** The owner of a fact is the task's node only when that is who saw the task. */
function isOnNode(owner: string, { agent, observer }: Task, node: string, { nodes }: Snapshot): boolean {
  if (agent.id === node || agent.addresses.includes(node)) return true;
  return observer === "node" && (owner === node || nodes.get(owner)?.fact.body.name === node);
}

function entryOf({ owner, observedAt, body }: TaskFact): TaskEntry {
  return { ...body, owner, observedAt: new Date(observedAt).toISOString() };
}
