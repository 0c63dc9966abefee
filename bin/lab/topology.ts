import { tryParsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { DEFAULT_NETWORK } from "../../overlay/leader/network.ts";

/** More agents than this don't fit a machine's memory in reason: each takes about 60 MB. */
export const MOST_NODES = 64;

/** An overlay of a lab, in the words of the nodes file. */
export interface LabOverlay {
  readonly name: string;
  readonly subnet?: string;
  readonly prefix?: number;
  readonly subnet6?: string;
  readonly prefix6?: number;
  readonly isolated?: boolean;
}

/** A host of a lab on its underlay. Its link there is called `eth0`. */
export interface LabNode {
  readonly name: string;
  readonly address: string;
  /** Absent in an IPv4-only lab. */
  readonly address6?: string;
}

/** Prefix length of each host's part of an overlay, as DC/OS chooses it. */
const NODE_PREFIX = { 4: 24, 6: 80 } as const;
/** The overlay of a lab that names none: the addresses of DC/OS' `dcos` and `dcos6` in one overlay of both families. */
const DEFAULT_OVERLAY: LabOverlay = {
  name: "dcos",
  subnet: "9.0.0.0/8",
  prefix: NODE_PREFIX[4],
  subnet6: "fd01:b::/64",
  prefix6: NODE_PREFIX[6],
};
const LAST_NODE_ADDRESS = 250;

/** Prefix lengths of the underlay that the hosts' addresses are on. */
export const UNDERLAY_PREFIX = { 4: 24, 6: 64 } as const;

/** The hosts `n1` … `n<count>` with their underlay addresses 10.77.0.x/24 and fd77::x/64. Throws a NetError
 *  `invalid`. */
export function labNodes(count: number, ipv4Only: boolean): LabNode[] {
  if (!Number.isInteger(count) || count < 1 || count > Math.min(MOST_NODES, LAST_NODE_ADDRESS)) {
    throw new NetError("invalid", { tried: `make a lab of ${count} hosts`, said: `a lab has 1 to ${MOST_NODES}` });
  }
  return Array.from({ length: count }, (_, index) => {
    const number = index + 1;
    const node = { name: `n${number}`, address: `10.77.0.${number}` };
    return ipv4Only ? node : { ...node, address6: `fd77::${number.toString(16)}` };
  });
}

/** The overlay written as `NAME=SUBNET[,SUBNET6][,isolated]`. Throws a NetError `invalid`; whether the subnets suit
 *  an overlay is for the parser of the nodes file to say. */
export function parseOverlay(spec: string): LabOverlay {
  const [, name = "", rest = ""] = /^([^=]*)=(.*)$/.exec(spec) ?? [];
  let overlay: LabOverlay = { name };
  for (const item of rest.split(",")) {
    const family = tryParsePrefix(item)?.ip.family;
    if (family === 4 && overlay.subnet === undefined) overlay = { ...overlay, subnet: item, prefix: NODE_PREFIX[4] };
    else if (family === 6 && overlay.subnet6 === undefined) {
      overlay = { ...overlay, subnet6: item, prefix6: NODE_PREFIX[6] };
    } else if (item === "isolated") overlay = { ...overlay, isolated: true };
    else throw badOverlay(spec, `${JSON.stringify(item)} is neither a subnet of a family not yet given nor "isolated"`);
  }
  if (name === "" || (overlay.subnet ?? overlay.subnet6) === undefined) {
    throw badOverlay(spec, "a name and a subnet are needed");
  }
  return overlay;
}

function badOverlay(spec: string, said: string): NetError {
  return new NetError("invalid", {
    tried: `read overlay ${JSON.stringify(spec.slice(0, 100))}`,
    said,
    remedy: "write for example dev=10.90.0.0/16,fd01:90::/64,isolated",
  });
}

/** The overlays asked for, or the one of a lab that asks for none; without IPv6 in an IPv4-only lab. */
export function overlaysOf(overlays: readonly LabOverlay[], ipv4Only: boolean): readonly LabOverlay[] {
  const wanted = overlays.length > 0 ? overlays : [DEFAULT_OVERLAY];
  return ipv4Only ? wanted.map(({ subnet6: _, prefix6: __, ...overlay }) => overlay) : wanted;
}

/** Content of the nodes file of a lab. Without overlays there is `dcos`, with both families or with IPv4 only. */
export function nodesFileOf(nodes: readonly LabNode[], overlays: readonly LabOverlay[], ipv4Only: boolean): string {
  // The index is written down, so that removing a node from the file moves no other node's addresses.
  const indexed = nodes.map((node, index) => ({ ...node, index }));
  return `${JSON.stringify({ overlays: overlaysOf(overlays, ipv4Only), nodes: indexed }, null, 2)}\n`;
}

/** Content of the overlay configuration of a lab (`dcos_overlay_network`), with the same overlays and tunnel endpoints
 *  as {@link nodesFileOf} gives. */
export function overlayNetworkFileOf(overlays: readonly LabOverlay[], ipv4Only: boolean): string {
  const { vtep_subnet, vtep_subnet6, vtep_mac_oui } = DEFAULT_NETWORK;
  const endpoints = ipv4Only ? { vtep_subnet, vtep_mac_oui } : { vtep_subnet, vtep_subnet6, vtep_mac_oui };
  return `${JSON.stringify({ ...endpoints, overlays: overlaysOf(overlays, ipv4Only) }, null, 2)}\n`;
}

/** How the hosts of a lab find each other. */
export interface LabCluster {
  /** The first hosts are masters. */
  readonly masters: number;
  /** A real ZooKeeper keeps what the masters hand out. */
  readonly zooKeeper: boolean;
}

/** Checks that this many of the hosts can be masters. Throws a NetError `invalid`. */
export function checkMasters(hosts: number, { masters, zooKeeper }: LabCluster): void {
  const tried = `make ${masters} of ${hosts} hosts masters`;
  if (masters > hosts)
    throw new NetError("invalid", { tried, said: `there are only ${hosts}`, remedy: "raise --nodes" });
  if (masters === 1 || zooKeeper) return;
  throw new NetError("invalid", {
    tried,
    said: "a file can only be kept by one master",
    remedy: "add --zk, which starts a ZooKeeper for them",
  });
}
