import { formatIp, tryParseIp } from "../../lib/address.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import { type Observer, refOf, type Task, taskKey } from "../task.ts";
import { deriveTask } from "../task-mesos.ts";
import { idOf, listOf, memberOf, objectOf, textOf } from "../task-mesos-json.ts";
import { type MesosTask, readTask } from "../task-mesos-read.ts";
import { taskShape } from "../task-shape.ts";
import type { TaskDelta } from "./source.ts";

/** An agent as far as addresses go. */
export interface MesosAgentEntry {
  readonly id: string;
  readonly hostname: string;
  /** Address in the agent's libprocess id (`slave(1)@10.0.0.5:5051`), where the master reaches it. */
  readonly pidAddress?: string;
}

/** `agent_info` with the `pid` beside it; undefined without id: an agent that hasn't registered yet. */
export function readAgent(agentInfo: unknown, pid: unknown): MesosAgentEntry | undefined {
  const id = idOf(memberOf(agentInfo, "id"));
  if (!id) return undefined;
  const [, host = ""] = /@\[?([^\]]+?)\]?:\d+$/.exec(textOf(pid) ?? "") ?? [];
  const ip = tryParseIp(host);
  const hostname = textOf(memberOf(agentInfo, "hostname")) ?? "";
  return ip === undefined ? { id, hostname } : { id, hostname, pidAddress: formatIp(ip) };
}

/** The id and name of `framework_info`; undefined without id. */
export function readFramework(info: unknown): { readonly id: string; readonly name: string } | undefined {
  const id = idOf(memberOf(info, "id"));
  return id ? { id, name: textOf(memberOf(info, "name")) ?? "" } : undefined;
}

export interface ClusterOptions {
  readonly observer: Observer;
  /** Addresses of a host name; undefined while they aren't known yet, and its tasks wait unpublished. */
  readonly lookup: (hostname: string) => readonly string[] | undefined;
  /** Told of a task that can't be published, by its key, and with undefined when that has ended. */
  readonly onProblem: (key: string, error: NetError | undefined) => void;
}

/**
 * What is known of agents, frameworks and tasks, and the published tasks that follow from it. Changes are collected:
 * {@link publish} derives only the tasks that something touched since the last time, so that an event costs the same
 * whatever the size of the cluster.
 */
export class MesosCluster {
  readonly #options: ClusterOptions;
  readonly #agents = new Map<string, MesosAgentEntry>();
  readonly #frameworks = new Map<string, string>();
  readonly #tasks = new Map<string, MesosTask>();
  readonly #byAgent = new Map<string, Set<string>>();
  readonly #byFramework = new Map<string, Set<string>>();
  readonly #touched = new Set<string>();
  readonly #published = new Map<string, Task>();
  /** Keys of tasks that can't be published. */
  readonly #refused = new Set<string>();

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Tasks as last published. */
  published(): readonly Task[] {
    return [...this.#published.values()];
  }

  /** Derives what was touched since the last call and tells what became different. */
  publish(): TaskDelta {
    const put: Task[] = [];
    const removed: Task[] = [];
    for (const key of this.#touched) {
      const before = this.#published.get(key);
      const wasRefused = this.#refused.delete(key);
      const task = this.#derive(key);
      if (wasRefused && !this.#refused.has(key)) this.#options.onProblem(key, undefined);
      if (task === undefined) {
        if (before !== undefined) removed.push(before);
        this.#published.delete(key);
      } else if (before === undefined || !Bun.deepEquals(before, task, true)) {
        put.push(task);
        this.#published.set(key, task);
      }
    }
    this.#touched.clear();
    return { put, removed: removed.map(refOf) };
  }

  /** Keys of the tasks of an agent, or of all. */
  keys(agentId?: string): readonly string[] {
    return [...(agentId === undefined ? this.#tasks.keys() : (this.#byAgent.get(agentId) ?? []))];
  }

  task(key: string): MesosTask | undefined {
    return this.#tasks.get(key);
  }

  /** Adds a task or takes its place; one in a final state is removed. Gives its key. */
  putTask(task: MesosTask): string {
    const key = taskKey({ frameworkId: task.frameworkId, taskId: task.id });
    this.removeTask(key);
    if (task.state === "terminal") return key;
    this.#tasks.set(key, task);
    indexed(this.#byAgent, task.agentId).add(key);
    indexed(this.#byFramework, task.frameworkId).add(key);
    return key;
  }

  removeTask(key: string): void {
    this.#touched.add(key);
    const task = this.#tasks.get(key);
    if (task === undefined) return;
    this.#tasks.delete(key);
    unindex(this.#byAgent, task.agentId, key);
    unindex(this.#byFramework, task.frameworkId, key);
  }

  putAgent(agent: MesosAgentEntry): void {
    this.#agents.set(agent.id, agent);
    this.#touch(this.#byAgent.get(agent.id));
  }

  /** Removes the agent with its tasks. */
  removeAgent(id: string): void {
    this.#agents.delete(id);
    for (const key of this.keys(id)) this.removeTask(key);
  }

  putFramework({ id, name }: { readonly id: string; readonly name: string }): void {
    if (this.#frameworks.get(id) === name) return;
    this.#frameworks.set(id, name);
    this.#touch(this.#byFramework.get(id));
  }

  /** Removes the framework with its tasks. */
  removeFramework(id: string): void {
    this.#frameworks.delete(id);
    for (const key of [...(this.#byFramework.get(id) ?? [])]) this.removeTask(key);
  }

  /** Forgets agents and frameworks that are in neither of the sets and have no task here. */
  retain(agents: ReadonlySet<string>, frameworks: ReadonlySet<string>): void {
    for (const id of [...this.#agents.keys()]) {
      if (!agents.has(id) && !this.#byAgent.has(id)) this.#agents.delete(id);
    }
    for (const id of [...this.#frameworks.keys()]) {
      if (!frameworks.has(id) && !this.#byFramework.has(id)) this.#frameworks.delete(id);
    }
  }

  /** Host names of all agents. */
  hostnames(): Set<string> {
    return new Set([...this.#agents.values()].map(({ hostname }) => hostname));
  }

  /** False while the addresses of an agent are still asked for. */
  allResolved(): boolean {
    return [...this.#agents.values()].every(({ hostname }) => this.#options.lookup(hostname) !== undefined);
  }

  /** Says that the addresses of a host name have changed. */
  hostnameChanged(hostname: string): void {
    for (const agent of this.#agents.values()) {
      if (agent.hostname === hostname) this.#touch(this.#byAgent.get(agent.id));
    }
  }

  #touch(keys: ReadonlySet<string> | undefined): void {
    for (const key of keys ?? []) this.#touched.add(key);
  }

  #derive(key: string): Task | undefined {
    const task = this.#tasks.get(key);
    if (task === undefined) return undefined;
    const agent = this.#agents.get(task.agentId);
    const frameworkName = this.#frameworks.get(task.frameworkId);
    const addresses = agent === undefined ? undefined : this.#addressesOf(agent);
    if (addresses === undefined || frameworkName === undefined) return undefined;
    const { observer, onProblem } = this.#options;
    try {
      return taskShape(deriveTask(task, { frameworkName, agent: { id: task.agentId, addresses }, observer }), "task");
    } catch (error) {
      this.#refused.add(key);
      onProblem(key, unpublishable(task, error));
      return undefined;
    }
  }

  /** The host name counts, as upstream has it. Where it can't be resolved upstream ignores the agent's tasks; the
   *  address at which the master reaches the agent takes its place. Of several addresses that one is the best. */
  #addressesOf({ hostname, pidAddress }: MesosAgentEntry): readonly string[] | undefined {
    const found = this.#options.lookup(hostname);
    if (found === undefined || pidAddress === undefined) return found;
    if (found.length === 0) return [pidAddress];
    return found.includes(pidAddress) ? [pidAddress, ...found.filter((address) => address !== pidAddress)] : found;
  }
}

/** The tasks of a `get_state`: `get_tasks.tasks` of a master, `get_tasks.launched_tasks` of an agent. */
export function readTasks(getState: unknown): MesosTask[] {
  const tasks = objectOf(memberOf(getState, "get_tasks"));
  return listOf(tasks["tasks"] ?? tasks["launched_tasks"]).flatMap((task) => readTask(task) ?? []);
}

function unpublishable(task: MesosTask, error: unknown): NetError {
  return new NetError("invalid", {
    tried: `publish task ${task.id.slice(0, 100)} of framework ${task.frameworkId.slice(0, 100)}`,
    said: messageOf(error),
    remedy: "change the task's definition; until then it has no names and no virtual IPs",
    cause: error,
  });
}

function indexed(index: Map<string, Set<string>>, id: string): Set<string> {
  const found = index.get(id);
  if (found !== undefined) return found;
  const added = new Set<string>();
  index.set(id, added);
  return added;
}

function unindex(index: Map<string, Set<string>>, id: string, key: string): void {
  const keys = index.get(id);
  keys?.delete(key);
  if (keys?.size === 0) index.delete(id);
}
