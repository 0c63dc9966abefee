import type { Ip, Prefix } from "../lib/address.ts";

/** One overlay network: an address space that is cut into one subnet for each node. At least one family is given. */
export interface Overlay {
  /** Also the CNI network name and the Docker network name. */
  readonly name: string;
  readonly v4: OverlayRange | undefined;
  readonly v6: OverlayRange | undefined;
  /** Its containers reach, and are reached by, only their own overlay, the DNS addresses and destination-translated
   *  flows. */
  readonly isolated: boolean;
  /** False: nodes that have a subnet keep it, so that its containers go on talking, but no other node gets one and no
   *  container is attached any more. */
  readonly enabled: boolean;
}

/** The addresses of one family of an overlay. */
export interface OverlayRange {
  readonly subnet: Prefix;
  /** Prefix length of each node's part. */
  readonly nodeLength: number;
}

/** One node's part of one overlay, families as the overlay has them. */
export interface NodeSubnets {
  readonly v4: Prefix | undefined;
  readonly v6: Prefix | undefined;
}

/** The tunnel endpoint of a node: addresses with the prefix length of their pool. */
export interface Vtep {
  readonly ip: Prefix;
  readonly ip6: Prefix | undefined;
  readonly mac: string;
}

export interface ClusterNode {
  readonly name: string;
  /** IPv4 address of the node on the underlay: where tunnel packets go. */
  readonly address: Ip;
  readonly address6: Ip | undefined;
  readonly vtep: Vtep;
  /** By overlay name. */
  readonly subnets: ReadonlyMap<string, NodeSubnets>;
  /** Largest IP packet that the path to this node takes, bytes, where it is less than the links' own MTU says. */
  readonly pathMtu: number | undefined;
}

/** Everything a node has to know of the cluster to build its overlay: what the nodes file says, or the facts of the
 *  nodes. */
export interface Cluster {
  /** VXLAN network identifier; the device is `vtep<vni>`. */
  readonly vni: number;
  /** UDP port of the tunnel. */
  readonly port: number;
  /** MTU of bridges and containers, bytes; derived from link and path when undefined. */
  readonly overlayMtu: number | undefined;
  /** MTU of the tunnel device, bytes; as the overlay's when undefined. */
  readonly vtepMtu: number | undefined;
  /** Enabled overlays, and disabled ones in which a node has a subnet still. */
  readonly overlays: readonly Overlay[];
  readonly nodes: readonly ClusterNode[];
}
