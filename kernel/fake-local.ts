import { contains, equalIp, type Ip, lastOf } from "../lib/address.ts";
import type { FakeLink, FakeStack } from "./fake-state.ts";

const IPV6_MTU_MIN = 1280;

/** IPv6 asks links to carry 1280 bytes (RFC 8200 section 5); Linux switches it off on those that don't. */
export function hasIpv6(link: FakeLink): boolean {
  return link.mtu >= IPV6_MTU_MIN;
}

/** True for an address of this namespace. */
export function isLocal(stack: FakeStack, ip: Ip): boolean {
  return stack.addresses.some(({ address }) => equalIp(address.ip, ip));
}

/** True for the IPv4 broadcast address of a subnet that this namespace is on, by the one link if given. */
export function isBroadcast(stack: FakeStack, ip: Ip, through?: FakeLink): boolean {
  return stack.addresses.some(
    ({ link, address }) =>
      (through === undefined || link === through) &&
      ip.family === 4 &&
      link.up &&
      address.length < 31 &&
      contains(address, ip) &&
      equalIp(lastOf(address), ip),
  );
}
