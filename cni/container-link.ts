import type { Kernel, Link, Mac, Netns, Operation, Route } from "../kernel/kernel.ts";
import { broadcastOf, contains, type Family, formatPrefix, type Ip, type Prefix } from "../lib/address.ts";
import { hasErrno, NetError } from "../lib/error.ts";
import type { Attachment } from "./attachment.ts";
import type { BridgeConfig } from "./bridge-config.ts";
import { containerMac, hostMac } from "./mac.ts";
import type { Result, ResultRoute } from "./result.ts";

/** One interface of one container on one network. */
export interface NetworkAttachment extends Attachment {
  readonly network: string;
}

/** How often another name is tried for the host's end when one is taken: names are 32-bit hashes, so twice is already
 *  unlikely. */
const NAME_TRIES = 10;
/** IFALIASZ is 256 with the terminating zero. */
const ALIAS_BYTES = 255;

/** Text by which the host's end of a pair names its container: `ip link` shows it, DEL without a namespace and GC find
 *  it. */
export function aliasOf({ network, containerId, ifname }: NetworkAttachment): string {
  return `${networkAlias(network)}${containerId} ${ifname}`.slice(0, ALIAS_BYTES);
}

/** How the aliases of all host ends of a network begin, and no others. */
export function networkAlias(network: string): string {
  return `dcos-net ${network} `;
}

/** A number from 0 to 2^32−1 that follows from the attachment. */
export function attachmentNumber({ network, containerId, ifname }: NetworkAttachment): number {
  return Number(Bun.hash.wyhash(`${network}\0${containerId}\0${ifname}`) & 0xffffffffn);
}

/** Name of the host's end: `veth` and the {@link attachmentNumber} in eight hexadecimal digits, so that it is found
 *  again without any record. `attempt` gives other names when that one is taken. */
export function hostLinkName(attachment: NetworkAttachment, attempt = 0): string {
  const number = (attachmentNumber(attachment) + attempt) % 2 ** 32;
  return `veth${number.toString(16).padStart(8, "0")}`;
}

/** The {@link attachmentNumber} behind the name of a host's end that got no label, because whoever made it was killed
 *  in between; undefined for every other link. */
export function unlabelledNumber({ name, kind, mac, alias }: Link): number | undefined {
  if (kind !== "veth" || alias !== undefined || mac !== hostMac(name)) return undefined;
  return Number.parseInt(name.slice(4), 16);
}

/** The two ends of a pair. Their hardware addresses are chosen by us, so that nothing has to be read back for the
 *  result. */
export interface Pair {
  readonly name: string;
  readonly mac: string;
  readonly containerMac: string;
}

/** Makes the pair: one end in the container under the name that the runtime wants, the other in the host. Refuses an
 *  interface name that the container has already. `now` (milliseconds since 1970) makes the container's hardware
 *  address differ from that of a container of the same name on another host. */
export function connect(
  host: Kernel,
  container: Kernel,
  netns: Netns,
  attachment: NetworkAttachment,
  mtu: number,
  wantedMac: Mac | undefined,
  now: number,
): Pair {
  const { ifname } = attachment;
  const peer = {
    name: ifname,
    mtu,
    netns,
    mac: wantedMac ?? containerMac(`${aliasOf(attachment)} ${netns.id} ${now}`),
  };
  for (let attempt = 0; ; attempt++) {
    const name = hostLinkName(attachment, attempt);
    const mac = hostMac(name);
    const [error] = host.attempt([{ do: "link.add", link: { kind: "veth", name, mac, mtu, peer } }]);
    if (error === undefined) return { name, mac, containerMac: peer.mac };
    if (!hasErrno(error, "EEXIST") || attempt + 1 === NAME_TRIES) throw error;
    refuseTakenName(container, netns, ifname);
  }
}

/** EEXIST doesn't say which of the two names is taken. */
function refuseTakenName(container: Kernel, netns: Netns, ifname: string): void {
  if (container.link(ifname) === undefined) return;
  throw new NetError("already-exists", {
    tried: `add interface ${ifname} to ${netns.path}`,
    said: `container veth name (${JSON.stringify(ifname)}) already exists`,
    remedy: "DEL the earlier attachment first",
  });
}

/** Labels the host's end, joins it to the bridge with the port settings of the configuration, and brings it up. A
 *  bridge without working ports is given the hardware address that it has: otherwise it would take on that of its first
 *  port. */
export function joinBridge(
  host: Kernel,
  dev: string,
  attachment: NetworkAttachment,
  bridge: Link,
  config: BridgeConfig,
): void {
  const port = {
    ...(config.hairpinMode ? { hairpin: true } : {}),
    ...(config.portIsolation ? { isolated: true } : {}),
  };
  const operations: Operation[] = [];
  if (bridge.bridge?.active !== true) operations.push({ do: "link.set", dev: bridge.name, set: { mac: bridge.mac } });
  const label = { alias: aliasOf(attachment), master: bridge.name, up: true };
  operations.push({ do: "link.set", dev, set: label });
  if (Object.keys(port).length > 0) operations.push({ do: "port.set", dev, set: port });
  host.apply([...operations, ...vlanOperations(host, dev, config)]);
}

function vlanOperations(host: Kernel, dev: string, config: BridgeConfig): Operation[] {
  const { vlan, vlanTrunk, preserveDefaultVlan } = config;
  if (vlan === 0 && vlanTrunk.length === 0) return [];
  const removals = preserveDefaultVlan
    ? []
    : host.vlans(dev).map(({ vid }) => ({ do: "vlan.delete", dev, vid }) as const);
  const tagged = vlanTrunk.map((vid) => ({ do: "vlan.add", dev, vid, pvid: false, untagged: false }) as const);
  // With trunks only, frames without a tag belong to VLAN 1, as with the reference.
  const own = { do: "vlan.add", dev, vid: vlan === 0 ? 1 : vlan, pvid: true, untagged: true } as const;
  return [...removals, ...tagged, own];
}

/** Gives the container's interface its addresses and routes (appended: another network's default route may be there),
 *  brings it up and lets the kernel announce the addresses, so that nobody goes on sending to a former holder. A packet
 *  socket of ours could announce as well, but closing it waits 10 ms and more until the kernel has forgotten it. */
export function configure(container: Kernel, dev: string, mac: string, result: Result, config: BridgeConfig): void {
  const families = new Set(result.ips.map(({ address }) => address.ip.family));
  if (families.has(6)) enableIpv6(container, dev, config);
  const addresses = result.ips.map(({ address }) => {
    const noDad = address.ip.family === 6 && !config.enabledad;
    const broadcast = broadcastOf(address);
    return {
      do: "address.add",
      address: { dev, address, ...(noDad && { noDad }), ...(broadcast && { broadcast }) },
    } as const;
  });
  const up = { do: "link.set", dev, set: { up: true, ...(families.has(4) ? { arpNotify: true } : {}) } } as const;
  const routes = result.routes.map((route) => ({ do: "route.append", route: routeOf(route, dev, result) }) as const);
  // The address is the one that the interface has; setting it again is what makes the kernel announce.
  const announcement = { do: "link.set", dev, set: { mac } } as const;
  if (!config.enabledad || !families.has(6)) {
    container.apply([...addresses, up, ...routes, announcement]);
    return;
  }
  container.apply([...addresses, up]);
  awaitDad(container, dev);
  container.apply([...routes, announcement]);
}

/** Some runtimes switch IPv6 off in new namespaces. With ndisc_notify the kernel sends unsolicited neighbour
 *  advertisements (RFC 4861 section 7.2.6) as it does ARP announcements. */
function enableIpv6(container: Kernel, dev: string, config: BridgeConfig): void {
  for (const link of ["lo", dev]) container.setSysctl(`net/ipv6/conf/${link}/disable_ipv6`, "0");
  container.setSysctl(`net/ipv6/conf/${dev}/ndisc_notify`, "1");
  if (config.enabledad) container.setSysctl(`net/ipv6/conf/${dev}/enhanced_dad`, "1");
}

const DAD_POLL_MS = 20;
const DAD_WAIT_MS = 5000;

/** Waits until duplicate address detection is over (RFC 4862 section 5.4); throws when another host has the address. */
function awaitDad(container: Kernel, dev: string): void {
  for (let waited = 0; ; waited += DAD_POLL_MS) {
    const addresses = container.addresses(dev).filter(({ address }) => address.ip.family === 6);
    const duplicate = addresses.find(({ dadFailed }) => dadFailed);
    const tried = `finish duplicate address detection on ${dev}`;
    if (duplicate !== undefined) {
      const said = `another host has ${formatPrefix(duplicate.address)}`;
      throw new NetError("conflict", { tried, said, remedy: "take it out of the ranges, or from that host" });
    }
    if (!addresses.some(({ tentative }) => tentative)) return;
    if (waited >= DAD_WAIT_MS) {
      const said = `an address is still tentative after ${DAD_WAIT_MS} ms`;
      throw new NetError("timeout", { tried, said, remedy: "is the bridge up? `ip -6 address` shows the address" });
    }
    Bun.sleepSync(DAD_POLL_MS);
  }
}

const SCOPES: Readonly<Record<number, NonNullable<Route["scope"]>>> = { 0: "global", 253: "link", 254: "host" };

/** A route without a gateway leads to the first gateway of its family; one whose gateway is outside of the container's
 *  own networks (addresses of /32) needs the kernel to believe that it is on the link. */
function routeOf(route: ResultRoute, dev: string, { ips }: Result): Route {
  const gateway = route.gw ?? (route.scope === 253 ? undefined : gatewayFor(route.dst.ip.family, ips));
  const scope = route.scope === undefined ? undefined : SCOPES[route.scope];
  const outside = gateway !== undefined && !ips.some(({ address }) => contains(address, gateway));
  return {
    dst: route.dst,
    dev,
    ...(gateway === undefined ? {} : { gateway }),
    ...(outside ? { onlink: true } : {}),
    ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    ...(route.advmss === undefined ? {} : { advmss: route.advmss }),
    ...(route.priority === undefined ? {} : { priority: route.priority }),
    ...(route.table === undefined ? {} : { table: route.table }),
    ...(scope === undefined ? {} : { scope }),
  };
}

/** The first gateway of a family among the addresses. */
export function gatewayFor(family: Family, ips: Result["ips"]): Ip | undefined {
  return ips.find(({ address, gateway }) => address.ip.family === family && gateway !== undefined)?.gateway;
}

const PORT_WAITS_MS = [1, 2, 5, 10, 50, 100, 500, 1000, 1000];

/** Waits until the bridge forwards for the port, which is at once unless spanning tree or a slow host delays it; throws
 *  when the port stays down. */
export function awaitForwarding(host: Kernel, dev: string): void {
  for (const wait of [...PORT_WAITS_MS, 0]) {
    const link = host.link(dev);
    if (link === undefined) throw new NetError("not-found", { tried: `find bridge port ${dev}`, said: "it is gone" });
    if (link.bridgePort?.forwarding === true) return;
    if (wait > 0) Bun.sleepSync(wait);
  }
  throw new NetError("timeout", {
    tried: `bring bridge port ${dev} into forwarding state`,
    said: "it stays blocked",
    remedy: "see bridge link show; spanning tree on the bridge delays new ports",
  });
}

/** Removes the container's interface, from inside its namespace when there still is one, otherwise by the host's end.
 *  Neither being there is fine: DEL may come twice, or without an ADD. */
export function disconnect(host: Kernel, container: Kernel | undefined, attachment: NetworkAttachment): void {
  if (container !== undefined) {
    const [error] = container.attempt([{ do: "link.delete", dev: attachment.ifname }]);
    if (error !== undefined && !hasErrno(error, "ENODEV")) throw error;
    return;
  }
  for (let attempt = 0; attempt < NAME_TRIES; attempt++) {
    const link = host.link(hostLinkName(attachment, attempt));
    if (link === undefined) return;
    if (link.alias === aliasOf(attachment)) {
      host.attempt([{ do: "link.delete", dev: link.name }]);
      return;
    }
  }
}

/** The prefixes that a gateway address has on the bridge: the gateway with the length of the network it serves. */
export function gatewayPrefixes(ips: Result["ips"]): Prefix[] {
  return ips.flatMap(({ address, gateway }) =>
    gateway === undefined ? [] : [{ ip: gateway, length: address.length }],
  );
}
