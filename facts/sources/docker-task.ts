import { formatIp, tryParseIp } from "../../lib/address.ts";
import type { Health, NetworkMode, Task, TaskAddress, TaskState } from "../task.ts";
import { taskShape } from "../task-shape.ts";
import { type LocalAgent, localFrameworkId, nodePorts, publishedPorts } from "./agent.ts";
import { containerPorts, isVipLabel, labelledPorts, type PortMap } from "./docker-ports.ts";

/** What is used of the engine's answer to `GET /containers/{id}/json` (Docker Engine API 1.24 and later). */
export interface ContainerInspection {
  readonly Id: string;
  readonly Name: string;
  readonly State: {
    readonly Status: string;
    readonly Health?: { readonly Status: string } | undefined;
  };
  readonly Config: {
    readonly Labels?: Readonly<Record<string, string>> | null;
    readonly ExposedPorts?: Readonly<Record<string, unknown>> | null;
  };
  readonly HostConfig: { readonly NetworkMode?: string | undefined };
  readonly NetworkSettings: {
    readonly Ports?: PortMap | null;
    readonly Networks?: Readonly<Record<string, NetworkInspection | undefined>> | null;
  };
}

interface NetworkInspection {
  readonly IPAddress?: string;
  readonly GlobalIPv6Address?: string;
}

/** The task that a container is, or undefined for one that isn't ours to tell of: without any of our labels, started
 *  by Mesos (whose own source knows more), or not running. `stopping`: it was asked to end. Throws a ShapeError that
 *  names the label for labels that make no sense. */
export function taskOfContainer(
  container: ContainerInspection,
  agent: LocalAgent,
  stopping: boolean,
): Task | undefined {
  const labels = container.Config.Labels ?? {};
  const state = stateOf(container, stopping);
  if (state === undefined || !isOurs(labels)) return undefined;
  const mode = modeOf(container);
  const ports = labelledPorts(portsOf(container, mode, agent), labels);
  const framework = labels["dcos.framework"] || "docker";
  const task: Task = {
    id: container.Id,
    framework: { id: localFrameworkId("docker", agent, framework), name: framework },
    name: labels["dcos.task"] || container.Name.replace(/^\//, ""),
    discovery: { visibility: "cluster", ports: publishedPorts(ports) },
    agent,
    addresses: mode === "host" ? agent.addresses.map((address) => ({ address })) : addressesOf(container),
    mode,
    runtime: "docker",
    ports,
    agentPorts: nodePorts(ports),
    state,
    health: healthOf(container),
    observer: "node",
  };
  return taskShape(task, "");
}

function isOurs(labels: Readonly<Record<string, string>>): boolean {
  if (labels["MESOS_TASK_ID"] !== undefined) return false;
  return labels["dcos.task"] !== undefined || Object.keys(labels).some(isVipLabel);
}

function stateOf({ State: { Status } }: ContainerInspection, stopping: boolean): TaskState | undefined {
  if (Status === "running" || Status === "paused") return stopping ? "killing" : "running";
  return Status === "restarting" ? "preparing" : undefined;
}

/** A container that has a health check is healthy only when that says so; a paused one answers nobody. */
function healthOf({ State: { Status, Health: check } }: ContainerInspection): Health {
  if (Status === "paused") return "unhealthy";
  if (check === undefined || check.Status === "none" || check.Status === "") return "unknown";
  return check.Status === "healthy" ? "healthy" : "unhealthy";
}

function modeOf({ HostConfig, NetworkSettings }: ContainerInspection): NetworkMode {
  const mode = HostConfig.NetworkMode ?? "default";
  if (mode === "host") return "host";
  if (mode === "default" || mode === "bridge") return "bridge";
  return Object.values(NetworkSettings.Ports ?? {}).some((bindings) => (bindings ?? []).length > 0)
    ? "bridge"
    : "container";
}

/** In host mode nothing is mapped: what the image exposes are ports of the node. */
function portsOf({ Config, NetworkSettings }: ContainerInspection, mode: NetworkMode, agent: LocalAgent) {
  const exposed = Object.fromEntries(Object.keys(Config.ExposedPorts ?? {}).map((name) => [name, null]));
  const published = mode === "host" ? {} : (NetworkSettings.Ports ?? {});
  return containerPorts({ ...exposed, ...published }, (hostIp) => isReachable(hostIp, agent));
}

/** Whether other nodes reach what is bound to this address of the node. */
function isReachable(hostIp: string, agent: LocalAgent): boolean {
  return hostIp === "" || hostIp === "0.0.0.0" || hostIp === "::" || agent.addresses.includes(canonical(hostIp) ?? "");
}

function addressesOf({ NetworkSettings }: ContainerInspection): TaskAddress[] {
  return Object.entries(NetworkSettings.Networks ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([network, { IPAddress = "", GlobalIPv6Address = "" } = {}]) =>
      [IPAddress, GlobalIPv6Address].flatMap((text) => {
        const address = canonical(text);
        return address === undefined ? [] : [{ address, network }];
      }),
    );
}

function canonical(text: string): string | undefined {
  const ip = tryParseIp(text);
  return ip === undefined ? undefined : formatIp(ip);
}
