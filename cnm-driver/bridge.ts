import type { AddressSpec, Kernel, Link, Operation } from "../kernel/kernel.ts";
import { broadcastOf, equalPrefix, type Ip, type Prefix } from "../lib/address.ts";
import { hasErrno, NetError } from "../lib/error.ts";

/** The bridge that an overlay's Docker containers of this node are on. */
export interface BridgeWish {
  readonly name: string;
  readonly overlay: string;
  /** Bytes. */
  readonly mtu: number;
  /** Gateway addresses with the prefix lengths of their pools. */
  readonly gateways: readonly Prefix[];
}

/** Makes the bridge, or adds what is missing on it. A link of that name that isn't ours is refused: on nodes that
 *  come from DC/OS it may be a bridge of Docker's own with containers on it. Returns true when something was done. */
export function ensureBridge(kernel: Kernel, wish: BridgeWish): boolean {
  const { name, mtu } = wish;
  const link = kernel.link(name);
  if (link !== undefined && !isOurs(link, wish)) throw foreign(wish, link.kind);
  const operations: Operation[] = link === undefined ? [creation(wish)] : [];
  if (link?.alias === undefined) operations.push({ do: "link.set", dev: name, set: { alias: aliasOf(wish.overlay) } });
  const set = { ...(link?.mtu === mtu ? {} : { mtu }), ...(link?.up === false ? { up: true } : {}) };
  // A bridge follows the smallest MTU of its ports until one is set on it, and the one of its creation doesn't count.
  if (Object.keys(set).length > 0) operations.push({ do: "link.set", dev: name, set });
  if (operations.length > 0) kernel.apply(operations);
  const settings = setSysctls(kernel, wish);
  const missing = missingAddresses(kernel, wish);
  if (missing.length > 0) addAddresses(kernel, missing);
  return operations.length + missing.length > 0 || settings;
}

/** Removes the bridge, if it is ours. Nothing to remove is fine. */
export function removeBridge(kernel: Kernel, wish: BridgeWish): void {
  const link = kernel.link(wish.name);
  if (link === undefined || !isOurs(link, wish)) return;
  const [error] = kernel.attempt([{ do: "link.delete", dev: wish.name }]);
  if (error !== undefined && !hasErrno(error, "ENODEV")) throw error;
}

/** The mark of our bridges. It must not begin as the aliases of the overlay's own links do, which its loop removes. */
function aliasOf(overlay: string): string {
  return `dcos-net docker bridge ${overlay}`;
}

/** By its mark; or by the hardware address that we give, when there is no mark: a link gets one only after it is there,
 *  and an agent that was killed in between leaves one without. */
function isOurs({ kind, alias, mac }: Link, { overlay, gateways: [first] }: BridgeWish): boolean {
  if (alias !== undefined) return alias === aliasOf(overlay);
  return kind === "bridge" && first !== undefined && mac === bridgeMac(first.ip);
}

function creation({ name, gateways: [first] }: BridgeWish): Operation {
  const mac = first === undefined ? {} : { mac: bridgeMac(first.ip) };
  return { do: "link.add", link: { kind: "bridge", name, ...mac, up: true } };
}

/** A fixed, locally administered hardware address: one that the kernel chose would change with the bridge's ports, and
 *  containers would lose their gateway until they ask again. */
function bridgeMac(gateway: Ip): string {
  const low = Number(gateway.value & 0xffff_ffffn);
  return `0a:58:${[24, 16, 8, 0].map((shift) => ((low >>> shift) & 0xff).toString(16).padStart(2, "0")).join(":")}`;
}

/** A container must not be able to give the host a default route, and nobody else can have the bridge's own link-local
 *  address, so that looking for a duplicate would only make the first container wait. */
function setSysctls(kernel: Kernel, { name, gateways }: BridgeWish): boolean {
  const settings = { accept_ra: "0", accept_dad: "0", disable_ipv6: "0" };
  if (!gateways.some(({ ip }) => ip.family === 6)) return false;
  const wrong = Object.entries(settings)
    .map(([key, value]) => [`net/ipv6/conf/${name}/${key}`, value] as const)
    .filter(([path, value]) => kernel.sysctl(path) !== value);
  for (const [path, value] of wrong) kernel.setSysctl(path, value);
  return wrong.length > 0;
}

function missingAddresses(kernel: Kernel, { name, gateways }: BridgeWish): AddressSpec[] {
  const present = kernel.addresses(name);
  return gateways
    .filter((gateway) => !present.some(({ address }) => equalPrefix(address, gateway)))
    .map((address) => {
      const broadcast = broadcastOf(address);
      return { dev: name, address, noDad: address.ip.family === 6, ...(broadcast && { broadcast }) };
    });
}

function addAddresses(kernel: Kernel, addresses: readonly AddressSpec[]): void {
  const outcome = kernel.attempt(addresses.map((address) => ({ do: "address.add", address }) as const));
  for (const error of outcome) if (error !== undefined && !hasErrno(error, "EEXIST")) throw error;
}

function foreign({ name, overlay }: BridgeWish, kind: string | undefined): NetError {
  return new NetError("conflict", {
    tried: `make bridge ${name} for the Docker containers of overlay ${overlay}`,
    said: `there is a link (${kind ?? "hardware"}) of this name that this driver didn't make`,
    remedy:
      "if it belongs to an older Docker network of the overlay, remove that network first; otherwise name another " +
      "bridge with -o com.docker.network.bridge.name",
  });
}
