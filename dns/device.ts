import type { Link, LinkAddress, Operation } from "../kernel/kernel.ts";
import { compareIp, equalIp, hostPrefix, type Ip, type Prefix } from "../lib/address.ts";

/** Text on the link by which we know our own again: only what carries it is ever removed. */
export const DEVICE_ALIAS = "dcos-net: addresses of the DNS server";

/** Kinds that carry addresses without a lower device, best first. A bridge without ports serves where the kernel has no
 *  dummy device. */
export const DEVICE_KINDS = ["dummy", "bridge"] as const;
export type DeviceKind = (typeof DEVICE_KINDS)[number];

/** What the kernel has under the device's name. */
export interface DeviceState {
  readonly link: Link | undefined;
  /** Addresses of that link. */
  readonly addresses: readonly LinkAddress[];
}

/** Steps to a link that is up and has these addresses, each for itself (/32, /128); none when that is so already. A
 *  link of that name that isn't ours keeps whatever else it has. */
export function devicePlan(name: string, wanted: readonly Ip[], state: DeviceState, kind: DeviceKind): Operation[] {
  const { link, addresses } = state;
  const present = addresses.map(({ address }) => address.ip);
  const missing = wanted.filter((ip) => !present.some((each) => equalIp(each, ip)));
  const surplus = addresses.filter(({ address, scope }) => {
    return scope === "global" && !wanted.some((ip) => equalIp(ip, address.ip));
  });
  return [
    ...(link === undefined ? [addition(name, kind)] : []),
    ...(link !== undefined && !link.up ? [{ do: "link.set" as const, dev: name, set: { up: true } }] : []),
    ...missing.toSorted(compareIp).map((ip) => addressAddition(name, ip)),
    ...(isOwn(link) ? surplus.map(({ address }) => removalOf(name, address)) : []),
  ];
}

/** Steps that take our device away; none when it isn't there, or isn't ours. */
export function deviceRemoval(name: string, { link }: Pick<DeviceState, "link">): Operation[] {
  return isOwn(link) ? [{ do: "link.delete", dev: name }] : [];
}

function addition(name: string, kind: DeviceKind): Operation {
  return { do: "link.add", link: { kind, name, up: true, alias: DEVICE_ALIAS } };
}

/** Without duplicate address detection: the same addresses are on every node, and none of them is asked for on a
 *  wire. */
function addressAddition(dev: string, ip: Ip): Operation {
  const address = { dev, address: hostPrefix(ip) };
  return { do: "address.add", address: ip.family === 6 ? { ...address, noDad: true } : address };
}

function removalOf(dev: string, address: Prefix): Operation {
  return { do: "address.delete", address: { dev, address } };
}

function isOwn(link: Link | undefined): boolean {
  return link?.alias === DEVICE_ALIAS;
}
