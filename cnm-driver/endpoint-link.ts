import { hostMac } from "../cni/mac.ts";
import type { Kernel, Mac, Operation } from "../kernel/kernel.ts";
import type { Prefix } from "../lib/address.ts";
import { hasErrno, NetError } from "../lib/error.ts";

/** Hexadecimal digits of an endpoint's id in the names of its links: 44 bits. */
const ID_DIGITS = 11;

/** What an endpoint's pair of links is made from. */
export interface PairWish {
  readonly endpoint: string;
  readonly bridge: string;
  readonly mac: Mac;
  /** Bytes. */
  readonly mtu: number;
  /** The containers of the bridge don't reach each other. */
  readonly isolated: boolean;
}

/** Name of the end on the bridge. It follows from the endpoint's id, so that it is found without any record. */
export function hostEnd(endpoint: string): string {
  return `veth${endpoint.slice(0, ID_DIGITS)}`;
}

/** Name of the container's end until Docker has moved it into the container, and after Docker has moved it back. */
export function containerEnd(endpoint: string): string {
  return `vcon${endpoint.slice(0, ID_DIGITS)}`;
}

/** Makes the pair, with one end on the bridge; what an interrupted call has left of it is replaced. A pair that is
 *  complete stays, also when its other end is in a container already. Returns true when something was done. */
export function ensurePair(kernel: Kernel, wish: PairWish): boolean {
  const name = hostEnd(wish.endpoint);
  const [error] = kernel.attempt([creation(wish)]);
  if (error !== undefined && !hasErrno(error, "EEXIST")) throw error;
  const link = error === undefined ? undefined : kernel.link(name);
  if (link?.alias === aliasOf(wish.endpoint)) {
    if (link.up && link.master !== undefined && link.master === kernel.link(wish.bridge)?.index) return false;
  } else if (error !== undefined) {
    if (link !== undefined) removeUnlabelled(kernel, name, link.mac, link.alias);
    kernel.apply([creation(wish)]);
  }
  plug(kernel, name, wish);
  return true;
}

/** True when the pair is there, wherever its other end is. */
export function hasPair(kernel: Kernel, endpoint: string): boolean {
  return kernel.link(hostEnd(endpoint))?.alias === aliasOf(endpoint);
}

/** Removes the pair, wherever its other end is. Nothing to remove is fine. */
export function removePair(kernel: Kernel, endpoint: string): void {
  const name = hostEnd(endpoint);
  const link = kernel.link(name);
  if (link === undefined || (link.alias !== aliasOf(endpoint) && !isUnlabelled(name, link.mac, link.alias))) return;
  const [error] = kernel.attempt([{ do: "link.delete", dev: name }]);
  if (error !== undefined && !hasErrno(error, "ENODEV")) throw error;
}

/** A hardware address that follows from the first address of the container: whoever gets the address next has the same
 *  one, and neighbours that remember it are still right. Docker before release 28 announces nothing. */
export function macFor(addresses: readonly Prefix[]): Mac {
  const low = Number((addresses[0]?.ip.value ?? 0n) & 0xffff_ffffn);
  return `02:42:${[24, 16, 8, 0].map((shift) => ((low >>> shift) & 0xff).toString(16).padStart(2, "0")).join(":")}`;
}

/** Not `dcos-net docker …`: so begin the links of CNI containers on a network that is called docker. */
function aliasOf(endpoint: string): string {
  return `dcos-net-docker ${endpoint}`;
}

function creation({ endpoint, mac, mtu }: PairWish): Operation {
  const name = hostEnd(endpoint);
  const peer = { name: containerEnd(endpoint), mac, mtu };
  return { do: "link.add", link: { kind: "veth", name, mac: hostMac(name), mtu, peer } };
}

function plug(kernel: Kernel, dev: string, { endpoint, bridge, isolated }: PairWish): void {
  kernel.apply([
    { do: "link.set", dev, set: { alias: aliasOf(endpoint), master: bridge, up: true } },
    // A container reaches itself through its own host port.
    { do: "port.set", dev, set: { hairpin: true, isolated } },
  ]);
}

function isUnlabelled(name: string, mac: Mac, alias: string | undefined): boolean {
  return alias === undefined && mac === hostMac(name);
}

function removeUnlabelled(kernel: Kernel, name: string, mac: Mac, alias: string | undefined): void {
  if (!isUnlabelled(name, mac, alias)) {
    throw new NetError("conflict", {
      tried: `make link ${name}`,
      said: `there is one of this name already (${alias ?? "without alias"})`,
      remedy: "remove that link if nobody needs it",
    });
  }
  kernel.apply([{ do: "link.delete", dev: name }]);
}
