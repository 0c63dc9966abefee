import type { BridgeConfig } from "./bridge-config.ts";
import type { NetworkAttachment } from "./container-link.ts";
import { addFirewall, checkFirewall, gcFirewall, removeFirewall } from "./firewall.ts";
import type { FirewallEntry } from "./firewall-commands.ts";
import { allowLoopback, forgetUdpFlows } from "./host-ports.ts";
import { MAC_SPOOF, macSpoofEntry } from "./macspoof.ts";
import { MASQUERADE, masqueradeEntries } from "./masquerade.ts";
import { HOST_PORTS, hostPortsEntries } from "./portmap-rules.ts";
import type { Call, Host } from "./protocol.ts";
import type { PortMapping } from "./request.ts";
import type { Result } from "./result.ts";

/** What an attachment needs of the firewall. */
export interface FirewallRequest {
  readonly attachment: NetworkAttachment;
  readonly config: BridgeConfig;
  readonly ports: readonly PortMapping[];
  /** The attachment's own result: bridge, host's end and container's interface, in that order. */
  readonly result: Result;
}

const TABLES = [MASQUERADE[4], MASQUERADE[6], HOST_PORTS[4], HOST_PORTS[6], MAC_SPOOF];

/** Makes masquerading, host ports and the guard against spoofed hardware addresses, as far as asked for, in one
 *  transaction. */
export function protect(host: Host, request: FirewallRequest): void {
  const entries = entriesOf(request);
  if (entries.length === 0) return;
  const kernel = host.kernel();
  addFirewall(kernel, host.files, entries);
  forgetUdpFlows(
    kernel,
    entries.flatMap(({ elements }) => elements),
  );
  if (entries.some(({ table }) => table === HOST_PORTS[4])) allowLoopback(kernel, request.config.bridge);
}

/** Removes whatever the attachment has, which the entries themselves know: neither configuration nor namespace is
 *  needed. */
export function unprotect(host: Host, { network, containerId, ifname }: NetworkAttachment): void {
  const kernel = host.kernel();
  forgetUdpFlows(kernel, removeFirewall(kernel, host.files, TABLES, { network, containerId, ifname }));
}

/** Throws naming the first entry that is missing. */
export function verify(host: Host, request: FirewallRequest): void {
  checkFirewall(host.kernel(), entriesOf(request));
}

/** Removes what belongs to no valid attachment of the call's network. */
export function collect(host: Host, { network, attachments }: Call): void {
  if (attachments === undefined) return;
  const kernel = host.kernel();
  forgetUdpFlows(kernel, gcFirewall(kernel, host.files, TABLES, network, attachments));
}

function entriesOf({ attachment, config, ports, result }: FirewallRequest): FirewallEntry[] {
  const { network, containerId, ifname } = attachment;
  const owner = { network, containerId, ifname };
  const addresses = result.ips.map(({ address }) => address);
  const conditions = { 4: undefined, 6: undefined };
  const settings = { snat: true, masqAll: false, conditions, excludeDevices: [] };
  const entries = hostPortsEntries({ owner, addresses, mappings: ports, ...settings });
  if (config.ipMasq) entries.push(...masqueradeEntries({ owner, addresses, excludes: config.ipMasqExclude }));
  const [, port, inside] = result.interfaces;
  if (config.macspoofchk && port !== undefined && inside?.mac !== undefined) {
    entries.push(macSpoofEntry(owner, port.name, inside.mac));
  }
  return entries;
}
