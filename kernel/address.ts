import { ipBytes, ipFromBytes, widthOf } from "../lib/address.ts";
import { MessageWriter, readAttributes, readU8, readU32 } from "./attribute.ts";
import type { AddressSpec, LinkAddress, Scope } from "./kernel.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST } from "./netlink.ts";

/** Constants of linux/rtnetlink.h and linux/if_addr.h. */
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const IFADDRMSG_LENGTH = 8;

/** AF_INET and AF_INET6. */
export const AF = { 4: 2, 6: 10 } as const;
export const SCOPE_NUMBER: Readonly<Record<Scope, number>> = { global: 0, link: 253, host: 254 };

export function scopeName(scope: number): Scope {
  if (scope === SCOPE_NUMBER.host) return "host";
  return scope === SCOPE_NUMBER.link ? "link" : "global";
}

/** `ip address add` (exclusive), `ip address replace`, `ip address delete` on the link with this index. */
export function addressMessage(verb: "add" | "replace" | "delete", index: number, spec: AddressSpec): Uint8Array {
  const { ip, length } = spec.address;
  const creation = verb === "add" ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE | NLM_F_REPLACE;
  const writer = new MessageWriter(
    verb === "delete" ? RTM_DELADDR : RTM_NEWADDR,
    NLM_F_REQUEST | (verb === "delete" ? 0 : creation),
  );
  const bytes = ipBytes(ip);
  writer
    .u8(AF[ip.family])
    .u8(length)
    .u8(0)
    .u8(SCOPE_NUMBER[spec.scope ?? "global"])
    .u32(index)
    .attribute(IFA_LOCAL, bytes)
    .attribute(IFA_ADDRESS, bytes);
  if (spec.broadcast !== undefined) writer.attribute(IFA_BROADCAST, ipBytes(spec.broadcast));
  if (spec.noDad === true) writer.attributeU32(IFA_FLAGS, IFA_F_NODAD);
  return writer.finish();
}

/** `ip address show`, a dump, of one link or (0) of all. */
export function addressDump(index: number): Uint8Array {
  return new MessageWriter(RTM_GETADDR, NLM_F_REQUEST).u8(0).u8(0).u8(0).u8(0).u32(index).finish();
}

/** An address out of an RTM_NEWADDR message, with the index of its link; undefined for other families. */
export function decodeAddress({
  payload,
}: Message): (Omit<LinkAddress, "dev"> & { readonly index: number }) | undefined {
  const family = readU8(payload, 0);
  if (family !== AF[4] && family !== AF[6]) return undefined;
  const attributes = readAttributes(payload, IFADDRMSG_LENGTH);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (bytes === undefined) return undefined;
  const ip = ipFromBytes(bytes);
  const broadcast = attributes.get(IFA_BROADCAST);
  const flagBytes = attributes.get(IFA_FLAGS);
  const flags = flagBytes === undefined ? readU8(payload, 2) : readU32(flagBytes);
  return {
    index: readU32(payload, 4),
    address: { ip, length: Math.min(readU8(payload, 1), widthOf(ip.family)) },
    scope: scopeName(readU8(payload, 3)),
    broadcast: broadcast && ipFromBytes(broadcast),
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F_DADFAILED) !== 0,
  };
}
