import { forEachAttribute, MessageWriter, malformed, readAttributes, readU16, readU32 } from "./attribute.ts";
import { type Message, NLM_F_REQUEST } from "./netlink.ts";

/** Constants of linux/rtnetlink.h and linux/if_bridge.h. VLAN membership is set and read through link messages of
 *  family AF_BRIDGE. */
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_EXT_MASK = 29;
const IFINFOMSG_LENGTH = 16;
const AF_BRIDGE = 7;
const RTM_SETLINK = 19;
const IFLA_AF_SPEC = 26;
const IFLA_BRIDGE_FLAGS = 0;
const IFLA_BRIDGE_VLAN_INFO = 2;
const BRIDGE_FLAGS_SELF = 2;
const BRIDGE_VLAN_INFO_PVID = 2;
const BRIDGE_VLAN_INFO_UNTAGGED = 4;
const BRIDGE_VLAN_INFO_RANGE_BEGIN = 8;
const BRIDGE_VLAN_INFO_RANGE_END = 16;
const RTEXT_FILTER_BRVLAN = 2;
/** VLAN identifiers have 12 bits. */
const VLANS_MAX = 4096;

/** VLAN membership of a port, or of the bridge itself when `self`. */
export interface VlanEntry {
  readonly vid: number;
  readonly pvid: boolean;
  readonly untagged: boolean;
}

/** `bridge vlan add …` */
export function vlanAdd(index: number, entry: VlanEntry, self: boolean): Uint8Array {
  return vlanMessage(RTM_SETLINK, index, entry, self);
}

/** `bridge vlan delete …` */
export function vlanDelete(index: number, vid: number, self: boolean): Uint8Array {
  return vlanMessage(RTM_DELLINK, index, { vid, pvid: false, untagged: false }, self);
}

function vlanMessage(type: number, index: number, { vid, pvid, untagged }: VlanEntry, self: boolean): Uint8Array {
  const flags = (pvid ? BRIDGE_VLAN_INFO_PVID : 0) | (untagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0);
  const writer = new MessageWriter(type, NLM_F_REQUEST).u8(AF_BRIDGE).u8(0).u16(0).u32(index).u32(0).u32(0);
  writer.nest(IFLA_AF_SPEC, (spec) => {
    if (self) spec.attributeU16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
    spec.attribute(IFLA_BRIDGE_VLAN_INFO, new Uint8Array(new Uint16Array([flags, vid]).buffer));
  });
  return writer.finish();
}

/** `bridge vlan show`, a dump over all ports. */
export function vlanDump(): Uint8Array {
  return new MessageWriter(RTM_GETLINK, NLM_F_REQUEST)
    .u8(AF_BRIDGE)
    .u8(0)
    .u16(0)
    .u32(0)
    .u32(0)
    .u32(0)
    .attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN)
    .finish();
}

/** Index and VLANs of one port out of a {@link vlanDump} message; ranges are spelled out. */
export function decodeVlans({ payload }: Message): { readonly index: number; readonly vlans: VlanEntry[] } {
  const vlans: VlanEntry[] = [];
  const spec = readAttributes(payload, IFINFOMSG_LENGTH).get(IFLA_AF_SPEC);
  let rangeStart: number | undefined;
  if (spec !== undefined) {
    forEachVlan(spec, (flags, vid) => {
      if ((flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) !== 0) {
        rangeStart = vid;
        return;
      }
      const first = (flags & BRIDGE_VLAN_INFO_RANGE_END) !== 0 ? (rangeStart ?? vid) : vid;
      if (vlans.length + vid - first >= VLANS_MAX) throw malformed(`more than ${VLANS_MAX} VLANs of one port`);
      for (let id = first; id <= vid; id++) {
        vlans.push({
          vid: id,
          pvid: (flags & BRIDGE_VLAN_INFO_PVID) !== 0,
          untagged: (flags & BRIDGE_VLAN_INFO_UNTAGGED) !== 0,
        });
      }
    });
  }
  return { index: readU32(payload, 4), vlans };
}

function forEachVlan(spec: Uint8Array, each: (flags: number, vid: number) => void): void {
  forEachAttribute(spec, 0, (type, payload) => {
    if (type === IFLA_BRIDGE_VLAN_INFO) each(readU16(payload), readU16(payload, 2));
  });
}
