import type { AssignmentBody, OverlayAssignment } from "../../facts/fact.ts";
import { formatPrefix, networkOf, type Prefix, parsePrefix } from "../../lib/address.ts";
import type { NodeSubnets, Overlay, OverlayRange } from "../cluster.ts";
import type { OverlayNetwork } from "./network.ts";
import type { AssignmentFact, NetworkFact, Refusal } from "./types.ts";

/** Settings of the tunnel that are the same on all nodes and not the leader's. */
export interface Tunnel {
  readonly vni: number;
  readonly port: number;
}

/**
 * An assignment as the body of a fact that gossip carries. Each has all overlays with their ranges, so that a node
 * needs only its own to know the configuration. A node that was refused as a whole is told why. Undefined when another
 * one has its address now.
 */
export function assignmentBody(
  assignment: AssignmentFact,
  network: OverlayNetwork,
  { vni, port }: Tunnel,
): AssignmentBody | undefined {
  const { node, epoch, vtep, address, refused } = assignment;
  const whole = refused.find(({ overlay }) => overlay === undefined);
  if (vtep === undefined && whole !== undefined) return { node, epoch, overlays: [], refusal: sentenceOf(whole) };
  if (vtep === undefined || address === undefined) return undefined;
  return {
    node,
    epoch,
    vtep: {
      vni,
      port,
      ip: formatPrefix(vtep.ip),
      ...(vtep.ip6 && { ip6: formatPrefix(vtep.ip6) }),
      mac: vtep.mac,
      ...(network.vtepMtu !== undefined && { mtu: network.vtepMtu }),
    },
    overlays: network.overlays.map((overlay) => overlayPart(overlay, assignment)),
    ...(whole && { refusal: sentenceOf(whole) }),
  };
}

/** The assignment in a fact's body, which the facts' codec has checked. What only the leader knows is left open: the
 *  addresses come from the node's own fact. */
export function assignmentOfBody({ node, epoch, vtep, overlays }: AssignmentBody): AssignmentFact {
  const subnets = new Map<string, NodeSubnets>();
  for (const { name, subnet, subnet6 } of overlays) {
    if (subnet === undefined && subnet6 === undefined) continue;
    subnets.set(name, { v4: prefixOf(subnet), v6: prefixOf(subnet6) });
  }
  return {
    node,
    epoch,
    address: undefined,
    address6: undefined,
    vtep: vtep && { ip: parsePrefix(vtep.ip), ip6: prefixOf(vtep.ip6), mac: vtep.mac },
    subnets,
    wish: {
      allocateSubnet: subnets.size > 0,
      mesosBridge: overlays.some(({ mesosBridge }) => mesosBridge),
      dockerBridge: overlays.some(({ dockerBridge }) => dockerBridge),
    },
    refused: [],
  };
}

/** The configuration as a node knows it from its own assignment; undefined when the node was refused as a whole. */
export function networkOfBody({ epoch, vtep, overlays }: AssignmentBody): NetworkFact | undefined {
  if (vtep === undefined) return undefined;
  const ip6 = prefixOf(vtep.ip6);
  return {
    epoch,
    network: {
      vtepSubnet: networkOf(parsePrefix(vtep.ip)),
      vtepSubnet6: ip6 && networkOf(ip6),
      macOui: vtep.mac.slice(0, 8),
      vtepMtu: vtep.mtu,
      overlays: overlays.map(({ name, range, range6, enabled, isolated }) => {
        return { name, v4: rangeOfText(range), v6: rangeOfText(range6), enabled, isolated };
      }),
    },
  };
}

function overlayPart(overlay: Overlay, { subnets, wish, refused }: AssignmentFact): OverlayAssignment {
  const { name, v4, v6, isolated, enabled } = overlay;
  const held = subnets.get(name);
  const refusal = refused.find((each) => each.overlay === name);
  return {
    name,
    ...(v4 && { range: rangeText(v4) }),
    ...(v6 && { range6: rangeText(v6) }),
    ...(held?.v4 && { subnet: formatPrefix(held.v4) }),
    ...(held?.v6 && { subnet6: formatPrefix(held.v6) }),
    isolated,
    enabled,
    mesosBridge: held !== undefined && wish.mesosBridge,
    dockerBridge: held !== undefined && wish.dockerBridge,
    ...(refusal && { refusal: sentenceOf(refusal) }),
  };
}

function sentenceOf({ key, reason, remedy }: Refusal): string {
  return `${key}: ${reason}; ${remedy}`;
}

function rangeText({ subnet, nodeLength }: OverlayRange): { subnet: string; prefix: number } {
  return { subnet: formatPrefix(subnet), prefix: nodeLength };
}

function rangeOfText(range: OverlayAssignment["range"]): OverlayRange | undefined {
  return range && { subnet: parsePrefix(range.subnet), nodeLength: range.prefix };
}

function prefixOf(text: string | undefined): Prefix | undefined {
  return text === undefined ? undefined : parsePrefix(text);
}
