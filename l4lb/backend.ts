import type { Task, TaskPort } from "../facts/task.ts";
import { type Family, type Ip, parseIp } from "../lib/address.ts";

/** Where a port of a task is reached. */
export interface Place {
  readonly ip: Ip;
  /** 1 … 65535. */
  readonly port: number;
}

/**
 * Where connections to a port of a task are sent by a node, `isOwn` when the task runs on it
 * (dcos_l4lb_mesos_poller:backends/3):
 *
 * - A mapped port is reached at the task's node, since its container's address may be known there only. On that node
 *   itself what was translated once isn't translated again, so the container's own address is taken; but not Docker's,
 *   so that a container reaches itself through the engine's own mapping.
 * - A port in the node's own network is reached at the node.
 * - Every other is reached at all addresses of its container.
 *
 * Of a node one address of each family counts. The reference knows nodes by IPv4 only; here a mapped port is reached
 * over IPv6 too, where node and container both have it.
 */
export function placesOf(task: Task, port: TaskPort, isOwn: boolean): Place[] {
  const { host, container } = port;
  const containers = task.addresses.map(({ address }) => parseIp(address));
  const nodes = oneOfEachFamily(task.agent.addresses.map(parseIp));
  if (task.mode === "host") {
    const number = container ?? host;
    return at(containers.length > 0 ? oneOfEachFamily(containers) : nodes, number);
  }
  if (host === undefined) return at(containers, container);
  const own = oneOfEachFamily(containers);
  if (isOwn && task.runtime !== "docker" && container !== undefined && own.length > 0) return at(own, container);
  return at(
    nodes.filter(({ family }) => family === 4 || own.some((ip) => ip.family === 6)),
    host,
  );
}

function at(addresses: readonly Ip[], port: number | undefined): Place[] {
  return port === undefined ? [] : addresses.map((ip) => ({ ip, port }));
}

function oneOfEachFamily(addresses: readonly Ip[]): Ip[] {
  const first = (family: Family): Ip[] => addresses.filter((ip) => ip.family === family).slice(0, 1);
  return [...first(4), ...first(6)];
}
