import type { Kernel } from "../kernel/kernel.ts";
import { formatIp, formatPrefix } from "../lib/address.ts";
import type { Cluster, ClusterNode } from "../overlay/cluster.ts";
import { ISOLATION_TABLE } from "../overlay/isolation.ts";
import { fdbKey, neighborKey, routeKey } from "../overlay/key.ts";
import { observe, surroundings } from "../overlay/observe.ts";
import { type Plan, planOverlay } from "../overlay/plan.ts";
import { type Desired, tableOf } from "../overlay/table.ts";
import { tableInputOf } from "../overlay/table-input.ts";

/** One node's overlay as the cluster wants it, and what its kernel is short of. Read without changing anything. */
export interface OverlayView {
  readonly cluster: Cluster;
  readonly self: ClusterNode;
  readonly desired: Desired;
  /** What an agent would do now. */
  readonly plan: Plan;
}

/** Compares the cluster with the kernel of its node called `node`. Throws a NetError when it has no node of this
 *  name. */
export function overlayView(kernel: Kernel, cluster: Cluster, node: string): OverlayView {
  const around = surroundings(kernel);
  const input = tableInputOf(cluster, node, around);
  const desired = tableOf(input);
  const plan = planOverlay(desired, observe(kernel, around, desired, isolationState(kernel, desired)));
  return { cluster, self: input.self, desired, plan };
}

/** Only the agent that wrote the table can tell whether it is unchanged; from outside, a table that is there counts
 *  as right. */
function isolationState(kernel: Kernel, desired: Desired): "absent" | "fits" {
  if (desired.isolation.length === 0) return "absent";
  return kernel.nftables.table("inet", ISOLATION_TABLE) === undefined ? "absent" : "fits";
}

/** A node of the cluster and how far this node's kernel leads to it. */
export interface PeerView {
  readonly node: string;
  readonly address: string;
  readonly address6: string | undefined;
  readonly endpoint: string;
  readonly endpoint6: string | undefined;
  readonly mac: string;
  /** Its part of each overlay, both families. */
  readonly subnets: Readonly<Record<string, readonly string[]>>;
  /** Kernel objects that lead to it, as wanted. */
  readonly objects: number;
  /** Those that an agent would have to make or correct. */
  readonly missing: readonly string[];
}

/** Every other node, those with something missing first. Linear in the number of kernel objects. */
export function peerViews({ cluster, self, desired, plan }: OverlayView): PeerView[] {
  const objects = objectsByPeer(desired, plan);
  const views = cluster.nodes
    .filter((node) => node !== self)
    .map((node): PeerView => {
      const { name, address, address6, vtep } = node;
      const endpoint = formatIp(vtep.ip.ip);
      const endpoint6 = vtep.ip6 === undefined ? undefined : formatIp(vtep.ip6.ip);
      const own = [vtep.mac, endpoint, endpoint6 ?? ""].flatMap((key) => objects.get(key) ?? []);
      return {
        node: name,
        address: formatIp(address),
        address6: address6 === undefined ? undefined : formatIp(address6),
        endpoint,
        endpoint6,
        mac: vtep.mac,
        subnets: subnetsOf(node),
        objects: own.length,
        missing: own.flatMap(({ text, present }) => (present ? [] : [text])),
      };
    });
  return views.sort((a, b) => b.missing.length - a.missing.length);
}

function subnetsOf(node: ClusterNode): Record<string, string[]> {
  const subnets: Record<string, string[]> = {};
  for (const [overlay, { v4, v6 }] of node.subnets) {
    subnets[overlay] = [v4, v6].flatMap((prefix) => (prefix === undefined ? [] : formatPrefix(prefix)));
  }
  return subnets;
}

interface PeerObject {
  readonly text: string;
  readonly present: boolean;
}

/** The wanted objects by what tells a peer: hardware address of a forwarding entry, endpoint of a neighbour, gateway of
 *  a route. */
function objectsByPeer({ fdb, neighbors, routes }: Desired, { peers, links }: Plan): Map<string, PeerObject[]> {
  const planned = plannedKeys(peers);
  // A device that has to be made has no entries, whatever the plan for them says.
  const anew = links.some((operation) => operation.do === "link.add" && operation.link.kind === "vxlan");
  const objects = new Map<string, PeerObject[]>();
  const add = (peer: string, key: string, text: string) => {
    const object = { text, present: !anew && !planned.has(key) };
    const list = objects.get(peer);
    if (list === undefined) objects.set(peer, [object]);
    else list.push(object);
  };
  for (const [key, { mac, remote }] of fdb) add(mac, `fdb ${key}`, `fdb ${mac} dst ${formatIp(remote)}`);
  for (const [key, { ip, mac }] of neighbors) {
    add(formatIp(ip), `neighbor ${key}`, `neighbor ${formatIp(ip)} lladdr ${mac}`);
  }
  for (const [key, { dst, gateway, table }] of routes) {
    if (gateway === undefined) continue;
    const where = table === undefined ? "" : ` table ${table}`;
    add(formatIp(gateway), `route ${key}`, `route ${formatPrefix(dst)} via ${formatIp(gateway)}${where}`);
  }
  return objects;
}

function plannedKeys(operations: Plan["peers"]): Set<string> {
  const keys = new Set<string>();
  for (const operation of operations) {
    if (operation.do === "fdb.add" || operation.do === "fdb.replace") keys.add(`fdb ${fdbKey(operation.entry)}`);
    if (operation.do === "neighbor.add" || operation.do === "neighbor.replace") {
      keys.add(`neighbor ${neighborKey(operation.neighbor)}`);
    }
    if (operation.do === "route.add" || operation.do === "route.replace")
      keys.add(`route ${routeKey(operation.route)}`);
  }
  return keys;
}
