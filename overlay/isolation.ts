import { type Family, formatIp, formatPrefix, type Prefix, parseIp } from "../lib/address.ts";
import type { Overlay } from "./cluster.ts";
import { bridgeName, rangeOf } from "./subnet.ts";

/** Our one nftables table; whatever is in it is ours. */
export const ISOLATION_TABLE = "dcos_overlay";

/** Where the node's DNS server listens, the addresses of DC/OS. */
const DNS = {
  4: ["198.51.100.1", "198.51.100.2", "198.51.100.3"],
  6: ["fd01:d::c633:6401", "fd01:d::c633:6402", "fd01:d::c633:6403"],
} as const;

/**
 * nft commands that replace the whole isolation table, as one transaction; none when no overlay is isolated.
 *
 * The check happens on the node where a connection starts, by the bridge that its packets come from: there the
 * destination is seen before and after translation, so VIPs and host ports can be told from direct access, and a
 * forged source address changes nothing. The rule that lets replies pass stands first. A packet costs one look-up of
 * its bridge when it isn't from a container, and a fixed number of look-ups otherwise, however many overlays there
 * are.
 *
 * An isolated overlay is closed both ways: containers of other overlays can't start connections into it either. The
 * nodes' own processes can, for health checks.
 */
export function isolationCommands(overlays: readonly Overlay[]): string[] {
  const isolated = overlays.filter((overlay) => overlay.isolated);
  if (isolated.length === 0) return [];
  const bridges = overlays.flatMap(bridgesOf);
  return [
    ...isolationRemoval(),
    `add table inet ${ISOLATION_TABLE}`,
    set("bridges", "ifname", false, bridges.map(quoted)),
    set("isolated_bridges", "ifname", false, isolated.flatMap(bridgesOf).map(quoted)),
    ...([4, 6] as const).flatMap((family) => familySets(family, overlays, isolated)),
    chain("forward", "{ type filter hook forward priority filter - 5 ; policy accept ; }"),
    chain("input", "{ type filter hook input priority filter - 5 ; policy accept ; }"),
    chain("from_container"),
    chain("from_isolated"),
    chain("refuse"),
    rule("forward", "iifname @bridges goto from_container"),
    rule("from_container", "ct state established,related accept"),
    rule("from_container", "ct status dnat accept"),
    rule("from_container", "iifname . ip daddr @own4 accept"),
    rule("from_container", "iifname . ip6 daddr @own6 accept"),
    rule("from_container", "iifname @isolated_bridges goto refuse"),
    rule("from_container", "ip daddr @isolated4 goto refuse"),
    rule("from_container", "ip6 daddr @isolated6 goto refuse"),
    rule("input", "iifname @isolated_bridges goto from_isolated"),
    rule("from_isolated", "ct state established,related accept"),
    rule("from_isolated", "ct status dnat accept"),
    // Without neighbour discovery (RFC 4861) a container can't find its gateway's hardware address.
    rule("from_isolated", "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept"),
    rule("from_isolated", "icmp type echo-request iifname . ip daddr @own4 accept"),
    rule("from_isolated", "icmpv6 type echo-request iifname . ip6 daddr @own6 accept"),
    rule("from_isolated", "ip daddr @dns4 meta l4proto { tcp, udp } th dport 53 accept"),
    rule("from_isolated", "ip6 daddr @dns6 meta l4proto { tcp, udp } th dport 53 accept"),
    rule("from_isolated", "goto refuse"),
    // Told at once, instead of waiting for a timeout.
    rule("refuse", "reject with icmpx type admin-prohibited"),
  ];
}

/** nft commands that remove the table whether it is there or not: `delete` alone would fail when it isn't. */
export function isolationRemoval(): string[] {
  return [`add table inet ${ISOLATION_TABLE}`, `delete table inet ${ISOLATION_TABLE}`];
}

/** Both bridges of an overlay: Mesos' and Docker's. */
function bridgesOf(overlay: Overlay): string[] {
  return [bridgeName("m", overlay.name), bridgeName("d", overlay.name)];
}

function familySets(family: Family, overlays: readonly Overlay[], isolated: readonly Overlay[]): string[] {
  const type = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const own = overlays.flatMap((overlay) =>
    subnets(family, [overlay]).flatMap((subnet) =>
      bridgesOf(overlay).map((bridge) => `${quoted(bridge)} . ${formatPrefix(subnet)}`),
    ),
  );
  const dns = DNS[family].map((address) => formatIp(parseIp(address)));
  return [
    set(`own${family}`, `ifname . ${type}`, true, own),
    set(`isolated${family}`, type, true, subnets(family, isolated).map(formatPrefix)),
    set(`dns${family}`, type, false, dns),
  ];
}

function subnets(family: Family, overlays: readonly Overlay[]): Prefix[] {
  return overlays.flatMap((overlay) => rangeOf(overlay, family)?.subnet ?? []);
}

function set(name: string, type: string, interval: boolean, elements: readonly string[]): string {
  const flags = interval ? "flags interval ; " : "";
  const content = elements.length === 0 ? "" : `elements = { ${elements.join(", ")} } ; `;
  return `add set inet ${ISOLATION_TABLE} ${name} { type ${type} ; ${flags}${content}}`;
}

function chain(name: string, hook = ""): string {
  return `add chain inet ${ISOLATION_TABLE} ${name} ${hook}`.trimEnd();
}

function rule(chainName: string, text: string): string {
  return `add rule inet ${ISOLATION_TABLE} ${chainName} ${text}`;
}

function quoted(name: string): string {
  return `"${name}"`;
}
