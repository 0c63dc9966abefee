import { type Ip, ipBytes, ipFromBytes } from "../lib/address.ts";
import { fromCString } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import { type Attributes, MessageWriter, readAttributes, readU8, readU16Network, readU32 } from "./attribute.ts";
import type { Link, LinkChanges, LinkSpec, Mac, Netns, PortChanges, VethSpec, VxlanSpec } from "./kernel.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST } from "./netlink.ts";

/** Message types and constants of linux/rtnetlink.h, linux/if.h, linux/if_link.h and linux/veth.h. */
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_PROMISC = 0x100;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_AF_SPEC = 26;
const IFLA_INET_CONF = 1;
const IPV4_DEVCONF_ARP_NOTIFY = 22;
const AF_INET = 2;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_TTL = 5;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_UDP_CSUM = 18;
const VETH_INFO_PEER = 1;
const RTEXT_FILTER_SKIP_STATS = 8;
const BR_STATE_FORWARDING = 3;
const IF_OPER_UNKNOWN = 0;
const IF_OPER_UP = 6;
const AF_UNSPEC = 0;
const IFINFOMSG_LENGTH = 16;
const ALIAS_BYTES_MAX = 255;
const utf8 = new TextEncoder();

/** The number behind a namespace handle; handles of other kernels (tests) have none. */
export interface OpenNetns extends Netns {
  readonly descriptor: number;
}

/** The header struct ifinfomsg. `change` is the mask of flags that the request sets. */
function ifinfo(writer: MessageWriter, index: number, flags = 0, change = 0): MessageWriter {
  return writer.u8(AF_UNSPEC).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

/** `ip link add …`. A link that exists is refused (EEXIST). The kernel ignores an alias here: it takes a {@link
 *  linkSet} afterwards, but one that will be refused is refused now. */
export function linkAdd(spec: LinkSpec): Uint8Array {
  if (spec.alias !== undefined) aliasBytes(spec.alias);
  const writer = new MessageWriter(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
  const up = spec.up === true ? IFF_UP : 0;
  ifinfo(writer, 0, up, up).attributeText(IFLA_IFNAME, spec.name);
  if (spec.mac !== undefined) writer.attribute(IFLA_ADDRESS, macBytes(spec.mac));
  if (spec.mtu !== undefined) writer.attributeU32(IFLA_MTU, spec.mtu);
  writer.nest(IFLA_LINKINFO, (info) => {
    info.attributeText(IFLA_INFO_KIND, spec.kind);
    if (spec.kind === "veth")
      info.nest(IFLA_INFO_DATA, (data) => data.nest(VETH_INFO_PEER, (peer) => vethPeer(peer, spec)));
    if (spec.kind === "vxlan") info.nest(IFLA_INFO_DATA, (data) => vxlanData(data, spec));
    if (spec.kind === "bridge" && spec.vlanFiltering === true) {
      info.nest(IFLA_INFO_DATA, (data) => data.attributeU8(IFLA_BR_VLAN_FILTERING, 1));
    }
  });
  return writer.finish();
}

function vethPeer(writer: MessageWriter, { peer }: VethSpec): void {
  ifinfo(writer, 0).attributeText(IFLA_IFNAME, peer.name);
  if (peer.mac !== undefined) writer.attribute(IFLA_ADDRESS, macBytes(peer.mac));
  if (peer.mtu !== undefined) writer.attributeU32(IFLA_MTU, peer.mtu);
  if (peer.netns !== undefined) writer.attributeU32(IFLA_NET_NS_FD, descriptorOf(peer.netns));
}

function vxlanData(writer: MessageWriter, spec: VxlanSpec): void {
  writer.attributeU32(IFLA_VXLAN_ID, spec.vni);
  if (spec.local !== undefined) {
    writer.attribute(spec.local.family === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, ipBytes(spec.local));
  }
  writer
    .attributeU8(IFLA_VXLAN_TTL, 0)
    .attributeU8(IFLA_VXLAN_LEARNING, spec.learning ? 1 : 0)
    .attributeU16Network(IFLA_VXLAN_PORT, spec.port);
  if (spec.udpChecksum !== undefined) writer.attributeU8(IFLA_VXLAN_UDP_CSUM, spec.udpChecksum ? 1 : 0);
}

/** `ip link set …`. `index` is the link's, `master` the index of the bridge to join (0 leaves the present one). */
export function linkSet(index: number, changes: LinkChanges, master: number | undefined): Uint8Array {
  const writer = new MessageWriter(RTM_NEWLINK, NLM_F_REQUEST);
  const flags = (changes.up === true ? IFF_UP : 0) | (changes.promiscuous === true ? IFF_PROMISC : 0);
  const mask = (changes.up === undefined ? 0 : IFF_UP) | (changes.promiscuous === undefined ? 0 : IFF_PROMISC);
  ifinfo(writer, index, flags, mask);
  if (changes.mac !== undefined) writer.attribute(IFLA_ADDRESS, macBytes(changes.mac));
  if (changes.name !== undefined) writer.attributeText(IFLA_IFNAME, changes.name);
  if (changes.mtu !== undefined) writer.attributeU32(IFLA_MTU, changes.mtu);
  if (master !== undefined) writer.attributeU32(IFLA_MASTER, master);
  if (changes.alias !== undefined) writer.attribute(IFLA_IFALIAS, aliasBytes(changes.alias));
  if (changes.arpNotify !== undefined) inetSetting(writer, IPV4_DEVCONF_ARP_NOTIFY, changes.arpNotify ? 1 : 0);
  if (changes.netns !== undefined) writer.attributeU32(IFLA_NET_NS_FD, descriptorOf(changes.netns));
  return writer.finish();
}

/** Without a terminating zero, which the kernel would count as one of the 255 bytes (IFALIASZ). */
function aliasBytes(alias: string): Uint8Array {
  const bytes = utf8.encode(alias);
  if (bytes.length <= ALIAS_BYTES_MAX) return bytes;
  throw new NetError("invalid", {
    tried: `give a link an alias of ${bytes.length} bytes`,
    said: `ERANGE (at most ${ALIAS_BYTES_MAX} are allowed)`,
    errno: "ERANGE",
  });
}

/** Sets net.ipv4.conf.<link>.<setting> by the message that changes the link, which spares entering its namespace. */
function inetSetting(writer: MessageWriter, setting: number, value: number): void {
  writer.nest(IFLA_AF_SPEC, (families) =>
    families.nest(AF_INET, (inet) => inet.nest(IFLA_INET_CONF, (settings) => settings.attributeU32(setting, value))),
  );
}

/** `ip link set dev … type bridge_slave …`. */
export function portSet(index: number, changes: PortChanges): Uint8Array {
  const writer = new MessageWriter(RTM_NEWLINK, NLM_F_REQUEST);
  ifinfo(writer, index).nest(IFLA_LINKINFO, (info) => {
    info.attributeText(IFLA_INFO_SLAVE_KIND, "bridge");
    info.nest(IFLA_INFO_SLAVE_DATA, (data) => {
      if (changes.hairpin !== undefined) data.attributeU8(IFLA_BRPORT_MODE, changes.hairpin ? 1 : 0);
      if (changes.isolated !== undefined) data.attributeU8(IFLA_BRPORT_ISOLATED, changes.isolated ? 1 : 0);
    });
  });
  return writer.finish();
}

/** `ip link delete …` by index, or by name where the index isn't known. */
export function linkDelete(link: number | string): Uint8Array {
  return named(new MessageWriter(RTM_DELLINK, NLM_F_REQUEST), link).finish();
}

/** `ip link show …` for one link. */
export function linkGet(link: number | string): Uint8Array {
  const writer = new MessageWriter(RTM_GETLINK, NLM_F_REQUEST);
  return named(writer, link).attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
}

/** `ip link show`, a dump. */
export function linkDump(): Uint8Array {
  return ifinfo(new MessageWriter(RTM_GETLINK, NLM_F_REQUEST), 0)
    .attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    .finish();
}

function named(writer: MessageWriter, link: number | string): MessageWriter {
  return typeof link === "number" ? ifinfo(writer, link) : ifinfo(writer, 0).attributeText(IFLA_IFNAME, link);
}

/** The attributes of links that are read, on all levels; a type of another level that has the same number does no
 *  harm. */
const USED = [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS];
const USED_OF_INFO = [IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA];
const USED_OF_BRIDGE = [IFLA_BR_VLAN_FILTERING];
const USED_OF_PORT = [IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_STATE];

/** A link out of an RTM_NEWLINK message. */
export function decodeLink({ payload }: Message): Link {
  const attributes = readAttributes(payload, IFINFOMSG_LENGTH, USED);
  const info = nested(attributes, IFLA_LINKINFO, USED_OF_INFO);
  const kind = textOf(info.get(IFLA_INFO_KIND));
  const flags = readU32(payload, 8);
  const operState = numberOf(attributes.get(IFLA_OPERSTATE), readU8) ?? IF_OPER_UNKNOWN;
  return {
    index: readU32(payload, 4),
    name: textOf(attributes.get(IFLA_IFNAME)) ?? "",
    kind,
    mac: formatMac(attributes.get(IFLA_ADDRESS) ?? new Uint8Array(0)),
    mtu: numberOf(attributes.get(IFLA_MTU), readU32) ?? 0,
    up: (flags & IFF_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    running: operState === IF_OPER_UP || operState === IF_OPER_UNKNOWN,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    alias: textOf(attributes.get(IFLA_IFALIAS)),
    master: numberOf(attributes.get(IFLA_MASTER), readU32),
    peer: numberOf(attributes.get(IFLA_LINK), readU32),
    vxlan: kind === "vxlan" ? decodeVxlan(nested(info, IFLA_INFO_DATA)) : undefined,
    bridge:
      kind === "bridge"
        ? {
            vlanFiltering:
              numberOf(nested(info, IFLA_INFO_DATA, USED_OF_BRIDGE).get(IFLA_BR_VLAN_FILTERING), readU8) === 1,
            active: operState === IF_OPER_UP,
          }
        : undefined,
    bridgePort:
      textOf(info.get(IFLA_INFO_SLAVE_KIND)) === "bridge"
        ? decodePort(nested(info, IFLA_INFO_SLAVE_DATA, USED_OF_PORT))
        : undefined,
  };
}

function decodeVxlan(data: Attributes): NonNullable<Link["vxlan"]> {
  return {
    vni: numberOf(data.get(IFLA_VXLAN_ID), readU32) ?? 0,
    port: numberOf(data.get(IFLA_VXLAN_PORT), readU16Network) ?? 0,
    learning: numberOf(data.get(IFLA_VXLAN_LEARNING), readU8) === 1,
    local: ipOf(data.get(IFLA_VXLAN_LOCAL) ?? data.get(IFLA_VXLAN_LOCAL6)),
  };
}

function decodePort(data: Attributes): NonNullable<Link["bridgePort"]> {
  return {
    hairpin: numberOf(data.get(IFLA_BRPORT_MODE), readU8) === 1,
    isolated: numberOf(data.get(IFLA_BRPORT_ISOLATED), readU8) === 1,
    forwarding: numberOf(data.get(IFLA_BRPORT_STATE), readU8) === BR_STATE_FORWARDING,
  };
}

const MAC_BYTES = 6;

/** Six bytes of a colon-separated hardware address; throws a NetError `invalid`. */
export function macBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(MAC_BYTES);
  for (let at = 0; at < MAC_BYTES; at++) {
    const high = HEX_DIGITS.indexOf(mac.charAt(3 * at).toLowerCase());
    const low = HEX_DIGITS.indexOf(mac.charAt(3 * at + 1).toLowerCase());
    const separator = mac.charAt(3 * at + 2);
    if (mac.length !== 3 * MAC_BYTES - 1 || high < 0 || low < 0 || (separator !== ":" && separator !== "")) {
      throw notMac(mac);
    }
    bytes[at] = (high << 4) | low;
  }
  return bytes;
}

function notMac(mac: Mac): NetError {
  return new NetError("invalid", {
    tried: `read ${JSON.stringify(mac)} as a hardware address`,
    said: "it isn't one",
    remedy: "give six hexadecimal bytes such as 0a:58:0a:01:00:05",
  });
}

const HEX_DIGITS = "0123456789abcdef";

export function formatMac(bytes: Uint8Array): Mac {
  let text = "";
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    text += `${at === 0 ? "" : ":"}${HEX_DIGITS.charAt(byte >> 4)}${HEX_DIGITS.charAt(byte & 15)}`;
  }
  return text;
}

function descriptorOf(netns: Netns): number {
  return (netns as OpenNetns).descriptor;
}

function nested(attributes: Attributes, type: number, wanted?: readonly number[]): Attributes {
  const bytes = attributes.get(type);
  return bytes === undefined ? new Map() : readAttributes(bytes, 0, wanted);
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : fromCString(bytes);
}

function numberOf(bytes: Uint8Array | undefined, read: (bytes: Uint8Array) => number): number | undefined {
  return bytes === undefined ? undefined : read(bytes);
}

/** Zero means "not set" for the addresses of links. */
function ipOf(bytes: Uint8Array | undefined): Ip | undefined {
  if (bytes === undefined) return undefined;
  const ip = ipFromBytes(bytes);
  return ip.value === 0n ? undefined : ip;
}
