import type { DockerOverlay, DockerPool } from "../cnm-driver/overlay.ts";
import { firstOf, halves, offsetIp, type Prefix } from "../lib/address.ts";
import type { Cluster, Overlay } from "../overlay/cluster.ts";
import type { LocalNetwork } from "../overlay/cni-config.ts";
import { bridgeName, rangeOf } from "../overlay/subnet.ts";

/** What Docker containers of node `self` are given of each overlay: the upper half of the node's subnet, where CNI
 *  containers have the lower. `networks` are the overlays as this node's kernel has them: a family that it can't serve
 *  is left out of them. */
export function dockerOverlays(cluster: Cluster, self: string, networks: readonly LocalNetwork[]): DockerOverlay[] {
  const node = cluster.nodes.find(({ name }) => name === self);
  return cluster.overlays.flatMap((overlay) => {
    const network = networks.find(({ name }) => name === overlay.name);
    const subnets = node?.subnets.get(overlay.name);
    if (network === undefined || subnets === undefined) return [];
    const families = new Set(network.ranges.map(({ subnet }) => subnet.ip.family));
    const pools = [subnets.v4, subnets.v6].flatMap((subnet) =>
      subnet !== undefined && families.has(subnet.ip.family) ? poolOf(overlay, subnet) : [],
    );
    if (pools.length === 0) return [];
    const { name, mtu, inside } = network;
    return [{ name, bridge: bridgeName("d", name), cniBridge: network.bridge, mtu, pools, inside }];
  });
}

function poolOf(overlay: Overlay, subnet: Prefix): DockerPool[] {
  const [, pool] = halves(subnet);
  const gateway = offsetIp(firstOf(pool), 1);
  const range = rangeOf(overlay, subnet.ip.family)?.subnet;
  return gateway === undefined || range === undefined ? [] : [{ pool, gateway, range }];
}
