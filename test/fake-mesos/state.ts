import {
  type AgentSpec,
  agentInfo,
  agentOf,
  type FrameworkSpec,
  frameworkOf,
  id,
  type Json,
  type TaskSpec,
  taskOf,
} from "./json.ts";

export interface UpdateSpec {
  readonly task: string;
  readonly framework: string;
  /** State in the status. */
  readonly state: string;
  /** State beside the status, when it is a newer one. */
  readonly latest?: string;
  /** More members of the status: `healthy`, `container_status`. */
  readonly more?: Json;
}

const FINAL = /^TASK_(FINISHED|FAILED|KILLED|LOST|ERROR|DROPPED|GONE|GONE_BY_OPERATOR)$/;

/** What a master knows. Every change gives the events that subscribers see of it. */
export class MasterState {
  readonly #agents = new Map<string, AgentSpec>();
  readonly #recovered = new Map<string, AgentSpec>();
  readonly #frameworks = new Map<string, FrameworkSpec>();
  readonly #tasks = new Map<string, Json>();
  readonly #unreachable = new Map<string, Json>();
  readonly #completed = new Map<string, Json>();
  #timestamp = 1_700_000_000;

  /** `get_state`, as SUBSCRIBED and GET_STATE have it. */
  getState(): Json {
    return {
      get_tasks: {
        tasks: [...this.#tasks.values()],
        unreachable_tasks: [...this.#unreachable.values()],
        completed_tasks: [...this.#completed.values()],
      },
      get_executors: { executors: [] },
      get_frameworks: { frameworks: [...this.#frameworks.values()].map(frameworkOf), completed_frameworks: [] },
      get_agents: {
        agents: [...this.#agents.values()].map(agentOf),
        recovered_agents: [...this.#recovered.values()].map(agentInfo),
      },
    };
  }

  addAgent(spec: AgentSpec): Json[] {
    this.#recovered.delete(spec.id);
    this.#agents.set(spec.id, spec);
    return [{ type: "AGENT_ADDED", agent_added: { agent: agentOf(spec) } }];
  }

  addFramework(spec: FrameworkSpec): Json[] {
    this.#frameworks.set(spec.id, spec);
    return [{ type: "FRAMEWORK_ADDED", framework_added: { framework: frameworkOf(spec) } }];
  }

  launch(spec: TaskSpec): Json[] {
    const task = taskOf(spec);
    this.#tasks.set(keyOf(spec.framework, spec.id), task);
    return [{ type: "TASK_ADDED", task_added: { task } }];
  }

  update({ task: taskId, framework, state, latest = state, more = {} }: UpdateSpec): Json[] {
    const key = keyOf(framework, taskId);
    const task = this.#tasks.get(key) ?? this.#completed.get(key) ?? {};
    const status = { task_id: id(taskId), state, agent_id: task["agent_id"], timestamp: this.#timestamp++, ...more };
    const statuses = [...((task["statuses"] as Json[] | undefined) ?? []), status];
    const updated = { ...task, state: latest, statuses };
    this.#tasks.delete(key);
    (FINAL.test(latest) ? this.#completed : this.#tasks).set(key, updated);
    return [{ type: "TASK_UPDATED", task_updated: { framework_id: id(framework), status, state: latest } }];
  }

  /** Removes the framework; each of its tasks is killed first, also those that have ended. */
  removeFramework(frameworkId: string): Json[] {
    const spec = this.#frameworks.get(frameworkId) ?? { id: frameworkId, name: "" };
    const killed = [...this.#tasks.values(), ...this.#completed.values()]
      .filter((task) => idIn(task["framework_id"]) === frameworkId)
      .flatMap((task) => {
        const latest = FINAL.test(String(task["state"])) ? String(task["state"]) : "TASK_KILLED";
        return this.update({ task: idIn(task["task_id"]), framework: frameworkId, state: "TASK_KILLED", latest });
      });
    this.#frameworks.delete(frameworkId);
    const framework_info = frameworkOf(spec)["framework_info"];
    return [...killed, { type: "FRAMEWORK_REMOVED", framework_removed: { framework_info } }];
  }

  /** Removes the agent; its tasks are lost first. */
  removeAgent(agentId: string): Json[] {
    const lost = this.#tasksOf(agentId).flatMap((task) =>
      this.update({ task: idIn(task["task_id"]), framework: idIn(task["framework_id"]), state: "TASK_LOST" }),
    );
    this.#agents.delete(agentId);
    return [...lost, { type: "AGENT_REMOVED", agent_removed: { agent_id: id(agentId) } }];
  }

  /** The agent stops answering: its tasks become unreachable; of the agent itself there is no event. */
  loseAgent(agentId: string): Json[] {
    const events = this.#tasksOf(agentId).flatMap((task) => {
      const [framework, taskId] = [idIn(task["framework_id"]), idIn(task["task_id"])];
      const update = this.update({ task: taskId, framework, state: "TASK_UNREACHABLE" });
      this.#unreachable.set(keyOf(framework, taskId), this.#tasks.get(keyOf(framework, taskId)) ?? {});
      this.#tasks.delete(keyOf(framework, taskId));
      return update;
    });
    this.#agents.delete(agentId);
    return events;
  }

  /** An agent registers again with its tasks: they come first, then the agent. */
  reregister(spec: AgentSpec, tasks: readonly Json[]): Json[] {
    const added = tasks.map((task) => {
      const key = keyOf(idIn(task["framework_id"]), idIn(task["task_id"]));
      this.#unreachable.delete(key);
      this.#tasks.set(key, task);
      return { type: "TASK_ADDED", task_added: { task } };
    });
    return [...added, ...this.addAgent(spec)];
  }

  /** The tasks that run on an agent, as it would report them when it registers again. */
  tasksOf(agentId: string): readonly Json[] {
    return this.#tasksOf(agentId);
  }

  /** What another master knows when it takes over: frameworks, and agents by name only. */
  successor(): MasterState {
    const next = new MasterState();
    for (const spec of this.#frameworks.values()) next.#frameworks.set(spec.id, spec);
    for (const spec of this.#agents.values()) next.#recovered.set(spec.id, spec);
    next.#timestamp = this.#timestamp + 1000;
    return next;
  }

  #tasksOf(agentId: string): Json[] {
    return [...this.#tasks.values()].filter((task) => idIn(task["agent_id"]) === agentId);
  }
}

function keyOf(framework: string, task: string): string {
  return `${framework}\n${task}`;
}

function idIn(value: unknown): string {
  return String((value as Json | undefined)?.["value"]);
}
