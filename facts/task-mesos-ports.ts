import { LIMIT } from "./limit.ts";
import { balanceOf, type Protocol, type TaskPort } from "./task.ts";
import { labelsOf, listOf, memberOf, textOf, wholeOf } from "./task-mesos-json.ts";

/** One port as one of its sources tells it. */
export interface MesosPort extends TaskPort {
  /** Container network it is published for (discovery label `network-name`). */
  readonly network?: string;
}

const HIGHEST_PORT = 65_535;

const PROTOCOLS: Readonly<Record<string, Protocol>> = { tcp: "tcp", udp: "udp", sctp: "sctp" };

/** `port_mappings` of a Docker or CNI container. Without protocol a mapping is TCP, as Mesos' port mapper has it. */
export function mappedPorts(mappings: unknown): MesosPort[] {
  return listOf(mappings).flatMap((mapping) => {
    const protocol = PROTOCOLS[(textOf(memberOf(mapping, "protocol")) ?? "tcp").toLowerCase()];
    const host = portOf(memberOf(mapping, "host_port"));
    const container = portOf(memberOf(mapping, "container_port"));
    if (protocol === undefined || container === undefined) return [];
    return [{ protocol, ...(host !== undefined && { host }), container, vips: [] }];
  });
}

/** Ports of discovery information. A port without protocol is there as tcp and as udp. One with a protocol we don't
 *  know, with number 0, or with a contradictory scope is left out; upstream loses all ports of the task by such a
 *  scope. */
export function publishedPorts(ports: unknown): MesosPort[] {
  return listOf(ports).flatMap((port) => {
    const number = portOf(memberOf(port, "number"));
    const labels = labelsOf(memberOf(port, "labels"));
    const scope = scopeOf(labels);
    if (number === undefined || scope === undefined) return [];
    const name = textOf(memberOf(port, "name"));
    const network = labels.find(([key]) => key === "network-name")?.[1];
    const balance = balanceOf((wanted) => labels.find(([key]) => key === wanted)?.[1]);
    const common = {
      [scope]: number,
      ...(name && { name }),
      vips: sortedOnce(labels.filter(([key]) => /^(VIP|vip)/.test(key)).map(([, value]) => value)),
      ...(balance && { balance }),
      ...(network && { network }),
    };
    return protocolsOf(memberOf(port, "protocol")).map((protocol) => ({ protocol, ...common }));
  });
}

/** The `ports` resources as single numbers, in order, at most as many as a task may have. */
export function resourcePorts(resources: unknown): number[] {
  const numbers: number[] = [];
  for (const resource of listOf(resources)) {
    if (memberOf(resource, "name") !== "ports") continue;
    for (const range of listOf(memberOf(resource, "ranges", "range"))) {
      const begin = portOf(memberOf(range, "begin"));
      const end = portOf(memberOf(range, "end"));
      if (begin === undefined || end === undefined) continue;
      for (let port = begin; port <= end && numbers.length < LIMIT.agentPorts; port++) numbers.push(port);
    }
    const single = portOf(memberOf(resource, "scalar", "value"));
    if (single !== undefined && numbers.length < LIMIT.agentPorts) numbers.push(single);
  }
  return numbers;
}

/**
 * Folds `additions` into `base`: an addition overlays every entry of the same protocol with the same container port or
 * the same host port (its fields win, VIPs are united); one that fits nowhere comes first. Upstream overlays only the
 * first such entry, so that of two published ports that one mapping joins (one by its host port, one by its container
 * port) the second stayed without host port and its VIP led to an address that other nodes can't reach.
 */
export function mergePorts(additions: readonly MesosPort[], base: readonly MesosPort[]): MesosPort[] {
  let merged: MesosPort[] = [...base];
  for (const addition of additions) {
    if (!merged.some((port) => samePort(port, addition))) merged = [addition, ...merged];
    else merged = merged.map((port) => (samePort(port, addition) ? overlay(port, addition) : port));
  }
  return uniteEqual(merged, (port) => `${port.protocol} ${port.host} ${port.container} ${port.name}`);
}

/** The ports of a task in the node's own network: every host port is its port, and there is one entry for a number and
 *  protocol, the earlier one's name winning. */
export function hostModePorts(ports: readonly MesosPort[]): MesosPort[] {
  const own = ports.map(({ host, ...port }) => (host === undefined ? port : { ...port, container: host }));
  return uniteEqual(own, (port) => `${port.protocol} ${port.container}`);
}

function samePort(a: MesosPort, b: MesosPort): boolean {
  if (a.protocol !== b.protocol) return false;
  return (a.container !== undefined && a.container === b.container) || (a.host !== undefined && a.host === b.host);
}

function overlay(under: MesosPort, over: MesosPort): MesosPort {
  const balance = over.balance ?? under.balance;
  return { ...under, ...over, vips: sortedOnce([...under.vips, ...over.vips]), ...(balance && { balance }) };
}

function uniteEqual(ports: readonly MesosPort[], keyOf: (port: MesosPort) => string): MesosPort[] {
  const byKey = new Map<string, MesosPort>();
  for (const port of ports) {
    const earlier = byKey.get(keyOf(port));
    byKey.set(keyOf(port), earlier === undefined ? port : overlay(port, earlier));
  }
  return [...byKey.values()];
}

function scopeOf(labels: readonly (readonly [string, string])[]): "host" | "container" | undefined {
  const scopes = labels.filter(([key]) => key === "network-scope").map(([, value]) => value);
  const [scope = "container"] = scopes;
  return scopes.length <= 1 && (scope === "host" || scope === "container") ? scope : undefined;
}

function protocolsOf(value: unknown): Protocol[] {
  const text = textOf(value);
  if (text === undefined || text === "") return ["tcp", "udp"];
  const protocol = PROTOCOLS[text.toLowerCase()];
  return protocol === undefined ? [] : [protocol];
}

function portOf(value: unknown): number | undefined {
  return wholeOf(value, 1, HIGHEST_PORT);
}

function sortedOnce(texts: readonly string[]): string[] {
  return [...new Set(texts)].filter((text) => text !== "").sort();
}
