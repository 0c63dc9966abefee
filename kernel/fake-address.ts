import { contains, equalIp, equalPrefix, type Ip, networkOf, type Prefix, parsePrefix } from "../lib/address.ts";
import { hasIpv6, isLocal } from "./fake-local.ts";
import { Refusal } from "./fake-refusal.ts";
import { dropRoutes, dropRoutesFrom, insertConnected, removeConnected } from "./fake-route.ts";
import type { FakeAddress, FakeLink } from "./fake-state.ts";
import type { AddressSpec, LinkAddress, Scope } from "./kernel.ts";

const LINK_LOCAL_6 = parsePrefix("fe80::/10");
const MULTICAST_6 = parsePrefix("ff00::/8");
const LOOPBACK_4 = parsePrefix("127.0.0.1/8");
const LOOPBACK_6 = parsePrefix("::1/128");

/** `ip address add` and `ip address replace`. */
export function addAddress(link: FakeLink, spec: AddressSpec, replace: boolean): void {
  const { ip, length } = spec.address;
  if (length < 0 || length > (ip.family === 4 ? 32 : 128)) throw new Refusal("EINVAL");
  if (ip.family === 6) checkAddress6(link, ip);
  const present = findSame(link, spec.address);
  if (present !== undefined) {
    if (!replace) throw new Refusal("EEXIST", "Address already assigned");
    present.noDad ||= spec.noDad === true;
    return;
  }
  insert(link, {
    link,
    address: spec.address,
    scope: ip.family === 4 ? (spec.scope ?? "global") : scopeOf6(ip),
    broadcast: ip.family === 4 ? spec.broadcast : undefined,
    noDad: spec.noDad === true,
    settled: false,
    secondary: ip.family === 4 && subnetMates(link, spec.address).length > 0,
  });
}

function checkAddress6(link: FakeLink, ip: Ip): void {
  if (!hasIpv6(link)) throw new Refusal("EINVAL");
  if (link.stack.sysctl.isOnLink("ipv6", link.name, "disable_ipv6")) {
    throw new Refusal("EACCES", "ipv6: IPv6 is disabled on this device");
  }
  const loopback = equalIp(ip, LOOPBACK_6.ip) && link.kind !== undefined;
  if (ip.value === 0n || loopback || contains(MULTICAST_6, ip)) throw new Refusal("EADDRNOTAVAIL");
}

/** IPv6 allows an address once on a link; IPv4 once for each prefix length. */
function findSame(link: FakeLink, address: Prefix): FakeAddress | undefined {
  return addressesOf(link).find(({ address: other }) =>
    address.ip.family === 6 ? equalIp(other.ip, address.ip) : equalPrefix(other, address),
  );
}

/** IPv4 addresses of the link in exactly the same subnet. */
function subnetMates(link: FakeLink, address: Prefix): FakeAddress[] {
  const network = networkOf(address);
  return addressesOf(link).filter((other) => equalPrefix(networkOf(other.address), network));
}

function addressesOf(link: FakeLink): FakeAddress[] {
  return link.stack.addresses.filter((each) => each.link === link);
}

/** An IPv6 address has the scope that its prefix says, whatever was asked for. */
function scopeOf6(ip: Ip): Scope {
  if (contains(LINK_LOCAL_6, ip)) return "link";
  return equalIp(ip, LOOPBACK_6.ip) ? "host" : "global";
}

function insert(link: FakeLink, address: FakeAddress): void {
  link.stack.addresses.push(address);
  if (link.up && !address.secondary) insertConnected(link, address.address);
}

/** `ip address delete`. */
export function deleteAddress(link: FakeLink, wanted: Prefix): void {
  if (wanted.ip.family === 6 && !hasIpv6(link)) throw new Refusal("ENXIO");
  const found = addressesOf(link).find(({ address }) => equalPrefix(address, wanted));
  if (found === undefined) throw new Refusal("EADDRNOTAVAIL", "Address not found");
  const heirs = found.secondary || wanted.ip.family === 6 ? [] : subnetMates(link, wanted).filter((x) => x !== found);
  take(found);
  if (link.stack.sysctl.isOn("ipv4", link.name, "promote_secondaries")) promote(link, heirs[0]);
  else for (const heir of heirs) take(heir);
  // Without any IPv4 address the link has no business with IPv4: fib_inetaddr_event calls fib_disable_ip.
  const last = wanted.ip.family === 4 && !addressesOf(link).some(({ address }) => address.ip.family === 4);
  if (last) disableIpv4(link);
}

function disableIpv4(link: FakeLink): void {
  dropRoutes(link, (route) => route.dst.ip.family === 4);
  for (const [key, neighbor] of link.stack.neighbors) {
    if (neighbor.link === link && neighbor.ip.family === 4) link.stack.neighbors.delete(key);
  }
}

function promote(link: FakeLink, heir: FakeAddress | undefined): void {
  if (heir === undefined) return;
  heir.secondary = false;
  if (link.up) insertConnected(link, heir.address);
}

/** Removes an address with its connected route and the routes that name it as their source. */
function take(found: FakeAddress): void {
  const { stack } = found.link;
  stack.addresses = stack.addresses.filter((each) => each !== found);
  const { ip } = found.address;
  const shared = ip.family === 6 && subnetMates(found.link, found.address).length > 0;
  if (!found.secondary && !shared) removeConnected(found.link, found.address);
  if (!isLocal(stack, ip)) dropRoutesFrom(stack, ip);
}

/** What the addresses do when their link comes up: connected routes appear; the loopback gets its own addresses. */
export function addressesAfterUp(link: FakeLink): void {
  if (link.kind === undefined) addLoopbackAddresses(link);
  for (const { address, secondary } of addressesOf(link)) if (!secondary) insertConnected(link, address);
}

function addLoopbackAddresses(link: FakeLink): void {
  for (const address of [LOOPBACK_4, LOOPBACK_6]) {
    const off = address.ip.family === 6 && link.stack.sysctl.isOnLink("ipv6", link.name, "disable_ipv6");
    if (off || findSame(link, address) !== undefined) continue;
    link.stack.addresses.push({
      link,
      address,
      scope: "host",
      broadcast: undefined,
      noDad: true,
      settled: true,
      secondary: false,
    });
  }
}

/** IPv6 addresses go with a link that goes down, unless told to stay; IPv4 ones stay. Routes of both go. */
export function addressesAfterDown(link: FakeLink): void {
  if (!link.stack.sysctl.isOn("ipv6", link.name, "keep_addr_on_down")) dropAddresses6(link);
  dropRoutes(link, (route) => route.dst.ip.family === 6 || route.scope !== "host");
}

/** Switching IPv6 off on a link takes its addresses and routes; switching it on again gives a link-local address. */
export function ipv6Switched(link: FakeLink, off: boolean): void {
  if (off) {
    dropAddresses6(link);
    dropRoutes(link, (route) => route.dst.ip.family === 6);
  } else if (link.up) {
    link.linkLocalDue = true;
  }
}

function dropAddresses6(link: FakeLink): void {
  const { stack } = link;
  stack.addresses = stack.addresses.filter(({ link: owner, address }) => owner !== link || address.ip.family === 4);
}

/** Forgets all addresses and routes of a link that leaves. */
export function dropAddresses(link: FakeLink): void {
  const { stack } = link;
  const gone = addressesOf(link);
  stack.addresses = stack.addresses.filter((each) => each.link !== link);
  dropRoutes(link, () => true);
  for (const { address } of gone) if (!isLocal(stack, address.ip)) dropRoutesFrom(stack, address.ip);
}

/** The address that the kernel gives by itself; none on the loopback, nor where it is switched off. */
export function addLinkLocal(link: FakeLink, ip: Ip): void {
  const { sysctl } = link.stack;
  const unwanted = link.kind === undefined || !hasIpv6(link) || sysctl.isOnLink("ipv6", link.name, "disable_ipv6");
  const address: Prefix = { ip, length: 64 };
  if (unwanted || sysctl.isOnLink("ipv6", link.name, "addr_gen_mode") || findSame(link, address) !== undefined) return;
  insert(link, { link, address, scope: "link", broadcast: undefined, noDad: false, settled: false, secondary: false });
}

/** The address in the shape that the interface promises. Duplicate address detection takes a second or two; here it
 *  lasts until a test ends it. */
export function reportAddress(each: FakeAddress): LinkAddress {
  const { link, address, scope, broadcast } = each;
  const detected =
    address.ip.family === 6 && !each.noDad && !each.settled && link.stack.sysctl.isOn("ipv6", link.name, "accept_dad");
  return { dev: link.name, address, scope, broadcast, tentative: detected, dadFailed: false };
}
