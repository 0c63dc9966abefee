import { addFirewall, checkFirewall, removeFirewall } from "../cni/firewall.ts";
import type { FirewallEntry } from "../cni/firewall-commands.ts";
import type { Owner } from "../cni/firewall-owner.ts";
import { allowLoopback, closeHostPorts, forgetUdpFlows } from "../cni/host-ports.ts";
import { MASQUERADE, masqueradeEntries } from "../cni/masquerade.ts";
import { HOST_PORTS, hostPortsEntries } from "../cni/portmap-rules.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Prefix, parseIp, parsePrefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { leaseNetwork } from "./lease.ts";
import type { EndpointRecord, NetworkRecord } from "./record.ts";

/** An endpoint, its network, and the addresses of all overlays, which are never masqueraded. */
export interface Protected {
  readonly network: NetworkRecord;
  readonly endpoint: EndpointRecord;
  readonly inside: readonly Prefix[];
}

const TABLES = [MASQUERADE[4], MASQUERADE[6], HOST_PORTS[4], HOST_PORTS[6]];

/** Makes masquerading and host ports of a joined endpoint as recorded, in place of what it had. Throws `conflict` naming
 *  the holder when another container has one of the host ports. */
export function protect(kernel: Kernel, files: Files, wish: Protected): void {
  const entries = entriesOf(wish);
  addFirewall(kernel, files, entries);
  forgetUdpFlows(
    kernel,
    entries.flatMap(({ elements }) => elements),
  );
  if (entries.some(({ table }) => table === HOST_PORTS[4])) allowLoopback(kernel, wish.network.bridge);
}

/** True when everything that {@link protect} makes is there. */
export function isProtected(kernel: Kernel, wish: Protected): boolean {
  try {
    checkFirewall(kernel, entriesOf(wish));
    return true;
  } catch (error) {
    if (error instanceof NetError && error.code === "not-found") return false;
    throw error;
  }
}

/** Removes masquerading and host ports of an endpoint, whatever it has. */
export function unprotect(kernel: Kernel, files: Files, overlay: string, endpoint: string): void {
  forgetUdpFlows(kernel, removeFirewall(kernel, files, TABLES, ownerOf(overlay, endpoint)));
}

/** Removes the host ports only. */
export function closePorts(kernel: Kernel, files: Files, overlay: string, endpoint: string): void {
  closeHostPorts(kernel, files, ownerOf(overlay, endpoint));
}

/** Not the overlay's name as network: a CNI runtime that collects garbage there doesn't know our endpoints. */
function ownerOf(overlay: string, endpoint: string): Owner {
  return { network: leaseNetwork(overlay, 4), containerId: endpoint, ifname: "docker" };
}

function entriesOf({ network, endpoint, inside }: Protected): FirewallEntry[] {
  if (!endpoint.joined || network.internal) return [];
  const owner = ownerOf(network.overlay, endpoint.id);
  const addresses = endpoint.addresses.map(parsePrefix);
  const mappings = endpoint.ports.map(({ protocol, hostPort, containerPort, hostIp }) => ({
    protocol,
    hostPort,
    containerPort,
    ...(hostIp === undefined ? {} : { hostIp: parseIp(hostIp) }),
  }));
  const conditions = { 4: undefined, 6: undefined };
  const settings = { snat: true, masqAll: false, conditions, excludeDevices: [] };
  return [
    ...hostPortsEntries({ owner, addresses, mappings, ...settings }),
    ...(network.masquerade ? masqueradeEntries({ owner, addresses, excludes: inside }) : []),
  ];
}
