import type { AddressSpec, BridgeSpec, FdbEntry, Neighbor, Route, Rule, VxlanSpec } from "../kernel/kernel.ts";
import { type Family, firstOf, halves, hostPrefix, type Ip, offsetIp, type Prefix } from "../lib/address.ts";
import type { Cluster, ClusterNode, NodeSubnets, Overlay } from "./cluster.ts";
import type { LocalNetwork } from "./cni-config.ts";
import { isolationCommands } from "./isolation.ts";
import { AGENT_TABLE, addressKey, fdbKey, neighborKey, routeKey, ruleKey } from "./key.ts";
import { LEAST_MTU_IPV6, type MtuChoice, overlayMtu } from "./mtu.ts";
import { bridgeName, rangeOf } from "./subnet.ts";
import type { Underlay } from "./underlay.ts";

/** Our number in a route's protocol field, which tells who installed it: how our own routes are told from everybody
 *  else's. Free in linux/rtnetlink.h and in iproute2's rt_protos; routing daemons leave protocols that they don't
 *  know alone. */
export const ROUTE_PROTOCOL = 171;
/** Position of our policy rules: before the main table's (32766), and the mark of the rules that are ours. */
export const RULE_PRIORITY = 32_042;
/** Start of the alias of every link that we make or adopt. */
export const OWNER_ALIAS = "dcos-net overlay";

/** A kernel setting that the overlay needs. */
export interface Sysctl {
  readonly path: string;
  readonly value: string;
  /** The link that it belongs to, whose creation resets it. */
  readonly dev?: string;
}

/** Everything that one node's kernel should hold for the overlay. Maps are keyed as overlay/key.ts says. */
export interface Desired {
  readonly vtep: VxlanSpec | undefined;
  readonly bridges: readonly BridgeSpec[];
  readonly addresses: ReadonlyMap<string, AddressSpec>;
  readonly rules: ReadonlyMap<string, Rule>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly neighbors: ReadonlyMap<string, Neighbor>;
  readonly fdb: ReadonlyMap<string, FdbEntry>;
  readonly sysctls: readonly Sysctl[];
  /** nft commands that replace our table; empty when no overlay is isolated. */
  readonly isolation: readonly string[];
  /** What CNI configuration describes: this node's part of each overlay. */
  readonly networks: readonly LocalNetwork[];
  readonly mtu: MtuChoice;
  /** What of the cluster's definition this node can't have, in sentences. */
  readonly omitted: readonly string[];
}

export interface TableInput {
  readonly cluster: Cluster;
  readonly self: ClusterNode;
  readonly underlay: Underlay;
  /** Whether this kernel has IPv6. */
  readonly ipv6: boolean;
}

/** What is collected while the table is built. */
interface Draft {
  readonly addresses: Map<string, AddressSpec>;
  readonly rules: Map<string, Rule>;
  readonly routes: Map<string, Route>;
  readonly neighbors: Map<string, Neighbor>;
  readonly fdb: Map<string, FdbEntry>;
}

/** Name of the tunnel device of a cluster: `vtep1024`, as the reference. */
function vtepName(cluster: Cluster): string {
  return `vtep${cluster.vni}`;
}

/** First address of the lower half of a node's subnet: its containers' gateway, on the bridge. */
export function gatewayOf(subnet: Prefix): Prefix {
  const [lower] = halves(subnet);
  const ip = offsetIp(firstOf(lower), 1) ?? firstOf(lower);
  return { ip, length: lower.length };
}

/** Computes the table. Pure: the same cluster, node and underlay give the same table on every call. A cluster without
 *  overlays gives an empty table, which takes everything down. */
export function tableOf({ cluster, self, underlay, ipv6 }: TableInput): Desired {
  const mtu = overlayMtu({
    override: cluster.overlayMtu,
    link: underlay.linkMtu,
    path: underlay.pathMtu,
    underlay: 4,
  });
  const v6Problem = ipv6Problem(cluster, mtu, ipv6);
  const overlays = cluster.overlays.flatMap((overlay) => usable(overlay, v6Problem === undefined));
  const draft: Draft = {
    addresses: new Map(),
    rules: new Map(),
    routes: new Map(),
    neighbors: new Map(),
    fdb: new Map(),
  };
  const dev = vtepName(cluster);
  const v6 = overlays.some((overlay) => overlay.v6 !== undefined);
  if (overlays.length > 0) {
    addOwn(draft, self, dev, v6);
    for (const overlay of overlays) addRules(draft, overlay);
    for (const peer of cluster.nodes) {
      if (peer.name !== self.name) addPeer(draft, peer, overlays, dev, v6);
    }
  }
  // A node without a part of an overlay, such as a master, has routes into it and nothing to attach containers to.
  const own = overlays.filter((overlay) => listed(subnetsOf(self, overlay)).length > 0);
  const bridges = own.map((overlay) => addBridge(draft, overlay, self, mtu.mtu));
  return {
    ...draft,
    vtep: overlays.length > 0 ? vtepLink(cluster, self, mtu.mtu) : undefined,
    bridges,
    sysctls: overlays.length > 0 ? sysctlsFor(dev, own, v6) : [],
    isolation: isolationCommands(overlays),
    networks: own.filter(({ enabled }) => enabled).map((overlay) => networkOf(overlay, overlays, self, mtu.mtu)),
    mtu,
    omitted: v6Problem === undefined ? [] : [v6Problem],
  };
}

/** Why IPv6 overlays can't be had; undefined when they can or when there are none. */
function ipv6Problem(cluster: Cluster, mtu: MtuChoice, ipv6: boolean): string | undefined {
  const names = cluster.overlays.filter((overlay) => overlay.v6 !== undefined).map((overlay) => overlay.name);
  if (names.length === 0) return undefined;
  const without = `IPv6 of overlay ${names.join(", ")} left out`;
  if (!ipv6) return `${without}: this kernel runs without IPv6`;
  const smallest = Math.min(mtu.mtu, cluster.vtepMtu ?? mtu.mtu);
  if (smallest < LEAST_MTU_IPV6) return `${without}: MTU ${smallest} is below ${LEAST_MTU_IPV6}, the least for IPv6`;
  return undefined;
}

/** The overlay with the families that this node can serve; none when nothing is left. */
function usable(overlay: Overlay, ipv6: boolean): Overlay[] {
  if (ipv6) return [overlay];
  return overlay.v4 === undefined ? [] : [{ ...overlay, v6: undefined }];
}

function vtepLink(cluster: Cluster, self: ClusterNode, mtu: number): VxlanSpec {
  return {
    kind: "vxlan",
    name: vtepName(cluster),
    vni: cluster.vni,
    port: cluster.port,
    // The table names every endpoint, so that addresses seen in packets need not be believed.
    learning: false,
    mac: self.vtep.mac,
    mtu: cluster.vtepMtu ?? mtu,
    up: true,
    alias: `${OWNER_ALIAS} tunnel`,
  };
}

function addOwn(draft: Draft, self: ClusterNode, dev: string, v6: boolean): void {
  addAddress(draft, dev, self.vtep.ip);
  if (v6 && self.vtep.ip6 !== undefined) addAddress(draft, dev, self.vtep.ip6);
}

/** IPv6 addresses go without duplicate detection: they are ours by assignment, and on a bridge without ports it never
 *  ends. */
function addAddress(draft: Draft, dev: string, address: Prefix): void {
  const spec: AddressSpec = address.ip.family === 6 ? { dev, address, noDad: true } : { dev, address };
  draft.addresses.set(addressKey(spec), spec);
}

function addBridge(draft: Draft, overlay: Overlay, self: ClusterNode, mtu: number): BridgeSpec {
  const name = bridgeName("m", overlay.name);
  const gateways = listed(subnetsOf(self, overlay)).map(gatewayOf);
  for (const gateway of gateways) addAddress(draft, name, gateway);
  const mac = gateways[0] === undefined ? {} : { mac: bridgeMac(gateways[0].ip) };
  return { kind: "bridge", name, ...mac, mtu, up: true, alias: `${OWNER_ALIAS} ${overlay.name}` };
}

/** A fixed, locally administered hardware address, so that the bridge doesn't change its own whenever a port comes or
 *  goes, which would make containers lose their gateway until they ask again. */
function bridgeMac(gateway: Ip): string {
  const low = Number(gateway.value & 0xffff_ffffn);
  const bytes = [low >>> 24, (low >>> 16) & 0xff, (low >>> 8) & 0xff, low & 0xff];
  return `0a:58:${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}

function addRules(draft: Draft, overlay: Overlay): void {
  for (const family of [4, 6] as const) {
    const range = rangeOf(overlay, family);
    if (range === undefined) continue;
    const rule: Rule = { family, from: range.subnet, table: AGENT_TABLE, priority: RULE_PRIORITY };
    draft.rules.set(ruleKey(rule), rule);
  }
}

/** What makes one peer's containers and its own addresses reachable: where its endpoint is, and what lies behind it. */
function addPeer(draft: Draft, peer: ClusterNode, overlays: readonly Overlay[], dev: string, v6: boolean): void {
  const { ip, ip6, mac } = peer.vtep;
  const forward: FdbEntry = { dev, mac, remote: peer.address };
  draft.fdb.set(fdbKey(forward), forward);
  addNeighbor(draft, dev, ip.ip, mac);
  addRoute(draft, { dst: hostPrefix(peer.address), gateway: ip.ip, dev, table: AGENT_TABLE });
  const gateway6 = v6 ? ip6?.ip : undefined;
  if (gateway6 !== undefined) {
    addNeighbor(draft, dev, gateway6, mac);
    if (peer.address6 !== undefined) {
      addRoute(draft, { dst: hostPrefix(peer.address6), gateway: gateway6, dev, table: AGENT_TABLE });
    }
  }
  for (const overlay of overlays) {
    const subnets = subnetsOf(peer, overlay);
    if (subnets.v4 !== undefined) addRoute(draft, { dst: subnets.v4, gateway: ip.ip, dev });
    if (subnets.v6 !== undefined && gateway6 !== undefined)
      addRoute(draft, { dst: subnets.v6, gateway: gateway6, dev });
  }
}

function addNeighbor(draft: Draft, dev: string, ip: Ip, mac: string): void {
  const neighbor: Neighbor = { dev, ip, mac, permanent: true };
  draft.neighbors.set(neighborKey(neighbor), neighbor);
}

/** `onlink`, so that a route can stand while the device's own address is being restored. */
function addRoute(draft: Draft, route: Route): void {
  const own: Route = { ...route, onlink: true, protocol: ROUTE_PROTOCOL };
  draft.routes.set(routeKey(own), own);
}

/** A node's subnets of an overlay, without the families that the overlay has lost on this node. */
function subnetsOf(node: ClusterNode, overlay: Overlay): NodeSubnets {
  const subnets = node.subnets.get(overlay.name);
  return {
    v4: overlay.v4 === undefined ? undefined : subnets?.v4,
    v6: overlay.v6 === undefined ? undefined : subnets?.v6,
  };
}

function listed({ v4, v6 }: NodeSubnets): Prefix[] {
  return [v4, v6].flatMap((subnet) => subnet ?? []);
}

function networkOf(overlay: Overlay, all: readonly Overlay[], self: ClusterNode, mtu: number): LocalNetwork {
  const ranges = listed(subnetsOf(self, overlay)).map((subnet) => ({
    subnet: halves(subnet)[0],
    gateway: gatewayOf(subnet).ip,
  }));
  const inside = all.flatMap(({ v4, v6 }) => [v4, v6].flatMap((range) => range?.subnet ?? []));
  return { name: overlay.name, bridge: bridgeName("m", overlay.name), mtu, ranges, inside };
}

/** `own`: the overlays that have a bridge here. */
function sysctlsFor(vtep: string, own: readonly Overlay[], v6: boolean): Sysctl[] {
  const list: Sysctl[] = [
    { path: "net/ipv4/ip_forward", value: "1" },
    // Loose: a peer's host sends from its underlay address through the tunnel, and strict checking (RFC 3704) would
    // look for the way back in the main table, find the underlay link and drop the packet.
    { path: `net/ipv4/conf/${vtep}/rp_filter`, value: "2", dev: vtep },
  ];
  if (!v6) return list;
  list.push({ path: "net/ipv6/conf/all/forwarding", value: "1" });
  const bridges = withFamily(own, 6).map((overlay) => bridgeName("m", overlay.name));
  for (const dev of [vtep, ...bridges]) list.push({ path: `net/ipv6/conf/${dev}/disable_ipv6`, value: "0", dev });
  // A bridge gets its link-local address with its first port, and asks for neighbours with it. Looking for a duplicate
  // first would keep the first container waiting for a second.
  for (const dev of bridges) list.push({ path: `net/ipv6/conf/${dev}/accept_dad`, value: "0", dev });
  return list;
}

function withFamily(overlays: readonly Overlay[], family: Family): Overlay[] {
  return overlays.filter((overlay) => rangeOf(overlay, family) !== undefined);
}
