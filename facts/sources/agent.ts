import type { DiscoveryPort, TaskAgent, TaskPort } from "../task.ts";

/** The node that a local source runs on, as its tasks name it. */
export type LocalAgent = TaskAgent;

/** Framework id of the tasks that a source on this node calls by one framework name: different on every node, so that
 *  equal task ids of two nodes stay two tasks. */
export function localFrameworkId(source: string, agent: LocalAgent, name: string): string {
  return `${source}.${agent.id}.${name}`;
}

/** Service records' ports of a task that has no discovery information of a framework: each port where others reach
 *  it. */
export function publishedPorts(ports: readonly TaskPort[]): DiscoveryPort[] {
  return ports.flatMap(({ protocol, host, container, name }) => {
    const number = host ?? container;
    if (number === undefined) return [];
    const scope = host === undefined ? ("container" as const) : ("host" as const);
    return [{ protocol, number, scope, ...(name !== undefined && { name }) }];
  });
}

/** Ports of the node that the ports' mappings take, ascending, each once. */
export function nodePorts(ports: readonly TaskPort[]): number[] {
  return [...new Set(ports.flatMap(({ host }) => host ?? []))].sort((a, b) => a - b);
}
