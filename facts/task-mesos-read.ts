import { formatIp, tryParseIp } from "../lib/address.ts";
import type { Discovery, Health, Protocol, TaskAddress, TaskState, Visibility } from "./task.ts";
import { idOf, type JsonObject, labelsOf, listOf, memberOf, objectOf, textOf } from "./task-mesos-json.ts";
import { type MesosPort, mappedPorts, publishedPorts, resourcePorts } from "./task-mesos-ports.ts";

/** How a container is attached, as far as the task's own description says. */
export type Attachment = "host" | "bridge" | "container";

/** What we keep of a Mesos task between events: a small part of what Mesos sends (labels may be megabytes), so that the
 *  memory of a source doesn't follow the size of its input. */
export interface MesosTask {
  readonly id: string;
  readonly frameworkId: string;
  readonly agentId: string;
  readonly name: string;
  readonly discovery: Discovery | undefined;
  readonly container: "MESOS" | "DOCKER" | undefined;
  readonly attachment: Attachment | undefined;
  /** Port mappings of the description; undefined when it has no place for them (pods), where the status' count. */
  readonly mappings: readonly MesosPort[] | undefined;
  /** Ports named by task labels `VIP_PORT<n>`. */
  readonly labelled: readonly MesosPort[];
  readonly published: readonly MesosPort[];
  readonly agentPorts: readonly number[];
  readonly hasHealthCheck: boolean;
  readonly state: TaskState;
  readonly status: MesosStatus;
}

/** What we keep of a task's newest status. */
export interface MesosStatus {
  /** Seconds since 1970, with a fraction. */
  readonly timestamp: number;
  readonly healthy: boolean | undefined;
  readonly addresses: readonly TaskAddress[];
  readonly mappings: readonly MesosPort[];
}

const NO_STATUS: MesosStatus = { timestamp: 0, healthy: undefined, addresses: [], mappings: [] };

const FINAL_STATES = new Set([
  "TASK_FINISHED",
  "TASK_FAILED",
  "TASK_KILLED",
  "TASK_LOST",
  "TASK_ERROR",
  "TASK_DROPPED",
  "TASK_GONE",
  "TASK_GONE_BY_OPERATOR",
]);

/** A v1 `Task` of the operator or agent API; undefined when it lacks one of its identifiers. Whatever else is missing
 *  or mistyped is taken as absent, so that one odd member costs no more than itself. */
export function readTask(value: unknown): MesosTask | undefined {
  const task = objectOf(value);
  const id = idOf(task["task_id"]);
  const frameworkId = idOf(task["framework_id"]);
  const agentId = idOf(task["agent_id"]);
  if (!id || !frameworkId || !agentId) return undefined;
  const newest = newestStatus(task["statuses"]);
  const agentPorts = resourcePorts(task["resources"]);
  const type = textOf(memberOf(task, "container", "type"));
  return {
    id,
    frameworkId,
    agentId,
    name: textOf(task["name"]) ?? "",
    discovery: readDiscovery(task["discovery"]),
    container: type === "MESOS" || type === "DOCKER" ? type : undefined,
    attachment: readAttachment(task["container"]),
    mappings: readMappings(task["container"]),
    labelled: readPortLabels(task["labels"], agentPorts),
    published: publishedPorts(memberOf(task, "discovery", "ports", "ports")).map((port) => ({
      name: "default",
      ...port,
    })),
    agentPorts,
    hasHealthCheck: task["health_check"] !== undefined,
    state: stateOf(textOf(task["state"]) ?? textOf(memberOf(newest, "state"))),
    status: newest === undefined ? NO_STATUS : readStatus(newest),
  };
}

/** The task after `task_updated`: the outer `state` counts, not the status' own, which may be older. What the status
 *  doesn't say (updates made by master or agent have no `container_status`) stays as it was. */
export function updateTask(task: MesosTask, updated: JsonObject): MesosTask {
  const status = objectOf(updated["status"]);
  const { timestamp, healthy, addresses, mappings } = readStatus(status);
  return {
    ...task,
    state: stateOf(textOf(updated["state"]) ?? textOf(status["state"])),
    status: {
      timestamp,
      healthy,
      addresses: addresses.length > 0 ? addresses : task.status.addresses,
      mappings: mappings.length > 0 ? mappings : task.status.mappings,
    },
  };
}

/** The state by which the task is published. Everything that isn't known is `preparing`, also TASK_UNREACHABLE. */
export function stateOf(name: string | undefined): TaskState {
  if (name === "TASK_RUNNING") return "running";
  if (name === "TASK_KILLING") return "killing";
  return name !== undefined && FINAL_STATES.has(name) ? "terminal" : "preparing";
}

/** Health by the newest status: none yet counts as unhealthy when the task has a check, so that no traffic comes before
 *  its first result. */
export function healthOf(task: MesosTask): Health {
  const { healthy } = task.status;
  if (healthy !== undefined) return healthy ? "healthy" : "unhealthy";
  return task.hasHealthCheck ? "unhealthy" : "unknown";
}

function newestStatus(value: unknown): unknown {
  let newest: unknown;
  for (const status of listOf(value)) {
    if (newest === undefined || timestampOf(status) >= timestampOf(newest)) newest = status;
  }
  return newest;
}

function timestampOf(status: unknown): number {
  const timestamp = memberOf(status, "timestamp");
  return typeof timestamp === "number" ? timestamp : 0;
}

function readStatus(status: unknown): MesosStatus {
  const infos = listOf(memberOf(status, "container_status", "network_infos"));
  const healthy = memberOf(status, "healthy");
  return {
    timestamp: timestampOf(status),
    healthy: typeof healthy === "boolean" ? healthy : undefined,
    addresses: infos.flatMap(readAddresses),
    mappings: infos.flatMap((info) => mappedPorts(memberOf(info, "port_mappings"))),
  };
}

/** Mesos passes on what a CNI plugin said, so that an IPv6 address may carry its prefix length. */
function readAddresses(info: unknown): TaskAddress[] {
  const network = textOf(memberOf(info, "name"));
  return listOf(memberOf(info, "ip_addresses")).flatMap((entry) => {
    const [text = ""] = (textOf(memberOf(entry, "ip_address")) ?? "").split("/");
    const ip = tryParseIp(text);
    if (ip === undefined) return [];
    return [network ? { address: formatIp(ip), network } : { address: formatIp(ip) }];
  });
}

function readDiscovery(value: unknown): Discovery | undefined {
  if (value === undefined || value === null) return undefined;
  const name = textOf(memberOf(value, "name"));
  const ports = publishedPorts(memberOf(value, "ports", "ports")).flatMap((port) => {
    const number = port.host ?? port.container;
    if (number === undefined) return [];
    const scope: "host" | "container" = port.host === undefined ? "container" : "host";
    return [
      {
        protocol: port.protocol,
        number,
        scope,
        ...(port.name !== undefined && { name: port.name }),
        ...(port.network !== undefined && { network: port.network }),
      },
    ];
  });
  const visibility = VISIBILITY[textOf(memberOf(value, "visibility")) ?? ""] ?? "framework";
  return name === undefined ? { visibility, ports } : { name, visibility, ports };
}

const VISIBILITY: Readonly<Record<string, Visibility>> = {
  FRAMEWORK: "framework",
  CLUSTER: "cluster",
  EXTERNAL: "external",
};

/** CNI network of DC/OS that puts UCR containers behind host ports, as Docker's `bridge` does. */
const UCR_BRIDGE = "mesos-bridge";

function readAttachment(container: unknown): Attachment | undefined {
  const type = textOf(memberOf(container, "type"));
  if (type === "DOCKER") return dockerAttachment(textOf(memberOf(container, "docker", "network")));
  const names = listOf(memberOf(container, "network_infos")).map((info) => textOf(memberOf(info, "name")));
  if (names.includes(UCR_BRIDGE)) return "bridge";
  if (names.some((name) => name !== undefined)) return "container";
  return type === "MESOS" ? "host" : undefined;
}

function dockerAttachment(network: string | undefined): Attachment {
  if (network === "BRIDGE") return "bridge";
  return network === undefined || network === "HOST" ? "host" : "container";
}

function readMappings(container: unknown): readonly MesosPort[] | undefined {
  const type = textOf(memberOf(container, "type"));
  if (type === "DOCKER") return mappedPorts(memberOf(container, "docker", "port_mappings"));
  const lists = listOf(memberOf(container, "network_infos")).map((info) => memberOf(info, "port_mappings"));
  return lists.some(Array.isArray) ? lists.flatMap(mappedPorts) : undefined;
}

/** Task labels `VIP_PORT<n>` = `tcp://<vip>`: the n-th port of the task's resources has that virtual IP. */
function readPortLabels(labels: unknown, agentPorts: readonly number[]): MesosPort[] {
  return labelsOf(labels).flatMap(([key, value]) => {
    const index = /^vip_port(\d{1,4})$/i.exec(key)?.[1];
    const [, protocol, vip] = /^(tcp|udp):\/\/(.+)$/s.exec(value) ?? [];
    const host = agentPorts[Number(index ?? Number.NaN)];
    if (host === undefined || vip === undefined) return [];
    return [{ protocol: protocol as Protocol, host, vips: [vip] }];
  });
}
