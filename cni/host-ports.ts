import type { Flow } from "../kernel/conntrack.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { contains, equalIp, type Ip, parseIp, parsePrefix } from "../lib/address.ts";
import type { Files } from "../lib/files.ts";
import { addFirewall, gcFirewall, removeFirewall } from "./firewall.ts";
import type { FirewallElement, FirewallEntry } from "./firewall-commands.ts";
import type { Owner } from "./firewall-owner.ts";
import { HOST_PORTS } from "./portmap-rules.ts";

const UDP = 17;
const LOOPBACK = parsePrefix("127.0.0.0/8");

/** Makes a container's host ports usable: its entries of HOST_PORTS, the way from the host's own loopback, and no
 *  UDP flow that remembers what was before. Throws `conflict` naming the holder of a port. */
export function openHostPorts(kernel: Kernel, files: Files, entries: readonly FirewallEntry[]): void {
  addFirewall(kernel, files, entries);
  forgetUdpFlows(
    kernel,
    entries.flatMap(({ elements }) => elements),
  );
  for (const { table, chains, addresses } of entries) {
    const [address] = addresses;
    const device =
      table === HOST_PORTS[4] && chains.length > 0 && address !== undefined
        ? deviceTowards(kernel, parseIp(address))
        : undefined;
    if (device !== undefined) allowLoopback(kernel, device);
  }
}

/** Removes the host ports of an attachment, which the entries themselves know: neither configuration nor namespace
 *  is needed. */
export function closeHostPorts(kernel: Kernel, files: Files, owner: Owner): void {
  forgetUdpFlows(kernel, removeFirewall(kernel, files, [HOST_PORTS[4], HOST_PORTS[6]], owner));
}

/** Removes the host ports of what isn't `valid` on `network`. */
export function collectHostPorts(
  kernel: Kernel,
  files: Files,
  network: string,
  valid: readonly Omit<Owner, "network">[],
): void {
  forgetUdpFlows(kernel, gcFirewall(kernel, files, [HOST_PORTS[4], HOST_PORTS[6]], network, valid));
}

/** Forgets the UDP flows that went to or came from the mappings among `elements` (of table HOST_PORTS) before a
 *  change. Connection tracking looks rules up for the first packet of a flow only, and a UDP flow lives as long as
 *  its sender goes on: without this a client would talk to the former container, or to none, for ever. TCP and SCTP
 *  notice by themselves. */
export function forgetUdpFlows(kernel: Kernel, elements: readonly FirewallElement[]): void {
  const mappings = elements.flatMap(udpMapping);
  for (const family of [4, 6] as const) {
    const concerned = mappings.filter(({ address }) => address.family === family);
    if (concerned.length === 0) continue;
    const local = kernel.addresses().map(({ address }) => address.ip);
    const isLocal = (ip: Ip) => contains(LOOPBACK, ip) || local.some((own) => equalIp(own, ip));
    kernel.conntrack.delete(
      family,
      (flow) => flow.protocol === UDP && concerned.some((mapping) => isThrough(mapping, flow, isLocal)),
    );
  }
}

/** Lets packets from the host's 127.0.0.1 leave by `device`, the interface that leads to the containers: without it
 *  a host port can't be reached there. The guard of table HOST_PORTS keeps it from working the other way. */
export function allowLoopback(kernel: Kernel, device: string): void {
  kernel.setSysctl(`net/ipv4/conf/${device}/route_localnet`, "1");
}

/** Name of the interface that the main table sends packets for `ip` to; undefined without a route. */
function deviceTowards(kernel: Kernel, ip: Ip): string | undefined {
  const routes = kernel.routes({ family: ip.family }).filter(({ dst }) => contains(dst, ip));
  return routes.sort((a, b) => b.dst.length - a.dst.length)[0]?.dev;
}

interface UdpMapping {
  readonly hostPort: number;
  /** Undefined for all addresses of the host. */
  readonly hostIp: Ip | undefined;
  /** The container's. */
  readonly address: Ip;
  readonly port: number;
}

function udpMapping({ set, key, data }: FirewallElement): UdpMapping[] {
  if (set !== "ports" && set !== "bound") return [];
  const [hostPort, protocol, hostIp] = key.toReversed();
  const [address, port] = data;
  if (protocol !== "udp" || address === undefined) return [];
  return [
    {
      hostPort: Number(hostPort),
      hostIp: hostIp === undefined ? undefined : parseIp(hostIp),
      address: parseIp(address),
      port: Number(port),
    },
  ];
}

/** Flows to the host port of a host address, translated or not, and flows that the container answers. A flow to the
 *  same port of another machine, which only passes, is left alone. */
function isThrough(mapping: UdpMapping, flow: Flow, isLocal: (ip: Ip) => boolean): boolean {
  const { hostPort, hostIp, address, port } = mapping;
  if (flow.replySourcePort === port && equalIp(flow.replySource, address)) return true;
  if (flow.destinationPort !== hostPort) return false;
  return hostIp === undefined ? isLocal(flow.destination) : equalIp(hostIp, flow.destination);
}
