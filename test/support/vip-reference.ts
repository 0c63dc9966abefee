import { isIPv4, isIPv6 } from "node:net";
import { referenceAddress, referenceName } from "./vip-reference-address.ts";

/** A label as Mesos writes it. */
export interface RawLabel {
  readonly key: string;
  readonly value: string;
}
export interface RawMapping {
  readonly protocol?: string;
  readonly host_port: number;
  readonly container_port: number;
}
export interface RawInfo {
  readonly name?: string;
  readonly ip_addresses?: readonly { readonly ip_address: string }[];
  readonly port_mappings?: readonly RawMapping[];
}
export interface RawStatus {
  readonly timestamp: number;
  readonly healthy?: boolean;
  readonly container_status?: { readonly network_infos?: readonly RawInfo[] };
}
interface RawId {
  readonly value: string;
}
interface RawResource {
  readonly name: string;
  readonly ranges?: { readonly range: readonly { readonly begin: number; readonly end: number }[] };
}
interface RawDiscoveryPort {
  readonly number: number;
  readonly protocol: string;
  readonly name?: string;
  readonly labels?: { readonly labels: readonly RawLabel[] };
}

/** A task as the operator API of Mesos writes it (mesos/v1/mesos.proto, Task), as much of it as the rules use. */
export interface RawTask {
  readonly task_id: RawId;
  readonly framework_id: RawId;
  readonly agent_id: RawId;
  readonly name: string;
  readonly state: string;
  readonly statuses?: readonly RawStatus[];
  readonly health_check?: object;
  readonly labels?: { readonly labels: readonly RawLabel[] };
  readonly resources?: readonly RawResource[];
  readonly discovery?: { readonly ports?: { readonly ports: readonly RawDiscoveryPort[] } };
  readonly container?: {
    readonly type: "MESOS" | "DOCKER";
    readonly network_infos?: readonly RawInfo[];
    readonly docker?: { readonly network?: string; readonly port_mappings?: readonly RawMapping[] };
  };
}

/** What the master knows. */
export interface RawState {
  readonly tasks: readonly RawTask[];
  /** Address by agent id. */
  readonly agents: ReadonlyMap<string, string>;
  /** Name by framework id. */
  readonly frameworks: ReadonlyMap<string, string>;
}

/** A port after merging, in the words of the reference. */
interface Port {
  readonly protocol: string;
  readonly port?: number;
  readonly host_port?: number;
  readonly vips: readonly string[];
}

interface Known {
  readonly task: RawTask;
  readonly framework: string;
  readonly agent: string;
  readonly addresses: readonly string[];
  readonly ports: readonly Port[];
}

/** Services with their backends and weights: `tcp 11.1.2.3:80` → `10.0.0.1:31000` → 1. */
export type VipTableText = Record<string, Record<string, number>>;

/** The table of virtual IPs that the rules of DC/OS' listener and balancer give on the node with this address, written
 *  from their description only. What is meant to differ is as ours: a
 *  datagram service drops what takes no more at once. */
export function referenceTable(state: RawState, node: string): VipTableText {
  const tasks = state.tasks.flatMap((task) => known(task, state) ?? []);
  const local = localPorts(tasks, node);
  const table: VipTableText = {};
  for (const { service, backend, weight } of tasks.flatMap((each) => sharesOf(each, local))) {
    const backends = table[service] ?? {};
    table[service] = backends;
    const takesNothing = weight === 0 && service.startsWith("udp ");
    if (!takesNothing) backends[backend] = Math.max(weight, backends[backend] ?? 0);
  }
  return table;
}

/** A backend that one label of a task gives to one service. */
interface Share {
  readonly service: string;
  readonly backend: string;
  readonly weight: number;
}

function sharesOf(each: Known, local: ReadonlyMap<string, Place>): Share[] {
  const weight = weightOf(each.task);
  if (weight === undefined) return [];
  return each.ports.flatMap((port) =>
    backendsOf(each, port).flatMap((backend) => {
      const place = local.get(`${port.protocol} ${placeText(backend)}`) ?? backend;
      const services = port.vips.flatMap((label) => serviceOf(label, port.protocol, each.framework, place) ?? []);
      return services.map((service) => ({ service, backend: placeText(place), weight }));
    }),
  );
}

interface Place {
  readonly ip: string;
  readonly port: number;
}

function placeText({ ip, port }: Place): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Undefined for a task that is no backend. */
function weightOf(task: RawTask): number | undefined {
  if (task.state === "TASK_KILLING") return 0;
  return task.state === "TASK_RUNNING" ? Number(isHealthy(task)) : undefined;
}

function known(task: RawTask, { agents, frameworks }: RawState): Known | undefined {
  const agent = agents.get(task.agent_id.value);
  const framework = frameworks.get(task.framework_id.value);
  if (agent === undefined || framework === undefined) return undefined;
  const infos = latest(task)?.container_status?.network_infos ?? [];
  const addresses = infos.flatMap(({ ip_addresses = [] }) => ip_addresses.map(({ ip_address }) => ip_address));
  const merged = merge(merge(mappedPorts(task), labelPorts(task)), discoveryPorts(task));
  const isHost = addresses.length === 1 && addresses[0] === agent;
  const ports = isHost
    ? merged.map(({ host_port, ...port }) => ({ ...port, port: host_port ?? port.port ?? 0 }))
    : merged;
  return { task, framework, agent, addresses, ports };
}

/** The status with the greatest time. Updates of master and agent say nothing of the container, which stays as it
 *  was. */
function latest({ statuses = [] }: RawTask): RawStatus | undefined {
  const sorted = [...statuses].sort((a, b) => a.timestamp - b.timestamp);
  const last = sorted.at(-1);
  const told = sorted.findLast(({ container_status }) => (container_status?.network_infos ?? []).length > 0);
  return last && { ...last, ...(told?.container_status && { container_status: told.container_status }) };
}

function isHealthy(task: RawTask): boolean {
  return latest(task)?.healthy ?? task.health_check === undefined;
}

function mappedPorts(task: RawTask): Port[] {
  const { container } = task;
  const described = container?.network_infos?.find((info) => info.port_mappings !== undefined)?.port_mappings;
  const told = latest(task)?.container_status?.network_infos?.flatMap((info) => info.port_mappings ?? []);
  const mappings = container?.type === "DOCKER" ? container.docker?.port_mappings : (described ?? told);
  return (mappings ?? []).map(({ protocol = "tcp", container_port: port, host_port }) => {
    return { protocol: protocol.toLowerCase(), port, host_port, vips: [] };
  });
}

function labelPorts({ labels, resources = [] }: RawTask): Port[] {
  const numbers = resources
    .filter(({ name }) => name === "ports")
    .flatMap(({ ranges }) => ranges?.range ?? [])
    .flatMap(({ begin, end }) => Array.from({ length: end - begin + 1 }, (_, index) => begin + index));
  return (labels?.labels ?? []).flatMap(({ key, value }): Port[] => {
    const index = /^vip_port(\d+)$/i.exec(key)?.[1];
    const [, protocol, vip] = /^(tcp|udp):\/\/(.*)$/.exec(value) ?? [];
    const host_port = numbers[Number(index ?? "-1")];
    if (protocol === undefined || vip === undefined || host_port === undefined) return [];
    return [{ protocol, host_port, vips: [vip] }];
  });
}

function discoveryPorts({ discovery }: RawTask): Port[] {
  return (discovery?.ports?.ports ?? []).flatMap(({ number, protocol, labels }): Port[] => {
    const all = labels?.labels ?? [];
    const scope = all.find(({ key }) => key === "network-scope")?.value;
    const vips = all.filter(({ key }) => key.startsWith("VIP") || key.startsWith("vip")).map(({ value }) => value);
    if (number === 0 || !/^(tcp|udp)$/i.test(protocol)) return [];
    const place = scope === "host" ? { host_port: number } : { port: number };
    return [{ protocol: protocol.toLowerCase(), ...place, vips }];
  });
}

/** Each port of the first list is laid over the first of the second that it fits. */
function merge(over: readonly Port[], under: readonly Port[]): Port[] {
  let all = [...under];
  for (const port of over) {
    const place = all.findIndex(
      (each) =>
        each.protocol === port.protocol &&
        ((port.port !== undefined && each.port === port.port) ||
          (port.host_port !== undefined && each.host_port === port.host_port)),
    );
    const there = all[place];
    if (there === undefined) all = [port, ...all];
    else all[place] = { ...there, ...port, vips: [...there.vips, ...port.vips] };
  }
  return all;
}

function backendsOf({ agent, addresses }: Known, { port, host_port }: Port): Place[] {
  if (host_port !== undefined) return [{ ip: agent, port: host_port }];
  return port === undefined ? [] : addresses.map((ip) => ({ ip, port }));
}

/** Where the mapped ports of this node lead that aren't Docker's, which must be reached as they are. */
function localPorts(tasks: readonly Known[], node: string): Map<string, Place> {
  const local = new Map<string, Place>();
  for (const { task, agent, addresses, ports } of tasks) {
    const [ip] = addresses;
    if (agent !== node || task.container?.type === "DOCKER" || ip === undefined) continue;
    for (const { protocol, host_port, port } of ports) {
      if (host_port !== undefined && port !== undefined) local.set(`${protocol} ${node}:${host_port}`, { ip, port });
    }
  }
  return local;
}

/** The service of a label that a backend has a part in. */
function serviceOf(label: string, protocol: string, framework: string, { ip }: Place): string | undefined {
  const family = isIPv6(ip) ? 6 : 4;
  const colon = label.lastIndexOf(":");
  const [left, port] = [label.slice(0, colon), label.slice(colon + 1)];
  if (colon < 1 || !/^\d+$/.test(port) || Number(port) < 1) return undefined;
  if (isIPv4(left)) return family === 4 ? `${protocol} ${left}:${Number(port)}` : undefined;
  if (isIPv6(left)) return family === 6 ? `${protocol} [${left}]:${Number(port)}` : undefined;
  return `${protocol} ${referenceAddress(referenceName(left, framework), family)}:${Number(port)}`;
}
