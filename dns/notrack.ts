import { formatIp, type Ip } from "../lib/address.ts";

/** The nftables table of the DNS server; whatever is in it is ours. */
export const NOTRACK_TABLE = "dcos_dns";

/**
 * nft commands that replace our table, as one transaction: queries to the server's own addresses, and its answers, are
 * not tracked as connections.
 *
 * Two queries from one socket at the same moment, as glibc and musl send them for A and AAAA, would otherwise race for
 * one entry of connection tracking, and one of them would be dropped: a resolver then waits five seconds. It also keeps
 * a busy node's table of connections free of queries.
 */
export function notrackCommands(addresses: readonly Ip[], port: number): string[] {
  const families = ([4, 6] as const).flatMap((family) => {
    const own = addresses.filter((ip) => ip.family === family).map(formatIp);
    return own.length === 0 ? [] : [{ family, own }];
  });
  const rules = families.flatMap(({ family }) => {
    const protocol = family === 4 ? "ip" : "ip6";
    return [
      `${protocol} daddr @own${family} meta l4proto { tcp, udp } th dport ${port} notrack`,
      `${protocol} saddr @own${family} meta l4proto { tcp, udp } th sport ${port} notrack`,
    ];
  });
  return [
    ...notrackRemoval(),
    `add table inet ${NOTRACK_TABLE}`,
    ...families.map(({ family, own }) => {
      const type = family === 4 ? "ipv4_addr" : "ipv6_addr";
      return `add set inet ${NOTRACK_TABLE} own${family} { type ${type} ; elements = { ${own.join(", ")} } ; }`;
    }),
    // Before connection tracking looks at a packet, which it does at priority -200.
    ...["prerouting", "output"].flatMap((hook) => [
      `add chain inet ${NOTRACK_TABLE} ${hook} { type filter hook ${hook} priority raw ; policy accept ; }`,
      ...rules.map((rule) => `add rule inet ${NOTRACK_TABLE} ${hook} ${rule}`),
    ]),
  ];
}

/** nft commands that remove the table whether it is there or not. */
export function notrackRemoval(): string[] {
  return [`add table inet ${NOTRACK_TABLE}`, `delete table inet ${NOTRACK_TABLE}`];
}
