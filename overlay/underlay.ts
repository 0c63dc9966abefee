import type { Link, LinkAddress, Route } from "../kernel/kernel.ts";
import { contains, equalIp } from "../lib/address.ts";
import type { ClusterNode } from "./cluster.ts";

/** What the tunnel runs over, as far as packet sizes go. */
export interface Underlay {
  /** Name of the link with the node's own address. */
  readonly dev: string | undefined;
  /** Its MTU, bytes. */
  readonly linkMtu: number | undefined;
  /** The smallest limit on a path to a peer, bytes: an `mtu` on the route that leads there, or a node's `path_mtu`. */
  readonly pathMtu: number | undefined;
}

/** Finds the underlay of `self`. `routes` are those of the main table that are not the overlay's own. */
export function underlayOf(
  self: ClusterNode,
  peers: readonly ClusterNode[],
  kernel: {
    readonly links: readonly Link[];
    readonly addresses: readonly LinkAddress[];
    readonly routes: readonly Route[];
  },
): Underlay {
  const dev = kernel.addresses.find(({ address }) => equalIp(address.ip, self.address))?.dev;
  const linkMtu = kernel.links.find((link) => link.name === dev)?.mtu;
  const limits = [self, ...peers].flatMap((node) => node.pathMtu ?? []);
  for (const route of kernel.routes) {
    if (route.mtu !== undefined && route.mtu > 0 && leadsToPeer(route, kernel.routes, peers)) limits.push(route.mtu);
  }
  return { dev, linkMtu, pathMtu: limits.reduce<number | undefined>(smaller, undefined) };
}

/** True when some peer's packets take this route: it covers the peer, and no longer prefix does. Asked only for
 *  routes with an MTU of their own, which are few. */
function leadsToPeer({ dst }: Route, routes: readonly Route[], peers: readonly ClusterNode[]): boolean {
  const narrower = routes.filter((route) => route.dst.length > dst.length && contains(dst, route.dst.ip));
  return peers.some(({ address }) => contains(dst, address) && !narrower.some((route) => contains(route.dst, address)));
}

function smaller(a: number | undefined, b: number): number {
  return a === undefined || b < a ? b : a;
}
