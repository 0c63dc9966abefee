import { contains, equalIp, type Prefix } from "../lib/address.ts";
import type { Link, LinkAddress, Route } from "../kernel/kernel.ts";
import type { ClusterNode } from "./cluster.ts";

/** What the tunnel runs over, as far as packet sizes go. */
export interface Underlay {
  /** Name of the link with the node's own address. */
  readonly dev: string | undefined;
  /** Its MTU, bytes. */
  readonly linkMtu: number | undefined;
  /** The smallest limit on a path to a peer: an `mtu` on the route that leads there, or the peer's `path_mtu`. */
  readonly pathMtu: number | undefined;
}

/** Finds the underlay of `self` in the kernel's links, addresses and main-table routes. */
export function underlayOf(
  self: ClusterNode,
  peers: readonly ClusterNode[],
  kernel: { readonly links: readonly Link[]; readonly addresses: readonly LinkAddress[]; readonly routes: readonly Route[] },
): Underlay {
  const dev = kernel.addresses.find(({ address }) => equalIp(address.ip, self.address))?.dev;
  const linkMtu = kernel.links.find((link) => link.name === dev)?.mtu;
  const limits = peers.flatMap((peer) => peer.pathMtu ?? []);
  if (self.pathMtu !== undefined) limits.push(self.pathMtu);
  // Routes with an MTU of their own are few (an operator's, a VPN's), so each may look at every peer.
  for (const { dst, mtu } of kernel.routes) {
    if (mtu !== undefined && mtu > 0 && leadsToPeer(dst, peers)) limits.push(mtu);
  }
  return { dev, linkMtu, pathMtu: limits.reduce<number | undefined>(smaller, undefined) };
}

function leadsToPeer(dst: Prefix, peers: readonly ClusterNode[]): boolean {
  return peers.some((peer) => contains(dst, peer.address));
}

function smaller(a: number | undefined, b: number): number {
  return a === undefined || b < a ? b : a;
}
