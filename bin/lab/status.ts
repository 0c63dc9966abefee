import { readFileSync } from "node:fs";
import type { Kernel } from "../../kernel/kernel.ts";
import type { ClusterSummary } from "../cluster-source.ts";
import { age, table } from "../output.ts";
import { isAlive } from "../process.ts";
import { healthOf, readStatus } from "../status-file.ts";
import { containersOf } from "./container.ts";
import { inNamespace, type Lab, type LabContext } from "./lab.ts";
import type { NodeLayout } from "./layout.ts";
import type { PortMapping } from "./runtime.ts";
import type { LabNode } from "./topology.ts";

/** Packets of a link since it was made (proc_pid_net(5), `dev`). */
export interface LinkCounters {
  readonly link: string;
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
}

export interface LabNodeStatus extends LabNode {
  readonly agent: { readonly pid: number | undefined; readonly healthy: boolean; readonly news: readonly string[] };
  /** Undefined in a static lab. */
  readonly cluster: ClusterSummary | undefined;
  readonly peers: number;
  readonly repairs: number;
  /** How long ago the last good pass ended, milliseconds. */
  readonly lastSuccessAgeMs: number | undefined;
  readonly mtu: number | undefined;
  /** Of the VXLAN device. */
  readonly tunnel: LinkCounters | undefined;
}

export interface LabContainerStatus {
  readonly name: string;
  readonly node: string;
  readonly overlay: string;
  readonly addresses: readonly string[];
  readonly publish: readonly PortMapping[];
  readonly vips: readonly string[];
  readonly state: "running" | "ended" | "half made";
  readonly pid: number | undefined;
  readonly command: readonly string[];
  /** Path of the file that the command writes to. */
  readonly netns: string;
}

export interface LabStatus {
  readonly name: string;
  readonly healthy: boolean;
  readonly nodes: readonly LabNodeStatus[];
  readonly containers: readonly LabContainerStatus[];
}

/** What there is of a lab, as its hosts' agents and kernels say. */
export async function labStatus(context: LabContext, lab: Lab, now: number): Promise<LabStatus> {
  const nodes = await Promise.all(
    lab.record.nodes.map((node, index) => nodeStatus(context, node, lab.nodes[index], now)),
  );
  const containers = containersOf(context.files, lab).map((record): LabContainerStatus => {
    const { name, node, overlay, addresses = [], publish, vips, process: started, command, attachment } = record;
    const state = started === undefined ? "half made" : isAlive(started) ? "running" : "ended";
    const { netns } = attachment;
    return { name, node, overlay, addresses, publish, vips, state, pid: started?.pid, command, netns };
  });
  const healthy = nodes.every(({ agent }) => agent.healthy);
  return { name: lab.layout.name, healthy, nodes, containers };
}

async function nodeStatus(
  { kernel, files }: LabContext,
  node: LabNode,
  place: NodeLayout | undefined,
  now: number,
): Promise<LabNodeStatus> {
  if (place === undefined) throw new Error("every host of a lab has its place");
  const status = readStatus(files, place.runDir);
  const { healthy, news } = healthOf(status, place.runDir);
  return {
    ...node,
    agent: { pid: status?.process.pid, healthy, news },
    cluster: status?.cluster,
    peers: status?.counts.peers ?? 0,
    repairs: status?.counts.repairs ?? 0,
    lastSuccessAgeMs: status?.lastSuccess === undefined ? undefined : now - Date.parse(status.lastSuccess),
    mtu: status?.mtu?.bytes,
    tunnel: await inNamespace(kernel, place.netns, tunnelCounters),
  };
}

function tunnelCounters(host: Kernel): LinkCounters | undefined {
  const device = host.links().find(({ kind }) => kind === "vxlan");
  if (device === undefined) return undefined;
  return countersOf(
    host.enter(() => readFileSync("/proc/thread-self/net/dev", "utf8")),
    device.name,
  );
}

/** The counters of one link in the text of /proc/net/dev; undefined when it has no such link. */
export function countersOf(text: string, link: string): LinkCounters | undefined {
  const line = text.split("\n").find((candidate) => candidate.trimStart().startsWith(`${link}:`));
  if (line === undefined) return undefined;
  const numbers = line
    .slice(line.indexOf(":") + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  const [receivedBytes = 0, receivedPackets = 0] = numbers;
  const [sentBytes = 0, sentPackets = 0] = numbers.slice(8);
  return { link, receivedBytes, receivedPackets, sentBytes, sentPackets };
}

/** The status on one screen, hosts with bad news first. */
export function labStatusLines(status: LabStatus): string[] {
  const nodes = status.nodes.toSorted((a, b) => Number(a.agent.healthy) - Number(b.agent.healthy));
  const news = nodes.flatMap(({ name, agent }) => agent.news.map((line) => `${name}: ${line}`));
  const hosts = table(
    ["HOST", "ADDRESSES", "AGENT", "MEMBERS", "PEERS", "LAST GOOD PASS", "REPAIRS", "MTU", "TUNNEL RECEIVED", "SENT"],
    nodes.map((node) => [
      node.name,
      [node.address, node.address6].filter((text) => text !== undefined).join(" "),
      node.agent.healthy ? `healthy (${node.agent.pid})` : "NOT HEALTHY",
      membersText(node.cluster),
      String(node.peers),
      node.lastSuccessAgeMs === undefined ? "never" : `${age(node.lastSuccessAgeMs)} ago`,
      String(node.repairs),
      node.mtu === undefined ? "-" : String(node.mtu),
      node.tunnel === undefined ? "no tunnel" : `${node.tunnel.receivedPackets} packets`,
      node.tunnel === undefined ? "" : `${node.tunnel.sentPackets} packets`,
    ]),
    [4, 6, 7],
  );
  if (status.containers.length === 0) return [...news, ...hosts, "no containers"];
  const containers = table(
    ["CONTAINER", "HOST", "OVERLAY", "ADDRESSES", "STATE", "PORTS", "VIPS", "COMMAND"],
    status.containers.map((container) => [
      container.name,
      container.node,
      container.overlay,
      container.addresses.join(" "),
      container.state,
      container.publish.map(formatPort).join(" "),
      container.vips.join(" "),
      container.command.join(" ").slice(0, 60),
    ]),
  );
  return [...news, ...hosts, "", ...containers];
}

function membersText(cluster: ClusterSummary | undefined): string {
  if (cluster === undefined) return "static";
  const { alive, unreachable, leader } = cluster;
  const gone = unreachable === 0 ? "" : `, ${unreachable} unreachable`;
  return `${alive} alive${gone}${leader === undefined ? "" : leader.leads ? ", leader" : ", master"}`;
}

/** `8080:80/tcp`, with the host address before it when there is one. */
export function formatPort({ hostIP, hostPort, containerPort, protocol }: PortMapping): string {
  const host = hostIP === undefined ? "" : hostIP.includes(":") ? `[${hostIP}]:` : `${hostIP}:`;
  return `${host}${hostPort}:${containerPort}/${protocol}`;
}
