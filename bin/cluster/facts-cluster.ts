import type { AssignmentFact } from "../../facts/fact.ts";
import type { Snapshot } from "../../facts/view.ts";
import { type Ip, parseIp } from "../../lib/address.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import { clusterOf, type NodeAddresses } from "../../overlay/leader/cluster-view.ts";
import { assignmentOfBody, networkOfBody } from "../../overlay/leader/fact-body.ts";

/** The cluster for the node `self`, from the facts of all; undefined while this node has no assignment. Nodes that
 *  can't be reached are in it until they are forgotten. The configuration is the one in this node's own assignment:
 *  every assignment of one leadership carries it. A node that says nothing at this moment, as one that has just begun
 *  anew, is where it was in the `former` cluster. `overlayMtu` in bytes. */
export function clusterFromFacts(
  view: Snapshot,
  self: string,
  overlayMtu: number | undefined,
  former?: Cluster,
): Cluster | undefined {
  const own = view.assignments.get(self)?.body;
  const network = own && networkOfBody(own);
  if (own?.vtep === undefined || network === undefined) return undefined;
  const before = new Map(former?.nodes.map((node) => [node.name, node]));
  return clusterOf({
    networks: [network],
    assignments: assignmentsOf(view.assignments.values()),
    addressesOf: (id) => addressesIn(view, id) ?? before.get(id),
    vni: own.vtep.vni,
    port: own.vtep.port,
    overlayMtu,
  });
}

/** Greatest epoch of which a leader says that all its assignments are published; 0 when none does. */
export function claimedEpoch({ nodes }: Snapshot): number {
  let claimed = 0;
  for (const { fact } of nodes.values()) claimed = Math.max(claimed, fact.body.speaks.overlayEpoch ?? 0);
  return claimed;
}

/** False while a new leader's assignments are on their way and its claim, which comes after them, isn't here: what the
 *  former leader takes back may be missing then, though nobody is gone. */
export function isWhole(view: Snapshot): boolean {
  const claimed = claimedEpoch(view);
  for (const { body } of view.assignments.values()) if (body.epoch > claimed) return false;
  return true;
}

function* assignmentsOf(facts: Iterable<AssignmentFact>) {
  for (const { body } of facts) yield assignmentOfBody(body);
}

function addressesIn({ nodes }: Snapshot, id: string): NodeAddresses | undefined {
  const addresses = nodes.get(id)?.fact.body.addresses.map(parseIp) ?? [];
  return underlayAddresses(addresses);
}

/** The first address of each family; undefined without one of IPv4, to which the tunnel's packets go. */
export function underlayAddresses(addresses: readonly Ip[]): NodeAddresses | undefined {
  const address = addresses.find(({ family }) => family === 4);
  return address && { address, address6: addresses.find(({ family }) => family === 6) };
}
