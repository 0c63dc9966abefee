import { formatIp, ipFromBytes } from "../lib/address.ts";
import { fromCString } from "../lib/bytes.ts";
import {
  type Attributes,
  forEachAttribute,
  MessageWriter,
  malformed,
  readAttributes,
  readU8,
  readU16Network,
} from "./attribute.ts";
import type { Message, Netlink } from "./netlink.ts";
import type { NftElement } from "./nftables.ts";

/** Numbers of linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h. */
const SUBSYSTEM = 10 << 8;
const NFT_MSG_GETCHAIN = SUBSYSTEM | 4;
const NFT_MSG_GETTABLE = SUBSYSTEM | 1;
const NFT_MSG_GETSET = SUBSYSTEM | 10;
const NFT_MSG_GETSETELEM = SUBSYSTEM | 13;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_SET_TABLE = 1;
const NFTA_SET_NAME = 2;
const NFTA_SET_FLAGS = 3;
const NFTA_SET_KEY_TYPE = 4;
const NFTA_SET_DATA_TYPE = 6;
const NFTA_ELEMENTS = 3;
const NFTA_ELEMENT_KEY = 1;
const NFTA_ELEMENT_DATA = 2;
const NFTA_ELEMENT_USERDATA = 6;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const NFT_SET_INTERVAL = 0x4;
const NFT_DATA_VERDICT = 0xffffff00;
/** struct nfgenmsg: family, version, resource id. */
const FAMILY_HEADER = 4;

const FAMILY: Readonly<Record<string, number>> = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 };
const VERDICT: Readonly<Record<number, string>> = {
  0: "drop",
  1: "accept",
  [-1]: "continue",
  [-3]: "jump",
  [-4]: "goto",
  [-5]: "return",
};
const PROTOCOL: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp" };

/** How the text of one field of a key is made of its bytes. */
interface FieldType {
  readonly bytes: number;
  readonly format: (bytes: Uint8Array) => string;
}

const address: FieldType["format"] = (bytes) => formatIp(ipFromBytes(bytes));

/** Data types by libnftables' number, which it leaves with each set in the kernel (nftables include/datatype.h). */
const FIELD_TYPE: Readonly<Record<number, FieldType>> = {
  7: { bytes: 4, format: address },
  8: { bytes: 16, format: address },
  9: { bytes: 6, format: (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":") },
  12: { bytes: 1, format: (bytes) => PROTOCOL[readU8(bytes)] ?? String(readU8(bytes)) },
  13: { bytes: 2, format: (bytes) => String(readU16Network(bytes)) },
  41: { bytes: 16, format: fromCString },
};
/** Bits that each field of a concatenation takes in the number of its type. */
const TYPE_BITS = 6;

/** Elements of a set or map by a plain dump; undefined when it has a type of key or data, or intervals, that this can't put into
 *  words. Throws a NetError with errno ENOENT when the set is missing. */
export function readElements(socket: Netlink, family: string, table: string, set: string): NftElement[] | undefined {
  const tried = () => `list set ${family} ${table} ${set}`;
  const ask = (type: number) =>
    request(type, family).attributeText(NFTA_SET_TABLE, table).attributeText(NFTA_SET_NAME, set).finish();
  let description: Attributes = new Map();
  socket.request({ message: ask(NFT_MSG_GETSET), tried }, (message) => {
    description = attributesOf(message);
  });
  const key = fieldTypes(u32Of(description, NFTA_SET_KEY_TYPE) ?? 0);
  const dataType = u32Of(description, NFTA_SET_DATA_TYPE);
  const data = dataType === undefined || dataType === NFT_DATA_VERDICT ? [] : fieldTypes(dataType);
  const interval = ((u32Of(description, NFTA_SET_FLAGS) ?? 0) & NFT_SET_INTERVAL) !== 0;
  if (key === undefined || data === undefined || interval) return undefined;
  return socket
    .dump({ message: ask(NFT_MSG_GETSETELEM), tried }, (message) => decodeElements(message, key, data))
    .flat();
}

/** Names of the chains of a table. Throws a NetError with errno ENOENT when the table is missing. */
export function readChains(socket: Netlink, family: string, table: string): string[] {
  const tried = () => `list chains of table ${family} ${table}`;
  // The kernel answers a dump of the chains of a missing table with nothing, so the table is asked for first.
  socket.request({ message: request(NFT_MSG_GETTABLE, family).attributeText(NFTA_TABLE_NAME, table).finish(), tried });
  const message = request(NFT_MSG_GETCHAIN, family).attributeText(NFTA_CHAIN_TABLE, table).finish();
  return socket.dump({ message, tried }, (answer) => {
    const attributes = attributesOf(answer);
    const name = attributes.get(NFTA_CHAIN_NAME);
    const owner = attributes.get(NFTA_CHAIN_TABLE);
    return name !== undefined && owner !== undefined && fromCString(owner) === table ? fromCString(name) : undefined;
  });
}

function request(type: number, family: string): MessageWriter {
  const number = FAMILY[family];
  if (number === undefined) throw new Error(`${family} is no family of nftables`);
  return new MessageWriter(type, 1).u8(number).u8(0).u16(0);
}

function attributesOf(message: Message): Attributes {
  return readAttributes(message.payload, FAMILY_HEADER);
}

/** nf_tables numbers are in network byte order. */
function u32Of(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined ? undefined : readU16Network(bytes) * 0x10000 + readU16Network(bytes, 2);
}

function fieldTypes(concatenation: number): FieldType[] | undefined {
  const types: FieldType[] = [];
  for (let rest = concatenation; rest !== 0; rest >>>= TYPE_BITS) {
    const type = FIELD_TYPE[rest & ((1 << TYPE_BITS) - 1)];
    if (type === undefined) return undefined;
    types.unshift(type);
  }
  return types.length === 0 ? undefined : types;
}

/** All elements of one message of a dump. Exported for the fuzz test. */
export function decodeElements(message: Message, key: readonly FieldType[], data: readonly FieldType[]): NftElement[] {
  const elements: NftElement[] = [];
  const list = attributesOf(message).get(NFTA_ELEMENTS) ?? new Uint8Array();
  forEachAttribute(list, 0, (_, bytes) => {
    const attributes = readAttributes(bytes);
    elements.push({
      key: fieldsOf(attributes.get(NFTA_ELEMENT_KEY), key),
      data: fieldsOf(attributes.get(NFTA_ELEMENT_DATA), data),
      comment: commentOf(attributes.get(NFTA_ELEMENT_USERDATA)),
    });
  });
  return elements;
}

function fieldsOf(bytes: Uint8Array | undefined, types: readonly FieldType[]): string[] {
  if (bytes === undefined) return [];
  const attributes = readAttributes(bytes);
  const value = attributes.get(NFTA_DATA_VALUE);
  if (value === undefined) return verdictOf(attributes.get(NFTA_DATA_VERDICT));
  let offset = 0;
  return types.map(({ bytes: length, format }) => {
    const end = offset + length;
    if (end > value.length) throw malformed(`${value.length} bytes where a key of at least ${end} was due`);
    const text = format(value.subarray(offset, end));
    // Each field of a concatenation fills whole registers of four bytes.
    offset = (end + 3) & ~3;
    return text;
  });
}

function verdictOf(bytes: Uint8Array | undefined): string[] {
  if (bytes === undefined) return [];
  const attributes = readAttributes(bytes);
  const word = VERDICT[(u32Of(attributes, NFTA_VERDICT_CODE) ?? 0) | 0] ?? "unknown";
  const chain = attributes.get(NFTA_VERDICT_CHAIN);
  return [chain === undefined ? word : `${word} ${fromCString(chain)}`];
}

/** The comment in an element's user data: runs of type, length, value, where type 0 is the comment (libnftnl udata.h). */
function commentOf(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  for (let offset = 0; offset + 2 <= bytes.length; offset += 2 + readU8(bytes, offset + 1)) {
    if (bytes[offset] === 0) return fromCString(bytes.subarray(offset + 2, offset + 2 + readU8(bytes, offset + 1)));
  }
  return undefined;
}
