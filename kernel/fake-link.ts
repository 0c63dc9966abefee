import { ipFromBytes } from "../lib/address.ts";
import { addLinkLocal, addressesAfterDown, addressesAfterUp, dropAddresses, ipv6Switched } from "./fake-address.ts";
import {
  checkAlias,
  checkFeatures,
  checkMac,
  checkMtu,
  checkName,
  checkNameLength,
  checkVni,
  checkVxlan,
  ZERO_MAC,
} from "./fake-link-check.ts";
import { isLoopback, isRunning, portsOf } from "./fake-link-report.ts";
import { hasIpv6 } from "./fake-local.ts";
import { Refusal } from "./fake-refusal.ts";
import type { FakeLink, FakeStack } from "./fake-state.ts";
import { joinDefaultVlan } from "./fake-vlan.ts";
import type { LinkChanges, LinkSpec, Mac, PortChanges } from "./kernel.ts";
import { macBytes } from "./link.ts";

const MTU_DEFAULT = 1500;
const NO_PORT: Required<PortChanges> = { hairpin: false, isolated: false };

/** Every namespace is born with it, down. */
export function addLoopback(stack: FakeStack): void {
  const link = newLink(stack, { kind: undefined, name: "lo", mac: ZERO_MAC });
  link.mtu = 65536;
}

/** `ip link add`. Refuses in the order of rtnl_newlink: the lengths of attributes, what the kind says of their
 *  values, the name that is taken, and what comes up when the link is made. */
export function addLink(stack: FakeStack, spec: LinkSpec): void {
  checkNameLength(spec.name);
  if (spec.alias !== undefined) checkAlias(spec.alias);
  if (spec.kind === "vxlan") checkVni(spec.vni);
  checkMac(spec.mac);
  if (spec.kind === "veth" || spec.kind === "vxlan") checkMtu(spec.mtu);
  if (stack.find(spec.name) !== undefined) throw new Refusal("EEXIST");
  checkFeatures(stack, spec);
  const link = spec.kind === "veth" ? addPair(stack, spec) : addSingle(stack, spec);
  if (spec.alias !== undefined) link.alias = spec.alias;
  if (spec.up === true) setUp(link);
}

function addSingle(stack: FakeStack, spec: Exclude<LinkSpec, { kind: "veth" }>): FakeLink {
  checkMtu(spec.mtu);
  checkName(spec.name);
  if (spec.kind === "vxlan") checkVxlan(stack, spec);
  return newLink(stack, spec);
}

/** The peer is made first, in its own namespace. */
function addPair(stack: FakeStack, spec: Extract<LinkSpec, { kind: "veth" }>): FakeLink {
  const { peer } = spec;
  checkNameLength(peer.name);
  checkMac(peer.mac);
  checkMtu(peer.mtu);
  checkName(peer.name);
  checkName(spec.name);
  const there = peer.netns === undefined ? stack : stackOf(stack, peer.netns.id);
  if (there.find(peer.name) !== undefined || (there === stack && peer.name === spec.name)) throw new Refusal("EEXIST");
  const far = newLink(there, { kind: "veth", ...peer });
  const near = newLink(stack, spec);
  near.peer = far;
  far.peer = near;
  there.version++;
  return near;
}

function stackOf(stack: FakeStack, id: string): FakeStack {
  for (const each of stack.machine.stacks) if (each.id === id) return each;
  throw new Refusal("EBADF");
}

type NewLink = LinkSpec | { readonly kind: "veth" | undefined; readonly name: string; mac?: Mac; mtu?: number };

function newLink(stack: FakeStack, spec: NewLink): FakeLink {
  const vxlan = spec.kind === "vxlan" ? { ...spec } : undefined;
  const link: FakeLink = {
    stack,
    index: 0,
    name: spec.name,
    kind: spec.kind,
    mac: spec.mac?.toLowerCase() ?? stack.machine.nextMac(),
    macGiven: spec.mac !== undefined,
    mtu: spec.mtu ?? MTU_DEFAULT,
    mtuGiven: false,
    up: false,
    alias: undefined,
    promiscuous: false,
    master: undefined,
    peer: undefined,
    vxlan: vxlan && { vni: vxlan.vni, port: vxlan.port, learning: vxlan.learning, local: vxlan.local },
    bridge:
      spec.kind === "bridge"
        ? { vlanFiltering: "vlanFiltering" in spec && spec.vlanFiltering === true, portsDecide: spec.mac !== undefined }
        : undefined,
    port: NO_PORT,
    vlans: new Map(),
    linkLocalDue: false,
  };
  stack.adopt(link);
  if (link.bridge !== undefined) joinDefaultVlan(link);
  return link;
}

/** `ip link set`, in the order of do_setlink: namespace, address, MTU, name, alias, bridge, flags. Like there, what
 *  was done before a refusal stays. */
export function setLink(link: FakeLink, changes: LinkChanges): void {
  if (changes.name !== undefined) checkNameLength(changes.name);
  if (changes.alias !== undefined) checkAlias(changes.alias);
  if (changes.netns !== undefined) moveTo(link, stackOf(link.stack, changes.netns.id), changes.name ?? link.name);
  if (changes.mac !== undefined) setMac(link, changes.mac);
  if (changes.mtu !== undefined) setMtu(link, changes.mtu);
  if (changes.name !== undefined) rename(link, changes.name);
  if (changes.alias !== undefined) link.alias = changes.alias === "" ? undefined : changes.alias;
  if (changes.arpNotify !== undefined) {
    link.stack.sysctl.set(`net/ipv4/conf/${link.name}/arp_notify`, changes.arpNotify ? "1" : "0");
  }
  if (changes.master !== undefined) setMaster(link, changes.master);
  if (changes.promiscuous !== undefined) link.promiscuous = changes.promiscuous;
  if (changes.up === true) setUp(link);
  if (changes.up === false) setDown(link);
}

/** `ip link delete`. */
export function deleteLink(link: FakeLink): void {
  if (isLoopback(link)) throw new Refusal("EOPNOTSUPP");
  destroyLink(link);
}

/** Removes a link with its veth peer and all that hangs on both. */
export function destroyLink(link: FakeLink): void {
  const { peer } = link;
  link.peer = undefined;
  remove(link);
  if (peer === undefined) return;
  peer.peer = undefined;
  remove(peer);
  peer.stack.version++;
}

function remove(link: FakeLink): void {
  leaveBridge(link);
  for (const port of portsOf(link)) leaveBridge(port);
  dropAddresses(link);
  forget(link);
  link.stack.abandon(link);
}

/** Neighbours and forwarding entries name the link by number, so they must go before its number does. */
function forget(link: FakeLink): void {
  flushNeighbors(link);
  for (const [key, entry] of link.stack.fdb) if (entry.link === link) link.stack.fdb.delete(key);
}

function flushNeighbors(link: FakeLink, family?: 4 | 6): void {
  for (const [key, neighbor] of link.stack.neighbors) {
    const wanted = family === undefined || neighbor.ip.family === family;
    if (neighbor.link === link && wanted) link.stack.neighbors.delete(key);
  }
}

function setUp(link: FakeLink): void {
  if (link.up) return;
  link.up = true;
  link.linkLocalDue = true;
  addressesAfterUp(link);
  announce(link, 4, "arp_notify");
}

function setDown(link: FakeLink): void {
  if (!link.up) return;
  link.up = false;
  link.linkLocalDue = false;
  addressesAfterDown(link);
  flushNeighbors(link);
}

/** Re-setting an address, even the present one, makes the kernel drop all neighbours of the link, permanent ones
 *  too. */
function setMac(link: FakeLink, mac: Mac): void {
  if (!isLoopback(link) && !(link.bridge !== undefined && mac === ZERO_MAC)) checkMac(mac);
  changeMac(link, mac.toLowerCase());
  link.macGiven = true;
  announce(link, 4, "arp_notify");
  announce(link, 6, "ndisc_notify");
  if (link.master !== undefined) followPorts(link.master);
}

function changeMac(link: FakeLink, mac: Mac): void {
  if (link.bridge !== undefined && mac !== link.mac) link.bridge.portsDecide = true;
  link.mac = mac;
  flushNeighbors(link);
}

/** What a link does when it comes up or its hardware address is set, where the setting asks for it (devinet.c,
 *  ndisc.c). */
function announce(link: FakeLink, family: 4 | 6, setting: string): void {
  const { stack } = link;
  if (!link.up || !stack.sysctl.isOn(`ipv${family}`, link.name, setting)) return;
  for (const { link: owner, address } of stack.addresses) {
    if (owner === link && address.ip.family === family) stack.announcements.push({ dev: link.name, ip: address.ip });
  }
}

function setMtu(link: FakeLink, mtu: number): void {
  if (mtu === link.mtu) return;
  if (!isLoopback(link)) checkMtu(mtu);
  changeMtu(link, mtu);
  link.mtuGiven = true;
  if (link.master !== undefined) followPorts(link.master);
}

/** A link that is too small for IPv6 loses it. */
function changeMtu(link: FakeLink, mtu: number): void {
  const before = hasIpv6(link);
  link.mtu = mtu;
  if (hasIpv6(link) === before) return;
  ipv6Switched(link, before);
  if (before) flushNeighbors(link, 6);
}

function rename(link: FakeLink, name: string): void {
  if (name === link.name) return;
  checkName(name);
  if (link.stack.find(name) !== undefined) throw new Refusal("EEXIST");
  link.stack.sysctl.renameLink(link.name, name);
  link.name = name;
}

/** A link that changes namespaces arrives down and bare (dev_change_net_namespace). */
function moveTo(link: FakeLink, target: FakeStack, name: string): void {
  if (target === link.stack) return;
  if (isLoopback(link) || link.bridge !== undefined) throw new Refusal("EINVAL", "The interface netns is immutable");
  if (target.find(name) !== undefined) {
    throw new Refusal("EEXIST", "An interface with the same name exists in the target netns");
  }
  setDown(link);
  leaveBridge(link);
  dropAddresses(link);
  forget(link);
  link.stack.abandon(link);
  target.adopt(link);
  target.version++;
}

function setMaster(link: FakeLink, name: string | null): void {
  const bridge = name === null ? undefined : link.stack.need(name);
  if (bridge === link.master) return;
  if (bridge !== undefined) checkEnslavable(link, bridge);
  leaveBridge(link);
  if (bridge?.bridge === undefined) return;
  link.master = bridge;
  joinDefaultVlan(link);
  followPorts(bridge);
}

function checkEnslavable(link: FakeLink, bridge: FakeLink): void {
  if (bridge.bridge === undefined) throw new Refusal("EOPNOTSUPP");
  if (link.bridge !== undefined) throw new Refusal("ELOOP", "Can not enslave a bridge to a bridge");
  if (isLoopback(link)) throw new Refusal("EINVAL");
}

function leaveBridge(link: FakeLink): void {
  const bridge = link.master;
  if (bridge === undefined) return;
  link.master = undefined;
  link.port = NO_PORT;
  link.vlans.clear();
  followPorts(bridge);
}

/** A bridge takes the lowest hardware address and the lowest MTU of its ports, unless told otherwise (br_if.c). */
function followPorts(bridge: FakeLink): void {
  const ports = portsOf(bridge);
  if (bridge.bridge !== undefined) bridge.bridge.portsDecide = true;
  const mac = ports.map((port) => port.mac).sort()[0] ?? ZERO_MAC;
  if (!bridge.macGiven && mac !== bridge.mac) changeMac(bridge, mac);
  const mtu = ports.length === 0 ? MTU_DEFAULT : Math.min(...ports.map((port) => port.mtu));
  if (!bridge.mtuGiven) changeMtu(bridge, mtu);
}

/** `ip link set … type bridge_slave`. */
export function setPort(link: FakeLink, changes: PortChanges): void {
  if (link.master === undefined) throw new Refusal("EOPNOTSUPP");
  link.port = { ...link.port, ...changes };
}

/** Gives IPv6 link-local addresses to all links of the machine that started to work since the last call. */
export function serveLinkLocals(stack: FakeStack): void {
  for (const each of stack.machine.stacks) {
    for (const link of each.links) {
      if (!link.linkLocalDue || !isRunning(link)) continue;
      link.linkLocalDue = false;
      addLinkLocal(link, interfaceIdentifier(link.mac));
      each.version++;
    }
  }
}

/** fe80::/64 with the modified EUI-64 of the hardware address (RFC 4291 appendix A). */
function interfaceIdentifier(mac: Mac) {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  return ipFromBytes(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}
