import { ipBytes, ipFromBytes } from "../lib/address.ts";
import { AF } from "./address.ts";
import { MessageWriter, readAttributes, readU8, readU16, readU32 } from "./attribute.ts";
import type { FdbEntry, Neighbor } from "./kernel.ts";
import { formatMac, macBytes } from "./link.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST } from "./netlink.ts";

/** Constants of linux/rtnetlink.h and linux/neighbour.h. */
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const NUD_REACHABLE = 0x02;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_SELF = 0x02;
const AF_BRIDGE = 7;
const NDMSG_LENGTH = 12;

type Verb = "add" | "replace" | "delete";

const CREATION: Readonly<Record<Verb, number>> = {
  add: NLM_F_CREATE | NLM_F_EXCL,
  replace: NLM_F_CREATE | NLM_F_REPLACE,
  delete: 0,
};

function header(verb: Verb, family: number, index: number, state: number, flags: number): MessageWriter {
  const writer = new MessageWriter(verb === "delete" ? RTM_DELNEIGH : RTM_NEWNEIGH, NLM_F_REQUEST | CREATION[verb]);
  return writer.u8(family).u8(0).u16(0).u32(index).u16(state).u8(flags).u8(0);
}

/** `ip neighbor add|replace|delete` on the link with this index. */
export function neighborMessage(
  verb: Verb,
  index: number,
  { ip, mac, permanent }: Pick<Neighbor, "ip"> & Partial<Neighbor>,
): Uint8Array {
  const state = verb === "delete" ? 0 : permanent === true ? NUD_PERMANENT : NUD_REACHABLE;
  const writer = header(verb, AF[ip.family], index, state, 0).attribute(NDA_DST, ipBytes(ip));
  if (mac !== undefined) writer.attribute(NDA_LLADDR, macBytes(mac));
  return writer.finish();
}

/** `bridge fdb add|replace|delete MAC dev VXLAN dst REMOTE self permanent`. */
export function fdbMessage(verb: Verb, index: number, { mac, remote }: FdbEntry): Uint8Array {
  return header(verb, AF_BRIDGE, index, NUD_NOARP | NUD_PERMANENT, NTF_SELF)
    .attribute(NDA_LLADDR, macBytes(mac))
    .attribute(NDA_DST, ipBytes(remote))
    .finish();
}

/** `ip neighbor show dev …` (family 0: both), a dump of one link. */
export function neighborDump(index: number): Uint8Array {
  return dump(0, index);
}

/** `bridge fdb show dev …`, a dump of one link. */
export function fdbDump(index: number): Uint8Array {
  return dump(AF_BRIDGE, index);
}

function dump(family: number, index: number): Uint8Array {
  const writer = new MessageWriter(RTM_GETNEIGH, NLM_F_REQUEST);
  return writer.u8(family).u8(0).u16(0).u32(0).u16(0).u8(0).u8(0).attributeU32(NDA_IFINDEX, index).finish();
}

/** A resolved neighbour of the link with this index; undefined for other links, incomplete and NOARP entries. */
export function decodeNeighbor({ payload }: Message, index: number): Omit<Neighbor, "dev"> | undefined {
  const family = readU8(payload, 0);
  if ((family !== AF[4] && family !== AF[6]) || readU32(payload, 4) !== index) return undefined;
  const attributes = readAttributes(payload, NDMSG_LENGTH);
  const ip = attributes.get(NDA_DST);
  const mac = attributes.get(NDA_LLADDR);
  const state = readU16(payload, 8);
  if (ip === undefined || mac === undefined || state === NUD_NOARP) return undefined;
  return { ip: ipFromBytes(ip), mac: formatMac(mac), permanent: (state & NUD_PERMANENT) !== 0 };
}

/** A forwarding entry with a remote of the link with this index; undefined for the others. */
export function decodeFdb({ payload }: Message, index: number): Omit<FdbEntry, "dev"> | undefined {
  if (readU8(payload, 0) !== AF_BRIDGE || readU32(payload, 4) !== index) return undefined;
  const attributes = readAttributes(payload, NDMSG_LENGTH);
  const remote = attributes.get(NDA_DST);
  const mac = attributes.get(NDA_LLADDR);
  if (remote === undefined || mac === undefined) return undefined;
  return { mac: formatMac(mac), remote: ipFromBytes(remote) };
}
