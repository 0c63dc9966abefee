import { type Family, formatIp, formatPrefix, networkOf, type Prefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { FirewallChain, FirewallElement, FirewallEntry, FirewallTable } from "./firewall-commands.ts";
import { digest, type Owner } from "./firewall-owner.ts";
import { prefixName } from "./firewall-prefix.ts";
import type { PortMapping } from "./request.ts";

const PORT = "inet_proto . inet_service";
const PACKET_PORT = "meta l4proto . th dport";
const TO_HOST = "fib daddr type local goto host_ports";
/** How the names of the two kinds of chains begin that elements go to. */
const HAIRPIN = "hairpin";
const ONLY = "only";
const LOOPBACK = "127.0.0.0/8";

/** Closes what route_localnet opens: without it any container could reach what listens on the host's 127.0.0.1 by
 *  sending there (CVE-2020-8558). */
const GUARD = {
  name: "guard",
  hook: "type filter hook prerouting priority -300;",
  rules: [`iifname != "lo" ip daddr ${LOOPBACK} drop`],
} as const;

/** Host ports that lead to containers, by family. A packet to an address of the host is looked up by protocol and
 *  port: in `conditions` (rarely used), then in `bound`, which hold for one address of the host, and `ports`, which
 *  hold for any. `hairpins` knows which translated packets need another source address too: the container would
 *  answer the sender directly, past the translation. */
export const HOST_PORTS: Readonly<Record<Family, FirewallTable>> = { 4: tableOf("ip"), 6: tableOf("ip6") };

function tableOf(family: "ip" | "ip6"): FirewallTable {
  const address = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const local = `${family} daddr . ${PACKET_PORT}`;
  return {
    family,
    name: "dcos_host_ports",
    sets: [
      { name: "ports", kind: "map", type: `${PORT} : ${address} . inet_service` },
      { name: "bound", kind: "map", type: `${address} . ${PORT} : ${address} . inet_service` },
      { name: "hairpins", kind: "map", type: `${address} . ${PORT} : verdict`, onlyWith: HAIRPIN },
      { name: "conditions", kind: "map", type: `${PORT} : verdict`, onlyWith: ONLY },
      { name: "bound_conditions", kind: "map", type: `${address} . ${PORT} : verdict`, onlyWith: ONLY },
      { name: "own", kind: "set", type: `${address} . ${PORT}`, onlyWith: ONLY },
    ],
    chains: [
      {
        name: "translate",
        rules: [`dnat ${family} to ${local} map @bound`, `dnat ${family} to ${PACKET_PORT} map @ports`],
      },
      {
        name: "host_ports",
        rules: [`${local} vmap @bound_conditions`, `${PACKET_PORT} vmap @conditions`, "goto translate"],
      },
      { name: "prerouting", hook: "type nat hook prerouting priority -100;", rules: [TO_HOST] },
      { name: "output", hook: "type nat hook output priority -100;", rules: [TO_HOST] },
      {
        name: "postrouting",
        hook: "type nat hook postrouting priority 99;",
        rules: [`ct status dnat ${local} vmap @hairpins`],
      },
      ...(family === "ip" ? [GUARD] : []),
    ],
    describe: describePort,
  };
}

function describePort({ set, key }: FirewallElement): string {
  const [port = "", protocol = "", address] = key.toReversed();
  if (!/^(ports|bound)/.test(set) || address === undefined) return `host port ${port}/${protocol}`;
  return `host port ${address.includes(":") ? `[${address}]` : address}:${port}/${protocol}`;
}

export interface HostPortsRequest {
  readonly owner: Owner;
  /** The container's addresses with the prefix lengths of their subnets; the first of each family is mapped to. */
  readonly addresses: readonly Prefix[];
  readonly mappings: readonly PortMapping[];
  /** Translate the source of connections that the container, its neighbours or the host's loopback make. Without it
   *  those don't work. */
  readonly snat: boolean;
  /** Translate the source of all connections through host ports. */
  readonly masqAll: boolean;
  /** Further matches in nft's language that a packet must meet, by family; undefined for none. */
  readonly conditions: { readonly 4: string | undefined; readonly 6: string | undefined };
  /** Interfaces that a packet must not come from, unless the container itself has sent it. */
  readonly excludeDevices: readonly string[];
}

/** Where the host ports of one family lead. */
interface Target {
  readonly family: Family;
  readonly subnet: Prefix;
  readonly address: string;
  readonly hairpin: FirewallChain | undefined;
  readonly only: FirewallChain | undefined;
  readonly excludes: boolean;
}

/** Firewall entries of a container's host ports, one a family; none where no mapping suits the container's
 *  addresses. Throws `invalid` when two mappings contradict each other. */
export function hostPortsEntries(request: HostPortsRequest): FirewallEntry[] {
  const { owner, addresses, mappings } = request;
  return ([4, 6] as const).flatMap((family) => {
    const subnet = addresses.find(({ ip }) => ip.family === family);
    const wanted = mappings.filter(({ hostIp }) => hostIp === undefined || hostIp.family === family);
    if (subnet === undefined || wanted.length === 0) return [];
    const target = targetOf(request, family, subnet);
    return {
      table: HOST_PORTS[family],
      owner,
      chains: [target.hairpin, target.only].filter((chain) => chain !== undefined),
      elements: distinct(wanted.flatMap((mapping) => mappingElements(target, mapping))),
      addresses: [target.address],
      rivals: wanted.map(rivalOf),
    };
  });
}

function targetOf(request: HostPortsRequest, family: Family, subnet: Prefix): Target {
  return {
    family,
    subnet,
    address: formatIp(subnet.ip),
    hairpin: hairpinChain(request, family, subnet),
    only: onlyChain(request, family),
    excludes: request.excludeDevices.length > 0,
  };
}

function mappingElements({ address, hairpin, only, excludes }: Target, mapping: PortMapping): FirewallElement[] {
  const port = portKey(mapping);
  const host = boundAddress(mapping);
  const key = host === undefined ? port : [host, ...port];
  const containerPort = String(mapping.containerPort);
  return [
    { set: host === undefined ? "ports" : "bound", key, data: [address, containerPort] },
    ...(hairpin === undefined
      ? []
      : [{ set: "hairpins", key: [address, mapping.protocol, containerPort], data: [`goto ${hairpin.name}`] }]),
    ...(only === undefined
      ? []
      : [{ set: host === undefined ? "conditions" : "bound_conditions", key, data: [`goto ${only.name}`] }]),
    ...(excludes ? [{ set: "own", key: [address, ...port], data: [] }] : []),
  ];
}

/** A port of all addresses and the same port of one address exclude each other, as they do for sockets. */
function rivalOf(mapping: PortMapping): FirewallEntry["rivals"][number] {
  return { set: boundAddress(mapping) === undefined ? "bound" : "ports", suffix: portKey(mapping) };
}

function portKey({ protocol, hostPort }: PortMapping): string[] {
  return [protocol, String(hostPort)];
}

/** Undefined when the mapping holds for all addresses of its family. */
function boundAddress({ hostIp }: PortMapping): string | undefined {
  return hostIp === undefined || hostIp.value === 0n ? undefined : formatIp(hostIp);
}

/** Senders whose source address is translated too: the container's whole subnet, since a neighbour would be answered
 *  directly as well as the container itself; and the host's loopback. There is none such for IPv6: the kernel lets
 *  nothing from ::1 out. */
function hairpinChain({ snat, masqAll }: HostPortsRequest, family: Family, subnet: Prefix): FirewallChain | undefined {
  if (!snat) return undefined;
  if (masqAll) return { name: `${HAIRPIN}_all-0`, rules: ["masquerade"] };
  const network = networkOf(subnet);
  const senders = family === 4 ? [LOOPBACK, formatPrefix(network)] : [formatPrefix(network)];
  return {
    name: `${HAIRPIN}_${prefixName(network)}`,
    rules: senders.map((sender) => `${HOST_PORTS[family].family} saddr ${sender} masquerade`),
  };
}

/** What packets must meet before they are translated. */
function onlyChain({ conditions, excludeDevices }: HostPortsRequest, family: Family): FirewallChain | undefined {
  const condition = conditions[family];
  if (condition === undefined && excludeDevices.length === 0) return undefined;
  const own = `${HOST_PORTS[family].family} saddr . ${PACKET_PORT}`;
  const rules = [
    ...excludeDevices.map((device) => `iifname "${device}" ${own} != @own return`),
    `${condition === undefined ? "" : `${condition} `}goto translate`,
  ];
  return { name: `${ONLY}-${digest(rules.join())}`, rules };
}

/** Elements without repetitions: two host ports of one container port need its hairpin once. */
function distinct(elements: readonly FirewallElement[]): FirewallElement[] {
  const known = new Map<string, FirewallElement>();
  for (const element of elements) {
    const place = [element.set, ...element.key].join(" ");
    const first = known.get(place);
    if (first === undefined) known.set(place, element);
    else refuseContradiction(first, element);
  }
  return [...known.values()];
}

function refuseContradiction(first: FirewallElement, second: FirewallElement): void {
  if (first.data.join() === second.data.join()) return;
  throw new NetError("invalid", {
    tried: `map ${describePort(first)}`,
    said: `it is wanted for container port ${first.data[1]} and for ${second.data[1]}`,
    remedy: "give each host port once",
  });
}
