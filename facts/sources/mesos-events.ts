import type { Cancel, Clock } from "../../lib/clock.ts";
import { taskKey } from "../task.ts";
import { idOf, type JsonObject, listOf, memberOf, objectOf, textOf } from "../task-mesos-json.ts";
import { readTask, updateTask } from "../task-mesos-read.ts";
import { type MesosCluster, readAgent, readFramework, readTasks } from "./mesos-cluster.ts";

/** How long tasks are served that the master has lost sight of, milliseconds. */
export interface Patience {
  /** Tasks of agents that the master expects back (`recovered_agents`) or lost contact with. Mesos itself waits 10
   *  minutes for them (`--agent_reregister_timeout`). */
  readonly expectedMs: number;
  /** Tasks of agents that a new snapshot doesn't mention: they are removed, or just about to register again. */
  readonly unmentionedMs: number;
}

export const DEFAULT_PATIENCE: Patience = { expectedMs: 600_000, unmentionedMs: 60_000 };

/**
 * Brings the events of a master's SUBSCRIBE stream into a cluster.
 *
 * A master that has just become leader knows no tasks until their agents have registered again, so a task that a
 * snapshot lacks isn't gone by that alone. It stays, unconfirmed, until the master says more: its agent is registered
 * (then the snapshot is complete for that agent; in a stream TASK_ADDED comes before AGENT_ADDED), or it is listed as
 * unreachable or completed, or its agent or framework is removed, or patience ends.
 */
export class MesosEvents {
  readonly #cluster: MesosCluster;
  readonly #clock: Clock;
  readonly #patience: Patience;
  readonly #onExpiry: () => void;
  /** Monotonic time at which an unconfirmed task goes, by key. */
  readonly #unconfirmed = new Map<string, number>();
  #cancel: Cancel = () => {};

  /** `onExpiry` is called after patience with some tasks ended and they were removed from the cluster. */
  constructor(cluster: MesosCluster, clock: Clock, onExpiry: () => void, patience: Patience = DEFAULT_PATIENCE) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#onExpiry = onExpiry;
    this.#patience = patience;
  }

  /** Tasks that are served although the master doesn't mention them. */
  get unconfirmed(): number {
    return this.#unconfirmed.size;
  }

  /** One event. Types that we don't need are passed over. */
  apply(event: JsonObject): void {
    const type = textOf(event["type"]) ?? "";
    const body = objectOf(event[type.toLowerCase()]);
    if (type === "SUBSCRIBED") this.snapshot(body["get_state"]);
    else if (type === "TASK_ADDED") this.#taskAdded(body["task"]);
    else if (type === "TASK_UPDATED") this.#taskUpdated(body);
    else if (type === "AGENT_ADDED") this.#agentAdded(objectOf(body["agent"]));
    else if (type === "AGENT_REMOVED") this.#cluster.removeAgent(idOf(body["agent_id"]) ?? "");
    else if (type === "FRAMEWORK_ADDED" || type === "FRAMEWORK_UPDATED") this.#frameworkSeen(body["framework"]);
    else if (type === "FRAMEWORK_REMOVED") {
      this.#cluster.removeFramework(readFramework(body["framework_info"])?.id ?? "");
    }
  }

  /** The state with which a stream begins, or that GET_STATE answers. */
  snapshot(getState: unknown): void {
    const frameworks = listOf(memberOf(getState, "get_frameworks", "frameworks"))
      .map((framework) => readFramework(memberOf(framework, "framework_info")))
      .filter((framework) => framework !== undefined);
    for (const framework of frameworks) this.#cluster.putFramework(framework);
    const registered = this.#putAgents(listOf(memberOf(getState, "get_agents", "agents")), "agent_info");
    const recovered = this.#putAgents(listOf(memberOf(getState, "get_agents", "recovered_agents")));
    const listed = new Set<string>();
    for (const task of readTasks(getState)) {
      const key = this.#cluster.putTask(task);
      listed.add(key);
      this.#unconfirmed.delete(key);
    }
    const gone = endedTasks(getState);
    for (const key of this.#cluster.keys()) {
      if (!listed.has(key)) this.#missing(key, gone.has(key), registered, recovered);
    }
    const known = new Set([...registered, ...recovered]);
    this.#cluster.retain(known, new Set(frameworks.map(({ id }) => id)));
    this.#schedule();
  }

  stop(): void {
    this.#cancel();
  }

  #putAgents(agents: readonly unknown[], ...toInfo: readonly string[]): Set<string> {
    const ids = new Set<string>();
    for (const agent of agents) {
      const entry = readAgent(memberOf(agent, ...toInfo), memberOf(agent, "pid"));
      if (entry === undefined) continue;
      this.#cluster.putAgent(entry);
      ids.add(entry.id);
    }
    return ids;
  }

  #missing(key: string, ended: boolean, registered: ReadonlySet<string>, recovered: ReadonlySet<string>): void {
    const agentId = this.#cluster.task(key)?.agentId ?? "";
    if (ended || registered.has(agentId)) this.#remove(key);
    else this.#doubt(key, recovered.has(agentId) ? this.#patience.expectedMs : this.#patience.unmentionedMs);
  }

  #taskAdded(value: unknown): void {
    const task = readTask(value);
    if (task !== undefined) this.#unconfirmed.delete(this.#cluster.putTask(task));
  }

  #taskUpdated(body: JsonObject): void {
    const frameworkId = idOf(body["framework_id"]) ?? "";
    const key = taskKey({ frameworkId, taskId: idOf(memberOf(body, "status", "task_id")) ?? "" });
    const task = this.#cluster.task(key);
    if (task === undefined) return;
    this.#unconfirmed.delete(key);
    this.#cluster.putTask(updateTask(task, body));
    if (body["state"] === "TASK_UNREACHABLE") this.#doubt(key, this.#patience.expectedMs);
    this.#schedule();
  }

  #agentAdded(agent: JsonObject): void {
    const entry = readAgent(agent["agent_info"], agent["pid"]);
    if (entry === undefined) return;
    this.#cluster.putAgent(entry);
    for (const key of this.#cluster.keys(entry.id)) if (this.#unconfirmed.has(key)) this.#remove(key);
  }

  #frameworkSeen(value: unknown): void {
    const framework = readFramework(memberOf(value, "framework_info"));
    if (framework !== undefined) this.#cluster.putFramework(framework);
  }

  #remove(key: string): void {
    this.#unconfirmed.delete(key);
    this.#cluster.removeTask(key);
  }

  /** Doubt that is already there keeps its end: masters that change often don't keep a dead task alive. */
  #doubt(key: string, patienceMs: number): void {
    if (!this.#unconfirmed.has(key)) this.#unconfirmed.set(key, this.#clock.monotonic() + patienceMs);
  }

  /** Sets the one timer to the moment when patience ends with the next task. */
  #schedule(): void {
    this.#cancel();
    this.#cancel = () => {};
    const next = Math.min(...this.#unconfirmed.values());
    if (next === Number.POSITIVE_INFINITY) return;
    this.#cancel = this.#clock.schedule(Math.max(0, next - this.#clock.monotonic()), () => this.#expire());
  }

  #expire(): void {
    const now = this.#clock.monotonic();
    for (const [key, until] of [...this.#unconfirmed]) if (until <= now) this.#remove(key);
    this.#schedule();
    this.#onExpiry();
  }
}

/** Keys of the tasks that a snapshot lists as unreachable or completed. */
function endedTasks(getState: unknown): Set<string> {
  const tasks = objectOf(memberOf(getState, "get_tasks"));
  const ended = [...listOf(tasks["unreachable_tasks"]), ...listOf(tasks["completed_tasks"])];
  return new Set(
    ended.map((task) =>
      taskKey({
        frameworkId: idOf(memberOf(task, "framework_id")) ?? "",
        taskId: idOf(memberOf(task, "task_id")) ?? "",
      }),
    ),
  );
}
