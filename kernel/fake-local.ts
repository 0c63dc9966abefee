import { contains, equalIp, type Ip, lastOf } from "../lib/address.ts";
import type { FakeStack } from "./fake-state.ts";

/** True for an address of this namespace. */
export function isLocal(stack: FakeStack, ip: Ip): boolean {
  return stack.addresses.some(({ address }) => equalIp(address.ip, ip));
}

/** True for the IPv4 broadcast address of a subnet that this namespace is on. */
export function isBroadcast(stack: FakeStack, ip: Ip): boolean {
  return stack.addresses.some(
    ({ link, address }) =>
      ip.family === 4 && link.up && address.length < 31 && contains(address, ip) && equalIp(lastOf(address), ip),
  );
}
