import type { RawState, RawStatus, RawTask } from "./vip-reference.ts";

interface RawAgent {
  readonly agent_info: { readonly id: { readonly value: string }; readonly hostname: string };
}
interface RawFramework {
  readonly framework_info: { readonly id: { readonly value: string }; readonly name: string };
}
interface RawSnapshot {
  readonly get_tasks?: { readonly tasks?: readonly RawTask[] };
  readonly get_agents?: {
    readonly agents?: readonly RawAgent[];
    /** Known from before a restart of the master, and not back yet. */
    readonly recovered_agents?: readonly RawAgent["agent_info"][];
  };
  readonly get_frameworks?: { readonly frameworks?: readonly RawFramework[] };
}

/** An event of the operator API (mesos/v1/master/master.proto, Event), as much of it as the rules use. */
export interface RawEvent {
  readonly type: string;
  readonly subscribed?: { readonly get_state: RawSnapshot; readonly heartbeat_interval_seconds: number };
  readonly task_added?: { readonly task: RawTask };
  readonly task_updated?: {
    readonly framework_id: { readonly value: string };
    readonly status: RawStatus & { readonly task_id: { readonly value: string } };
    readonly state: string;
  };
  readonly agent_added?: { readonly agent: RawAgent };
  readonly agent_removed?: { readonly agent_id: { readonly value: string } };
  readonly framework_added?: { readonly framework: RawFramework };
  readonly framework_updated?: { readonly framework: RawFramework };
}

/** The event on a line of a capture. What was recorded by asking becomes the first event of a subscription. */
export function eventOf(line: string): RawEvent {
  const event = JSON.parse(line) as RawEvent & { readonly get_state?: RawSnapshot };
  if (event.get_state === undefined) return event;
  return { type: "SUBSCRIBED", subscribed: { get_state: event.get_state, heartbeat_interval_seconds: 15 } };
}

export function emptyState(): RawState {
  return { tasks: [], agents: new Map(), frameworks: new Map() };
}

/** What is known after an event. Tasks are added up and never forgotten: those that ended have no part in anything. */
export function applyEvent(state: RawState, event: RawEvent): RawState {
  const { subscribed, task_added, task_updated, agent_added, agent_removed, framework_added, framework_updated } =
    event;
  if (subscribed !== undefined) {
    const { get_tasks, get_agents, get_frameworks } = subscribed.get_state;
    const { agents = [], recovered_agents = [] } = get_agents ?? {};
    return {
      tasks: get_tasks?.tasks ?? [],
      agents: new Map([...recovered_agents.map((agent_info) => ({ agent_info })), ...agents].map(agentEntry)),
      frameworks: new Map((get_frameworks?.frameworks ?? []).map(frameworkEntry)),
    };
  }
  if (task_added !== undefined) return { ...state, tasks: [...state.tasks, task_added.task] };
  if (task_updated !== undefined) {
    const { framework_id, status, state: word } = task_updated;
    const tasks = state.tasks.map((task) =>
      task.task_id.value === status.task_id.value && task.framework_id.value === framework_id.value
        ? { ...task, state: word, statuses: [...(task.statuses ?? []), status] }
        : task,
    );
    return { ...state, tasks };
  }
  if (agent_added !== undefined) return { ...state, agents: new Map([...state.agents, agentEntry(agent_added.agent)]) };
  if (agent_removed !== undefined) {
    const tasks = state.tasks.filter(({ agent_id }) => agent_id.value !== agent_removed.agent_id.value);
    return { ...state, tasks };
  }
  const framework = (framework_added ?? framework_updated)?.framework;
  if (framework === undefined) return state;
  return { ...state, frameworks: new Map([...state.frameworks, frameworkEntry(framework)]) };
}

function agentEntry({ agent_info: { id, hostname } }: RawAgent): [string, string] {
  return [id.value, hostname];
}

function frameworkEntry({ framework_info: { id, name } }: RawFramework): [string, string] {
  return [id.value, name];
}
