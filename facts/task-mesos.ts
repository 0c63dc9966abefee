import type { NetworkMode, Observer, Runtime, Task, TaskAgent, TaskPort } from "./task.ts";
import { hostModePorts, type MesosPort, mergePorts } from "./task-mesos-ports.ts";
import { healthOf, type MesosTask } from "./task-mesos-read.ts";

/** What a task needs to be known besides itself. */
export interface TaskSurroundings {
  /** Name of the task's framework. */
  readonly frameworkName: string;
  readonly agent: TaskAgent;
  readonly observer: Observer;
}

/**
 * The published task that follows from what Mesos says of it, by the rules of the DC/OS listener (port mappings, then
 * VIP labels of the task, then discovery information). Pure: a new address, port or state of a running task gives
 * another result, where upstream acts on changes of state only.
 */
export function deriveTask(task: MesosTask, { frameworkName, agent, observer }: TaskSurroundings): Task {
  const mode = modeOf(task, agent);
  const mapped = task.mappings ?? task.status.mappings;
  const merged = mergePorts(mergePorts(mapped, task.labelled), task.published);
  return {
    id: task.id,
    framework: { id: task.frameworkId, name: frameworkName },
    name: task.name,
    ...(task.discovery !== undefined && { discovery: task.discovery }),
    agent,
    addresses: task.status.addresses,
    mode,
    runtime: RUNTIMES[task.container ?? ""] ?? "other",
    ports: (mode === "host" ? hostModePorts(merged) : merged).map(withoutNetwork),
    agentPorts: task.agentPorts,
    state: task.state,
    health: healthOf(task),
    observer,
  };
}

const RUNTIMES: Readonly<Record<string, Runtime>> = { MESOS: "mesos", DOCKER: "docker" };

/** A task whose addresses are all its node's shares the node's network, whatever it asked for. Otherwise its container
 *  says, and for tasks of a pod, whose container is their executor's, the network that the status names. */
function modeOf({ attachment, status }: MesosTask, agent: TaskAgent): NetworkMode {
  const { addresses } = status;
  if (addresses.length > 0 && addresses.every(({ address }) => agent.addresses.includes(address))) return "host";
  if (attachment !== undefined && attachment !== "host") return attachment;
  return addresses.some(({ network }) => network !== undefined) ? "container" : "host";
}

function withoutNetwork({ network: _, ...port }: MesosPort): TaskPort {
  return port;
}
