import type { Ip } from "../../lib/address.ts";
import type { NodeSubnets, Vtep } from "../cluster.ts";
import type { OverlayNetwork } from "./network.ts";

/** What a node asks the leader for; the fields of the reference's `AgentNetworkConfig`. */
export interface NodeWish {
  /** A subnet of each enabled overlay, for containers. Masters leave it off, and get a tunnel endpoint only. */
  readonly allocateSubnet: boolean;
  /** The lower half of each subnet is for Mesos and CNI. */
  readonly mesosBridge: boolean;
  /** The upper half is for Docker. The halves are fixed, whichever are asked for. */
  readonly dockerBridge: boolean;
}

/** What a node says of itself, as far as the leader needs it. */
export interface NodeFact {
  /** Made once by the node and kept on its disk, so that the node is recognised after its address has changed. See
   *  {@link isNodeId}. */
  readonly id: string;
  /** On the underlay. */
  readonly address: Ip;
  readonly address6: Ip | undefined;
  readonly wish: NodeWish;
}

/** Why a node got less than it asked for. */
export interface Refusal {
  readonly code: "exhausted" | "conflict" | "invalid";
  /** Key of the configuration that names the pool, or `address` when the node's own address is the trouble. */
  readonly key: string;
  /** The overlay that the node goes without; undefined when it goes without any. */
  readonly overlay: string | undefined;
  readonly reason: string;
  readonly remedy: string;
}

/** What the leader decided for one node. It is published only after it is stored. */
export interface AssignmentFact {
  readonly node: string;
  /** Leadership under which it was published; a later one always wins. */
  readonly epoch: number;
  /** Address of the node as the leader knows it; undefined when another node has that address now. */
  readonly address: Ip | undefined;
  readonly address6: Ip | undefined;
  /** Undefined when the node was refused as a whole. */
  readonly vtep: Vtep | undefined;
  /** By overlay name. */
  readonly subnets: ReadonlyMap<string, NodeSubnets>;
  readonly wish: NodeWish;
  readonly refused: readonly Refusal[];
}

/** The overlays in force, as the leader of this epoch says. */
export interface NetworkFact {
  readonly epoch: number;
  readonly network: OverlayNetwork;
}

/** What a node reports of one overlay. */
export interface OverlayStatus {
  readonly node: string;
  readonly overlay: string;
  readonly status: "STATUS_OK" | "STATUS_FAILED" | "STATUS_CONFIGURING";
  readonly error: string | undefined;
  /** Containers attached to the overlay on that node. */
  readonly containers: number;
}

/** What a node asks for when its operator says nothing: agents everything, masters only a tunnel endpoint. */
export function defaultWish(role: "agent" | "master"): NodeWish {
  const agent = role === "agent";
  return { allocateSubnet: agent, mesosBridge: agent, dockerBridge: agent };
}

/** True for 1 to 128 letters, digits, `_`, `.`, `-`, the first a letter or digit: safe as a file name, a ZooKeeper path
 *  component and a metric label. */
export function isNodeId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(text);
}
