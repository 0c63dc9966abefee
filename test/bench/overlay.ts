import type { Operation } from "../../kernel/kernel.ts";
import type { Cluster, ClusterNode } from "../../overlay/cluster.ts";
import { parseNodesFile } from "../../overlay/nodes-file.ts";
import type { Observed, Plan } from "../../overlay/plan.ts";
import { planOverlay } from "../../overlay/plan.ts";
import { type Desired, tableOf } from "../../overlay/table.ts";

/** What the overlay benchmarks start from: one node's table in a cluster of `peers` other nodes with both default
 *  overlays. */
export interface OverlayBench {
  readonly cluster: Cluster;
  readonly self: ClusterNode;
  readonly desired: Desired;
}

/** Builds it through the nodes file, as an operator would. */
export function overlayBench(peers: number): OverlayBench {
  const cluster = parseNodesFile(nodesFile(peers + 1));
  const self = cluster.nodes[0];
  if (self === undefined) throw new Error("a cluster has at least one node");
  const underlay = { dev: "eth0", linkMtu: 1500, pathMtu: undefined };
  return { cluster, self, desired: tableOf({ cluster, self, underlay, ipv6: true }) };
}

/** Text of a nodes file with this many nodes. */
export function nodesFile(nodes: number): string {
  const list = Array.from({ length: nodes }, (_, index) => ({
    name: `node-${index}`,
    address: `10.${index >>> 16}.${(index >>> 8) & 255}.${index & 255}`,
  }));
  return JSON.stringify({ nodes: list });
}

/** The first synchronisation: every operation on an empty kernel, in the order of the plan; sysctls aside. */
export function firstSync({ desired }: OverlayBench): Operation[] {
  const plan = planOverlay(desired, EMPTY);
  return [...plan.links, ...plan.local, ...plan.peers];
}

/** The plan for a kernel that holds everything: what a quiet pass computes. */
export function quietPlan({ desired }: OverlayBench): Plan {
  return planOverlay(desired, settled(desired));
}

/** The observation of a kernel that holds everything. */
export function settled(desired: Desired): Observed {
  const links = [...(desired.vtep === undefined ? [] : [desired.vtep]), ...desired.bridges];
  return {
    links: links.map((spec, position) => ({
      index: position + 2,
      name: spec.name,
      kind: spec.kind,
      mac: spec.mac ?? "",
      mtu: spec.mtu ?? 1500,
      up: true,
      loopback: false,
      running: true,
      promiscuous: false,
      alias: spec.alias,
      master: undefined,
      peer: undefined,
      vxlan: spec.kind === "vxlan" ? { vni: spec.vni, port: spec.port, learning: false, local: undefined } : undefined,
      bridge: spec.kind === "bridge" ? { vlanFiltering: false, active: true } : undefined,
      bridgePort: undefined,
    })),
    addresses: [...desired.addresses.values()].map(({ dev, address }) => ({
      dev,
      address,
      scope: "global" as const,
      broadcast: undefined,
      tentative: false,
      dadFailed: false,
    })),
    routes: [...desired.routes.values()],
    rules: [...desired.rules.values()],
    neighbors: [...desired.neighbors.values()],
    fdb: [...desired.fdb.values()],
    sysctl: (path) => desired.sysctls.find((sysctl) => sysctl.path === path)?.value,
    isolation: desired.isolation.length > 0 ? "fits" : "absent",
  };
}

const EMPTY: Observed = {
  links: [],
  addresses: [],
  routes: [],
  rules: [],
  neighbors: [],
  fdb: [],
  sysctl: () => "0",
  isolation: "absent",
};
