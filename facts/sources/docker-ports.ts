import { ShapeError } from "../shape.ts";
import { balanceOf, type Protocol, type TaskPort } from "../task.ts";

/** One port of a container before its labels are known. */
export interface ContainerPort {
  readonly protocol: Protocol;
  readonly container: number;
  /** Port of the node that leads to it, reachable from other nodes. */
  readonly host?: number;
}

/** A binding as the engine says it: `{"HostIp": "0.0.0.0", "HostPort": "31000"}`. */
export interface PortBinding {
  readonly HostIp?: string;
  readonly HostPort?: string;
}

/** Ports by the engine's name for them (`80/tcp`), each with its bindings. */
export type PortMap = Readonly<Record<string, readonly PortBinding[] | null | undefined>>;

/** The ports of a container, exposed or published, sorted. A port that is bound to loopback only counts as not
 *  published, since no other node can use it. `reachable` says whether other nodes reach the node at an address. */
export function containerPorts(map: PortMap, reachable: (hostIp: string) => boolean): ContainerPort[] {
  const ports = new Map<string, ContainerPort>();
  for (const [name, bindings] of Object.entries(map)) {
    const port = tryPortName(name);
    if (port === undefined) continue;
    const hosts = (bindings ?? []).filter(({ HostIp = "" }) => reachable(HostIp)).flatMap(hostPort);
    if (hosts.length === 0) ports.set(name, port);
    for (const host of hosts) ports.set(`${name} ${host}`, { ...port, host });
  }
  return [...ports.values()].sort(byNumber);
}

/**
 * The ports with the names and virtual IPs of the container's labels:
 *
 * - `VIP_<anything>=<name or address>:<port>` puts a virtual IP on the port that `VIP_<anything>.port=8080/tcp` names;
 *   else on the only port of the container; else on those with the number of the virtual IP's own port.
 * - `L4LB_SCHEDULER`, `L4LB_AFFINITY` and `L4LB_WEIGHT` say how the virtual IPs of all its ports balance.
 * - `dcos.port.8080/tcp=<name>` names a port (`/tcp` may be left out).
 *
 * A port that a label names need not be exposed. Throws a ShapeError that names the label.
 */
export function labelledPorts(ports: readonly ContainerPort[], labels: Readonly<Record<string, string>>): TaskPort[] {
  const drafts = ports.map((port) => ({ ...port, vips: new Set<string>(), name: undefined as string | undefined }));
  const at = (wanted: ContainerPort) => {
    const found = drafts.filter((port) => samePort(port, wanted));
    if (found.length > 0) return found;
    const added = { ...wanted, vips: new Set<string>(), name: undefined as string | undefined };
    drafts.push(added);
    return [added];
  };
  for (const [label, value] of sorted(labels)) {
    if (isVipLabel(label)) {
      const vipPort = vipPortOf(label, value);
      for (const wanted of vipTargets(label, vipPort, drafts, labels))
        for (const port of at(wanted)) port.vips.add(value);
    } else if (label.startsWith(PORT_NAME)) {
      for (const port of at(portName(label, label.slice(PORT_NAME.length)))) port.name = value;
    }
  }
  const balance = balanceOf((name) => labels[name]);
  return drafts.sort(byNumber).map(({ protocol, container, host, name, vips }) => ({
    protocol,
    ...(host !== undefined && { host }),
    container,
    ...(name !== undefined && { name }),
    vips: [...vips].sort(),
    ...(balance !== undefined && vips.size > 0 && { balance }),
  }));
}

/** True for the labels that declare a virtual IP, as on Mesos: they start with `VIP` or `vip`. */
export function isVipLabel(label: string): boolean {
  return /^(?:VIP|vip)[^.]*$/.test(label);
}

const PORT_NAME = "dcos.port.";

function vipTargets(
  label: string,
  vipPort: number,
  ports: readonly ContainerPort[],
  labels: Readonly<Record<string, string>>,
): readonly ContainerPort[] {
  const named = labels[`${label}.port`];
  if (named !== undefined) return [portName(`${label}.port`, named)];
  const [only] = ports;
  const distinct = new Set(ports.map(({ protocol, container }) => `${container}/${protocol}`));
  if (only === undefined) return [{ protocol: "tcp", container: vipPort }];
  if (distinct.size === 1) return [only];
  const equal = ports.filter(({ container }) => container === vipPort);
  if (equal.length > 0) return equal;
  throw new ShapeError(
    label,
    `the container has the ports ${[...distinct].join(", ")}: say which with '${label}.port'`,
  );
}

/** The port after the last colon. */
function vipPortOf(label: string, value: string): number {
  const colon = value.lastIndexOf(":");
  const digits = value.slice(colon + 1);
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
  if (colon < 1 || port < 1 || port > 65_535)
    throw new ShapeError(
      label,
      `${JSON.stringify(value.slice(0, 100))} is not <name or address>:<port>, such as /shop:80`,
    );
  return port;
}

function portName(label: string, text: string): ContainerPort {
  const port = tryPortName(text);
  if (port === undefined)
    throw new ShapeError(label, `${JSON.stringify(text.slice(0, 100))} is not a port such as 8080 or 53/udp`);
  return port;
}

function tryPortName(text: string): ContainerPort | undefined {
  const [, digits, protocol = "tcp"] = /^([1-9]\d{0,4})(?:\/(tcp|udp|sctp))?$/.exec(text) ?? [];
  const container = Number(digits ?? 0);
  if (container < 1 || container > 65_535) return undefined;
  return { protocol: protocol as Protocol, container };
}

function hostPort({ HostPort = "" }: PortBinding): number[] {
  const port = /^[1-9]\d{0,4}$/.test(HostPort) ? Number(HostPort) : 0;
  return port > 0 && port <= 65_535 ? [port] : [];
}

function samePort(a: ContainerPort, b: ContainerPort): boolean {
  return a.protocol === b.protocol && a.container === b.container;
}

function byNumber(a: ContainerPort, b: ContainerPort): number {
  if (a.container !== b.container) return a.container - b.container;
  if (a.protocol !== b.protocol) return a.protocol < b.protocol ? -1 : 1;
  return (a.host ?? 0) - (b.host ?? 0);
}

function sorted(labels: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
}
