import type { Kernel, Link, LinkAddress, Operation } from "../kernel/kernel.ts";
import { formatMac } from "../kernel/link.ts";
import { broadcastOf, contains, equalIp, formatPrefix, overlaps, type Prefix } from "../lib/address.ts";
import { hasErrno, NetError } from "../lib/error.ts";
import type { BridgeConfig } from "./bridge-config.ts";

/** Returns the bridge of the configuration, up; creates it when missing. A link of that name that isn't a bridge is
 *  refused, and so is one that can't filter VLANs when VLANs are asked for: switching that on would change the other
 *  ports. An existing bridge gets the configured MTU. */
export function ensureBridge(host: Kernel, config: BridgeConfig): Link {
  const wantsVlans = config.vlan !== 0 || config.vlanTrunk.length > 0;
  const present = host.link(config.bridge) ?? createBridge(host, config, wantsVlans);
  if (present.kind !== "bridge") {
    throw new NetError("conflict", {
      tried: `use ${config.bridge} as the bridge`,
      said: `${JSON.stringify(config.bridge)} already exists but is not a bridge`,
      remedy: "choose another name for the key bridge, or remove that link",
    });
  }
  if (wantsVlans && present.bridge?.vlanFiltering !== true) {
    throw new NetError("unsupported", {
      tried: `use VLANs on bridge ${config.bridge}`,
      said: "it was created without VLAN filtering",
      remedy: `remove the bridge to have it made anew, or: ip link set ${config.bridge} type bridge vlan_filtering 1`,
    });
  }
  const set = {
    ...(present.up ? {} : { up: true }),
    ...(config.mtu === undefined || config.mtu === present.mtu ? {} : { mtu: config.mtu }),
    ...(config.promiscMode && !present.promiscuous ? { promiscuous: true } : {}),
  };
  if (Object.keys(set).length === 0) return present;
  host.apply([{ do: "link.set", dev: config.bridge, set }]);
  return { ...present, ...set };
}

/** The hardware address is set by us, because a bridge whose address the kernel chose takes on that of its lowest port,
 *  and every container would have to learn it anew. */
function createBridge(host: Kernel, config: BridgeConfig, vlanFiltering: boolean): Link {
  const { bridge: name, mtu } = config;
  const link = {
    kind: "bridge",
    name,
    mac: randomMac(),
    up: true,
    vlanFiltering,
    ...(mtu === undefined ? {} : { mtu }),
  } as const;
  const [error] = host.attempt([{ do: "link.add", link }]);
  // EEXIST: another ADD of the same network has just made it.
  if (error !== undefined && !hasErrno(error, "EEXIST")) throw error;
  if (host.sysctl(`net/ipv6/conf/${name}/accept_ra`) !== undefined) {
    // A container must not be able to give the host a default route by a router advertisement.
    host.setSysctl(`net/ipv6/conf/${name}/accept_ra`, "0");
    // Nobody else can have the bridge's own link-local address, and while its detection runs, for the first second
    // after the first port came, the host doesn't answer its containers' neighbour solicitations.
    host.setSysctl(`net/ipv6/conf/${name}/accept_dad`, "0");
  }
  const created = host.link(name);
  if (created === undefined)
    throw new NetError("not-found", { tried: `create bridge ${name}`, said: "it is gone again" });
  return created;
}

/** A random unicast, locally administered address (IEEE 802). */
function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return formatMac(bytes);
}

/** Puts the gateways' addresses on `dev` and switches forwarding on. A different IPv4 address, or an IPv6 address whose
 *  network overlaps, is refused unless `force`, which removes it. */
export function ensureGateways(host: Kernel, dev: string, gateways: readonly Prefix[], force: boolean): void {
  const present = host.addresses(dev);
  const operations = gateways.flatMap((gateway) => gatewayOperations(dev, gateway, present, force));
  const outcome = host.attempt(operations);
  for (const error of outcome) if (error !== undefined && !hasErrno(error, "EEXIST")) throw error;
  for (const family of new Set(gateways.map(({ ip }) => ip.family))) {
    host.setSysctl(family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding", "1");
  }
}

function gatewayOperations(dev: string, gateway: Prefix, present: readonly LinkAddress[], force: boolean): Operation[] {
  if (present.some(({ address }) => equalIp(address.ip, gateway.ip) && address.length === gateway.length)) return [];
  const rivals = present.filter(({ address, scope }) => isRival(address, scope, gateway));
  const [rival] = rivals;
  if (rival !== undefined && !force) {
    const wanted = formatPrefix(gateway);
    throw new NetError("conflict", {
      tried: `give ${dev} the gateway address ${wanted}`,
      said: `${JSON.stringify(dev)} already has an IP address different from ${wanted}: ${formatPrefix(rival.address)}`,
      remedy: "set forceAddress to replace it, or use another bridge for this network",
    });
  }
  const removals = rivals.map(({ address }) => ({ do: "address.delete", address: { dev, address } }) as const);
  const broadcast = broadcastOf(gateway);
  const address = { dev, address: gateway, noDad: gateway.ip.family === 6, ...(broadcast && { broadcast }) };
  return [...removals, { do: "address.add", address }];
}

/** Several IPv6 networks may share a bridge; link-local addresses are the kernel's own. */
function isRival(address: Prefix, scope: LinkAddress["scope"], gateway: Prefix): boolean {
  if (address.ip.family !== gateway.ip.family) return false;
  return gateway.ip.family === 4 || (scope === "global" && overlaps(address, gateway));
}

/** Says which gateway addresses are missing on `dev`: what CHECK asks. */
export function missingGateways(host: Kernel, dev: string, gateways: readonly Prefix[]): Prefix[] {
  const present = host.addresses(dev);
  return gateways.filter(
    (gateway) => !present.some(({ address }) => equalIp(address.ip, gateway.ip) && contains(address, gateway.ip)),
  );
}
