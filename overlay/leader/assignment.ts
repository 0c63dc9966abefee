import { formatPrefix } from "../../lib/address.ts";
import type { OverlayNetwork } from "./network.ts";
import { holdingsOf, type NodeRecord } from "./registry.ts";
import type { AssignmentFact, Refusal } from "./types.ts";

const NO_WISH = { allocateSubnet: false, mesosBridge: false, dockerBridge: false } as const;

/** What the leader publishes of a node: its record, if it has one, and what it was refused. */
export function assignmentOf(
  node: string,
  record: NodeRecord | undefined,
  refused: readonly Refusal[],
  network: OverlayNetwork,
  epoch: number,
): AssignmentFact {
  const nothing = { address: undefined, address6: undefined, vtep: undefined, subnets: new Map(), wish: NO_WISH };
  if (record === undefined) return { node, epoch, ...nothing, refused };
  const { ip, ip6, mac } = record.vtep;
  const length6 = network.vtepSubnet6?.length;
  return {
    node,
    epoch,
    address: record.superseded ? undefined : record.address,
    address6: record.superseded ? undefined : record.address6,
    vtep: {
      ip: { ip, length: network.vtepSubnet.length },
      ip6: ip6 === undefined || length6 === undefined ? undefined : { ip: ip6, length: length6 },
      mac,
    },
    subnets: record.subnets,
    wish: record.wish,
    refused,
  };
}

/**
 * What of all assignments that a reader has ever got still counts, one for each node, sorted by node. For one node the
 * highest epoch wins; and an assignment is void as soon as one of a higher epoch gives any piece of it to another node.
 * So a deposed leader that goes on publishing changes nothing, and while a new one publishes, the nodes that it has not
 * come to yet stay reachable under the old one's word.
 */
export function currentAssignments(all: Iterable<AssignmentFact>): AssignmentFact[] {
  const newest = new Map<string, AssignmentFact>();
  for (const assignment of all) {
    const known = newest.get(assignment.node);
    if (known === undefined || assignment.epoch > known.epoch) newest.set(assignment.node, assignment);
  }
  const owners = new Map<string, AssignmentFact>();
  for (const assignment of newest.values()) {
    for (const piece of piecesOf(assignment)) {
      const owner = owners.get(piece);
      if (owner === undefined || assignment.epoch > owner.epoch) owners.set(piece, assignment);
    }
  }
  return [...newest.values()]
    .filter((assignment) => piecesOf(assignment).every((piece) => owners.get(piece) === assignment))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** Everything that only one node may have, as text. */
function piecesOf({ vtep, subnets }: AssignmentFact): string[] {
  if (vtep === undefined) return [];
  const endpoint = { ip: vtep.ip.ip, ip6: vtep.ip6?.ip, mac: vtep.mac };
  return [vtep.mac, ...holdingsOf({ vtep: endpoint, subnets }).map(({ piece }) => formatPrefix(piece))];
}
