import { type Family, formatIp, formatPrefix, type Ip, networkOf, type Prefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { FirewallChain, FirewallElement, FirewallEntry, FirewallSet, FirewallTable } from "./firewall-commands.ts";
import { digest, type Owner } from "./firewall-owner.ts";
import { prefixName } from "./firewall-prefix.ts";
import type { PortMapping } from "./request.ts";

const ADDRESS = { 4: "ipv4_addr", 6: "ipv6_addr" } as const;
const IP = { 4: "ip", 6: "ip6" } as const;
const FAMILIES = [4, 6] as const;
const PORT = "inet_proto . inet_service";
const PACKET_PORT = "meta l4proto . th dport";
/** How the names of the two kinds of chains begin that elements go to. */
const HAIRPIN = "hairpin";
const ONLY = "only";

function setsOf(family: Family): FirewallSet[] {
  const address = ADDRESS[family];
  return [
    { name: `ports${family}`, kind: "map", type: `${PORT} : ${address} . inet_service` },
    { name: `bound${family}`, kind: "map", type: `${address} . ${PORT} : ${address} . inet_service` },
    { name: `hairpins${family}`, kind: "map", type: `${address} . ${PORT} : verdict`, onlyWith: HAIRPIN },
    { name: `conditions${family}`, kind: "map", type: `${PORT} : verdict`, onlyWith: ONLY },
    { name: `bound_conditions${family}`, kind: "map", type: `${address} . ${PORT} : verdict`, onlyWith: ONLY },
    { name: `own${family}`, kind: "set", type: `${address} . ${PORT}`, onlyWith: ONLY },
  ];
}

const TO_HOST = "fib daddr type local meta l4proto { tcp, udp, sctp } goto host_ports";

/** Host ports that lead to containers. A packet to an address of the host is looked up by protocol and port: in `conditions`
 *  (rarely used), then in `ports`, which hold for any address of the host, and `bound`, which hold for one. `hairpins` knows which
 *  translated packets need another source address too: the container would answer the sender directly, past the translation.
 *
 *  `guard` closes what route_localnet opens: without it any container could reach what listens on the host's 127.0.0.1 by sending
 *  there (CVE-2020-8558). */
export const HOST_PORTS: FirewallTable = {
  family: "inet",
  name: "dcos_host_ports",
  sets: FAMILIES.flatMap(setsOf),
  chains: [
    {
      name: "translate",
      rules: FAMILIES.flatMap((family) => [
        `dnat ${IP[family]} to ${IP[family]} daddr . ${PACKET_PORT} map @bound${family}`,
        `dnat ${IP[family]} to ${PACKET_PORT} map @ports${family}`,
      ]),
    },
    {
      name: "host_ports",
      rules: [
        ...FAMILIES.flatMap((family) => [
          `${IP[family]} daddr . ${PACKET_PORT} vmap @bound_conditions${family}`,
          `meta nfproto ipv${family} ${PACKET_PORT} vmap @conditions${family}`,
        ]),
        "goto translate",
      ],
    },
    { name: "prerouting", hook: "type nat hook prerouting priority -100;", rules: [TO_HOST] },
    { name: "output", hook: "type nat hook output priority -100;", rules: [TO_HOST] },
    {
      name: "postrouting",
      hook: "type nat hook postrouting priority 99;",
      rules: FAMILIES.map((family) => `ct status dnat ${IP[family]} daddr . ${PACKET_PORT} vmap @hairpins${family}`),
    },
    {
      name: "guard",
      hook: "type filter hook prerouting priority -300;",
      rules: [`iifname != "lo" ip daddr 127.0.0.0/8 drop`],
    },
  ],
  describe: ({ set, key }) => {
    const [port = "", protocol = "", address] = key.toReversed();
    if (!/^(ports|bound)/.test(set) || address === undefined) return `host port ${port}/${protocol}`;
    return `host port ${address.includes(":") ? `[${address}]` : address}:${port}/${protocol}`;
  },
};

export interface HostPortsRequest {
  readonly owner: Owner;
  /** The container's addresses with the prefix lengths of their subnets; the first of each family is mapped to. */
  readonly addresses: readonly Prefix[];
  readonly mappings: readonly PortMapping[];
  /** Translate the source of connections that the container, its neighbours or the host's loopback make. Without it those
   *  don't work. */
  readonly snat: boolean;
  /** Translate the source of all connections through host ports. */
  readonly masqAll: boolean;
  /** Further matches in nft's language that a packet must meet, by family; undefined for none. */
  readonly conditions: { readonly 4: string | undefined; readonly 6: string | undefined };
  /** Interfaces that a packet must not come from, unless the container itself has sent it. */
  readonly excludeDevices: readonly string[];
}

/** What leads a host port to one address. */
interface Target {
  readonly owner: Owner;
  readonly subnet: Prefix;
  readonly address: string;
  readonly family: Family;
}

/** Firewall entry of a container's host ports; undefined when no mapping suits the families of its addresses. Throws `invalid` when
 *  two mappings contradict each other. */
export function hostPortsEntry(request: HostPortsRequest): FirewallEntry | undefined {
  const { owner, addresses, mappings } = request;
  const parts = FAMILIES.flatMap((family) => {
    const subnet = addresses.find(({ ip }) => ip.family === family);
    if (subnet === undefined) return [];
    const target = { owner, subnet, address: formatIp(subnet.ip), family };
    return mappings
      .filter(({ hostIp }) => hostIp === undefined || hostIp.family === family)
      .map((mapping) => mappingPart(request, target, mapping));
  });
  if (parts.length === 0) return undefined;
  return {
    table: HOST_PORTS,
    owner,
    chains: unique(
      parts.flatMap(({ chains }) => chains),
      ({ name }) => name,
    ),
    elements: unique(
      parts.flatMap(({ elements }) => elements),
      keyOf,
      refuseContradiction,
    ),
    addresses: unique(
      addresses.map(({ ip }) => formatIp(ip)),
      (text) => text,
    ),
    rivals: parts.map(({ rival }) => rival),
  };
}

interface MappingPart {
  readonly chains: readonly FirewallChain[];
  readonly elements: readonly FirewallElement[];
  readonly rival: FirewallEntry["rivals"][number];
}

function mappingPart(request: HostPortsRequest, target: Target, mapping: PortMapping): MappingPart {
  const { address, family } = target;
  const port = [mapping.protocol, String(mapping.hostPort)];
  const hostAddress = boundAddress(mapping.hostIp);
  const key = hostAddress === undefined ? port : [hostAddress, ...port];
  const bound = hostAddress === undefined ? "" : "bound_";
  const inside = [address, mapping.protocol, String(mapping.containerPort)];
  const hairpin = hairpinChain(request, target);
  const only = onlyChain(request, family);
  return {
    chains: [hairpin, only].filter((chain) => chain !== undefined),
    elements: [
      {
        set: hostAddress === undefined ? `ports${family}` : `bound${family}`,
        key,
        data: [address, String(mapping.containerPort)],
      },
      ...(hairpin === undefined ? [] : [{ set: `hairpins${family}`, key: inside, data: [`goto ${hairpin.name}`] }]),
      ...(only === undefined
        ? []
        : [
            { set: `${bound}conditions${family}`, key, data: [`goto ${only.name}`] },
            { set: `own${family}`, key: [address, ...port], data: [] },
          ]),
    ],
    // A port of all addresses and the same port of one address exclude each other, as they do for sockets.
    rival: { set: hostAddress === undefined ? `bound${family}` : `ports${family}`, suffix: port },
  };
}

/** Undefined when the mapping holds for all addresses of its family. */
function boundAddress(hostIp: Ip | undefined): string | undefined {
  return hostIp === undefined || hostIp.value === 0n ? undefined : formatIp(hostIp);
}

/** Senders whose source address is translated too: the container's whole subnet, since a neighbour would be answered directly as well
 *  as the container itself; and the host's loopback. There is none such for IPv6: the kernel lets nothing from ::1 out. */
function hairpinChain({ snat, masqAll }: HostPortsRequest, { subnet, family }: Target): FirewallChain | undefined {
  if (!snat) return undefined;
  if (masqAll) return { name: `${HAIRPIN}_all-${family}`, rules: ["masquerade"] };
  const network = networkOf(subnet);
  const senders = family === 4 ? ["127.0.0.0/8", formatPrefix(network)] : [formatPrefix(network)];
  return {
    name: `${HAIRPIN}_${prefixName(network)}`,
    rules: [`${IP[family]} saddr { ${senders.join(", ")} } masquerade`],
  };
}

/** What packets must meet before they are translated. */
function onlyChain({ conditions, excludeDevices }: HostPortsRequest, family: Family): FirewallChain | undefined {
  const condition = conditions[family];
  if (condition === undefined && excludeDevices.length === 0) return undefined;
  const devices = excludeDevices.map((device) => `"${device}"`).join(", ");
  const rules = [
    ...(devices === "" ? [] : [`iifname { ${devices} } ${IP[family]} saddr . ${PACKET_PORT} != @own${family} return`]),
    `${condition === undefined ? "" : `${condition} `}goto translate`,
  ];
  return { name: `${ONLY}${family}-${digest(rules.join("\n"))}`, rules };
}

function keyOf({ set, key }: FirewallElement): string {
  return [set, ...key].join(" ");
}

function refuseContradiction(first: FirewallElement, second: FirewallElement): void {
  if (first.data.join() === second.data.join()) return;
  throw new NetError("invalid", {
    tried: `map ${HOST_PORTS.describe(first)}`,
    said: `it is wanted for container port ${first.data[1]} and for ${second.data[1]}`,
    remedy: "give each host port once",
  });
}

/** The first of each that are alike; `judge` sees every other with its first. */
function unique<T>(list: readonly T[], alike: (value: T) => string, judge?: (first: T, second: T) => void): T[] {
  const firsts = new Map<string, T>();
  for (const value of list) {
    const first = firsts.get(alike(value));
    if (first === undefined) firsts.set(alike(value), value);
    else judge?.(first, value);
  }
  return [...firsts.values()];
}
