import { contains, equalIp, formatIp, type Ip, type Prefix } from "../../lib/address.ts";
import type { Cluster, ClusterNode, NodeSubnets, Overlay, OverlayRange } from "../cluster.ts";
import { currentAssignments } from "./assignment.ts";
import type { OverlayNetwork } from "./network.ts";
import type { AssignmentFact, NetworkFact } from "./types.ts";

export interface ClusterFacts {
  readonly networks: Iterable<NetworkFact>;
  readonly assignments: Iterable<AssignmentFact>;
  /** What a node itself says of its addresses, which is newer than the leader's word while masters are away. */
  readonly addressesOf: (node: string) => NodeAddresses | undefined;
  /** VXLAN network identifier, UDP port, and MTU of bridges: settings of the node, as in the nodes file. */
  readonly vni: number;
  readonly port: number;
  readonly overlayMtu: number | undefined;
}

export interface NodeAddresses {
  readonly address: Ip;
  readonly address6: Ip | undefined;
}

/**
 * The cluster as the data plane takes it, from facts instead of the static nodes file; nodes are named by their ids.
 * Undefined before any leader has spoken. A disabled overlay is in it as long as any node has a subnet there, so that
 * its containers go on talking.
 */
export function clusterOf(facts: ClusterFacts): Cluster | undefined {
  let newest: NetworkFact | undefined;
  for (const fact of facts.networks) if (newest === undefined || fact.epoch > newest.epoch) newest = fact;
  if (newest === undefined) return undefined;
  const { network } = newest;
  const assignments = currentAssignments(facts.assignments);
  return {
    vni: facts.vni,
    port: facts.port,
    overlayMtu: facts.overlayMtu,
    vtepMtu: network.vtepMtu,
    overlays: overlaysInUse(network, assignments),
    nodes: nodesOf(network, assignments, facts.addressesOf),
  };
}

function overlaysInUse(network: OverlayNetwork, assignments: readonly AssignmentFact[]): Overlay[] {
  const held = new Set(assignments.flatMap(({ subnets }) => [...subnets.keys()]));
  return network.overlays.filter(({ enabled, name }) => enabled || held.has(name));
}

/** Two nodes can't be behind one address. The leader's word on whose it is comes before the nodes' own. */
function nodesOf(
  network: OverlayNetwork,
  assignments: readonly AssignmentFact[],
  addressesOf: ClusterFacts["addressesOf"],
): ClusterNode[] {
  const byAddress = new Map<string, { node: ClusterNode; agreed: boolean }>();
  for (const assignment of assignments) {
    const own = addressesOf(assignment.node);
    const address = own?.address ?? assignment.address;
    if (assignment.vtep === undefined || address === undefined) continue;
    const agreed = assignment.address !== undefined && equalIp(assignment.address, address);
    const node: ClusterNode = {
      name: assignment.node,
      address,
      address6: own === undefined ? assignment.address6 : own.address6,
      vtep: assignment.vtep,
      subnets: subnetsWithin(network, assignment.subnets),
      pathMtu: undefined,
    };
    const key = formatIp(address);
    const rival = byAddress.get(key);
    if (rival === undefined || (agreed && !rival.agreed)) byAddress.set(key, { node, agreed });
  }
  return [...byAddress.values()].map(({ node }) => node).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Leaves out what an older leader gave from an overlay that has been replaced since. */
function subnetsWithin(
  network: OverlayNetwork,
  subnets: ReadonlyMap<string, NodeSubnets>,
): ReadonlyMap<string, NodeSubnets> {
  const kept = new Map<string, NodeSubnets>();
  for (const overlay of network.overlays) {
    const held = subnets.get(overlay.name);
    if (held === undefined) continue;
    kept.set(overlay.name, { v4: partOf(overlay.v4, held.v4), v6: partOf(overlay.v6, held.v6) });
  }
  return kept;
}

function partOf(range: OverlayRange | undefined, held: Prefix | undefined): Prefix | undefined {
  if (range === undefined || held === undefined) return undefined;
  return held.length === range.nodeLength && contains(range.subnet, held.ip) ? held : undefined;
}
