import { LIMIT } from "./limit.ts";

/** Transport protocols that ports and virtual IPs know. */
export type Protocol = "tcp" | "udp" | "sctp";

/** Where a task is in its life. Only `running` has names; `running` and `killing` are backends of virtual IPs,
 *  `killing` with weight 0. Mesos: TASK_RUNNING → running, TASK_KILLING → killing, every final state → terminal, the
 *  rest → preparing. */
export type TaskState = "preparing" | "running" | "killing" | "terminal";

/** What the task's own health check says; `unknown` when it has none, which counts as healthy. */
export type Health = "healthy" | "unhealthy" | "unknown";

/** Who started the container. Docker's host ports are reached through the host even on their own node. */
export type Runtime = "mesos" | "docker" | "other";

/** How the task's ports are reached: `host`, it shares the node's network; `bridge`, through host ports that are
 *  mapped to its own address, which other nodes can't reach; `container`, at its own address from everywhere. */
export type NetworkMode = "host" | "bridge" | "container";

/** How far the framework wants the task to be found (DiscoveryInfo.Visibility of Mesos). */
export type Visibility = "framework" | "cluster" | "external";

/** Who saw the task: its own node (the Mesos agent, the Docker engine or the files there), or the leading Mesos
 *  master. */
export type Observer = "node" | "master";

/** An address of a task's container, in the order in which the runtime reports them. */
export interface TaskAddress {
  /** IPv4 or IPv6 address in canonical text (`formatIp`), without prefix length. */
  readonly address: string;
  /** Name of the container network (CNI, Docker) that it is on; absent when the runtime doesn't say. */
  readonly network?: string;
}

/** How the virtual IPs of a port balance, as its labels say it: unread text, since what reads virtual IPs also names
 *  the bad ones. */
export interface PortBalance {
  /** Label `L4LB_SCHEDULER`: `wlc`, `rr`, `sh`, `mh`. */
  readonly scheduler?: string;
  /** Label `L4LB_AFFINITY`: seconds. */
  readonly affinity?: string;
  /** Label `L4LB_WEIGHT`: of this task among the others. */
  readonly weight?: string;
}

/** What the labels of a port say of balance, longer values cut, so that what reads them refuses them by name; undefined
 *  when they say nothing. `labelOf` gives the value of a label. */
export function balanceOf(labelOf: (name: string) => string | undefined): PortBalance | undefined {
  const said = BALANCE_LABELS.flatMap(([field, name]) => {
    const value = labelOf(name);
    return value === undefined ? [] : [[field, value.slice(0, LIMIT.word)] as const];
  });
  return said.length === 0 ? undefined : Object.fromEntries(said);
}

const BALANCE_LABELS = [
  ["scheduler", "L4LB_SCHEDULER"],
  ["affinity", "L4LB_AFFINITY"],
  ["weight", "L4LB_WEIGHT"],
] as const;

/** One port after merging what mappings, resources and discovery say of it (for Mesos: the merge of the DC/OS
 *  listener). At least one of the two numbers is there. */
export interface TaskPort {
  readonly protocol: Protocol;
  /** Port at the node's addresses that leads to this port of the container, 1 … 65535. Absent in host mode, where
   *  `container` is the node's port, and when nothing is mapped. */
  readonly host?: number;
  /** Port at the container's own addresses, 1 … 65535. */
  readonly container?: number;
  readonly name?: string;
  /** Values of the VIP labels of this port, as written: `/app:80`, `10.1.2.3:80`. Sorted, each once. */
  readonly vips: readonly string[];
  /** Absent when no label says anything. */
  readonly balance?: PortBalance;
}

/** One port as discovery information publishes it, before any merge: what service records are made of. */
export interface DiscoveryPort {
  readonly protocol: Protocol;
  /** 1 … 65535; at the node's addresses when `scope` is `host`, otherwise at the container's. */
  readonly number: number;
  readonly scope: "host" | "container";
  readonly name?: string;
  /** Container network that it is published for (label `network-name`), when said. */
  readonly network?: string;
}

export interface Discovery {
  /** Name to be found by instead of the task's own. */
  readonly name?: string;
  readonly visibility: Visibility;
  /** In the order of the framework. A port published without protocol is here twice, as tcp and as udp. */
  readonly ports: readonly DiscoveryPort[];
}

export interface Framework {
  /** Unique in the cluster. Sources without frameworks of their own make one for each node: `docker.<agent id>`. */
  readonly id: string;
  /** Name in DNS; several frameworks may have the same. */
  readonly name: string;
}

export interface TaskAgent {
  /** Mesos agent id, or the node's name for sources without Mesos. */
  readonly id: string;
  /** Addresses of the node in canonical text, best first; empty when its name can't be resolved. */
  readonly addresses: readonly string[];
}

/** One task, as much of it as names, service records and virtual IPs are derived from. Plain data: addresses are
 *  canonical text, so that equal tasks are equal JSON. What a task may hold at most is in facts/limit.ts. */
export interface Task {
  /** Unique within its framework only. */
  readonly id: string;
  readonly framework: Framework;
  readonly name: string;
  readonly discovery?: Discovery;
  readonly agent: TaskAgent;
  readonly addresses: readonly TaskAddress[];
  readonly mode: NetworkMode;
  readonly runtime: Runtime;
  readonly ports: readonly TaskPort[];
  /** Ports of the node that the task was given (Mesos `ports` resources), in order: service records of tasks without
   *  discovery information. */
  readonly agentPorts: readonly number[];
  readonly state: TaskState;
  readonly health: Health;
  readonly observer: Observer;
}

/** What tells tasks apart: task ids alone are not unique. */
export interface TaskRef {
  readonly frameworkId: string;
  readonly taskId: string;
}

export function refOf(task: Task): TaskRef {
  return { frameworkId: task.framework.id, taskId: task.id };
}

/** The identity of a task as one string, the key of its fact: both ids percent-encoded (RFC 3986), joined by `/`. */
export function taskKey({ frameworkId, taskId }: TaskRef): string {
  return `${encodeURIComponent(frameworkId)}/${encodeURIComponent(taskId)}`;
}

export function keyOfTask(task: Task): string {
  return taskKey(refOf(task));
}

/** The name that DNS and Mesos-DNS know the task by. An empty discovery name counts as none. */
export function discoveryName(task: Task): string {
  return task.discovery?.name || task.name;
}
