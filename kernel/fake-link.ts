import { ipFromBytes } from "../lib/address.ts";
import { addLinkLocal, addressesAfterDown, addressesAfterUp, dropAddresses, ipv6Switched } from "./fake-address.ts";
import { hasIpv6 } from "./fake-local.ts";
import { Refusal } from "./fake-refusal.ts";
import type { FakeLink, FakeStack } from "./fake-state.ts";
import type { Link, LinkChanges, LinkSpec, Mac, PortChanges } from "./kernel.ts";
import { macBytes } from "./link.ts";

const NAME_BYTES_MAX = 15;
const ALIAS_BYTES_MAX = 255;
const MTU_MIN = 68;
const MTU_MAX = 65535;
const MTU_DEFAULT = 1500;
const VNI_MAX = (1 << 24) - 1;
const ZERO_MAC = "00:00:00:00:00:00";
const NO_PORT: Required<PortChanges> = { hairpin: false, isolated: false };
const utf8 = new TextEncoder();

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
  if (spec.kind === "vxlan" && spec.vni > VNI_MAX) throw new Refusal("ERANGE");
  checkMac(spec.mac);
  if (spec.kind === "veth" || spec.kind === "vxlan") checkMtu(spec.mtu);
  if (stack.find(spec.name) !== undefined) throw new Refusal("EEXIST");
  checkFeatures(stack, spec);
  const link = spec.kind === "veth" ? addPair(stack, spec) : addSingle(stack, spec);
  if (spec.alias !== undefined) link.alias = spec.alias;
  if (spec.up === true) setUp(link);
}

function checkFeatures(stack: FakeStack, spec: LinkSpec): void {
  const { features } = stack.machine;
  if (spec.kind === "dummy" && !features.dummy) throw new Refusal("EOPNOTSUPP", "Unknown device type");
  if (spec.kind === "bridge" && spec.vlanFiltering === true && !features.vlanFiltering) throw new Refusal("EOPNOTSUPP");
}

function addSingle(stack: FakeStack, spec: Exclude<LinkSpec, { kind: "veth" }>): FakeLink {
  checkMtu(spec.mtu);
  checkName(spec.name);
  if (spec.kind === "vxlan") checkVxlan(stack, spec);
  return newLink(stack, spec);
}

/** Two devices would compete for the same packets when VNI, port and family are equal. */
function checkVxlan(stack: FakeStack, spec: Extract<LinkSpec, { kind: "vxlan" }>): void {
  const family = spec.local?.family ?? 4;
  for (const { vxlan } of stack.links) {
    if (vxlan?.vni === spec.vni && vxlan.port === spec.port && (vxlan.local?.family ?? 4) === family) {
      throw new Refusal("EEXIST", "A VXLAN device with the specified VNI already exists");
    }
  }
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

function portsOf(bridge: FakeLink): FakeLink[] {
  return bridge.bridge === undefined ? [] : bridge.stack.links.filter((link) => link.master === bridge);
}

/** VLAN 1 is where frames without a tag go until told otherwise. */
function joinDefaultVlan(link: FakeLink): void {
  if (link.stack.machine.features.vlanFiltering) link.vlans.set(1, { pvid: true, untagged: true });
}

/** `ip link set … type bridge_slave`. */
export function setPort(link: FakeLink, changes: PortChanges): void {
  if (link.master === undefined) throw new Refusal("EOPNOTSUPP");
  link.port = { ...link.port, ...changes };
}

/** `bridge vlan add`. A second PVID takes the place of the first. */
export function addVlan(
  link: FakeLink,
  vid: number,
  flags: { readonly pvid: boolean; readonly untagged: boolean },
): void {
  checkVlan(link, vid);
  if (flags.pvid) for (const [other, { untagged }] of link.vlans) link.vlans.set(other, { pvid: false, untagged });
  link.vlans.set(vid, { pvid: flags.pvid, untagged: flags.untagged });
}

export function deleteVlan(link: FakeLink, vid: number): void {
  checkVlan(link, vid);
  if (!link.vlans.delete(vid)) throw new Refusal("ENOENT");
}

function checkVlan(link: FakeLink, vid: number): void {
  const bridged = link.master !== undefined || link.bridge !== undefined;
  if (!bridged || !link.stack.machine.features.vlanFiltering) throw new Refusal("EOPNOTSUPP");
  if (!Number.isInteger(vid) || vid < 1 || vid > 4094) throw new Refusal("EINVAL");
}

/** True when frames can pass: the other end of a pair is up too, a bridge that looks at its ports has a working one. */
export function isRunning(link: FakeLink): boolean {
  if (!link.up) return false;
  if (link.kind === "veth") return link.peer?.up === true;
  if (link.bridge?.portsDecide === true) return portsOf(link).some(isRunning);
  return true;
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

/** The link in the shape that the interface promises. */
export function reportLink(link: FakeLink): Link {
  return {
    index: link.index,
    name: link.name,
    kind: link.kind,
    mac: link.mac,
    mtu: link.mtu,
    up: link.up,
    loopback: isLoopback(link),
    running: isRunning(link),
    promiscuous: link.promiscuous,
    alias: link.alias,
    master: link.master?.index,
    peer: link.peer?.index,
    vxlan: link.vxlan,
    bridge: link.bridge && {
      vlanFiltering: link.bridge.vlanFiltering,
      active: link.up && portsOf(link).some(isRunning),
    },
    bridgePort: link.master && { ...link.port, forwarding: link.master.up && isRunning(link) },
  };
}

export function isLoopback(link: FakeLink): boolean {
  return link.kind === undefined;
}

/** The length that the attribute's policy allows. */
function checkNameLength(name: string): void {
  if (utf8.encode(name).length > NAME_BYTES_MAX) throw new Refusal("ERANGE", "Attribute failed policy validation");
}

/** dev_valid_name. */
function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || /[/:\s]/.test(name)) throw new Refusal("EINVAL");
}

function checkAlias(alias: string): void {
  if (utf8.encode(alias).length > ALIAS_BYTES_MAX) throw new Refusal("ERANGE", "Attribute failed policy validation");
}

/** Only unicast addresses name a link; malformed ones are refused by the encoder on the real kernel, and here. */
function checkMac(mac: Mac | undefined): void {
  if (mac === undefined) return;
  const [first = 0] = macBytes(mac);
  if ((first & 1) !== 0 || mac === ZERO_MAC) throw new Refusal("EADDRNOTAVAIL");
}

function checkMtu(mtu: number | undefined): void {
  if (mtu === undefined) return;
  if (mtu < MTU_MIN) throw new Refusal("EINVAL", "mtu less than device minimum");
  if (mtu > MTU_MAX) throw new Refusal("EINVAL", "mtu greater than device maximum");
}
