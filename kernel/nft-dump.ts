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
import { type Message, type Netlink, NLM_F_REQUEST } from "./netlink.ts";
import type { SetTypes } from "./nft-batch.ts";
import { readRawElements } from "./nft-elements.ts";
import { fieldTypesOf, formatValue, valueLength } from "./nft-fields.ts";
import type { NftElement, NftRawElement } from "./nftables.ts";

/** Numbers of linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h. */
const SUBSYSTEM = 10 << 8;
const NFT_MSG_GETTABLE = SUBSYSTEM | 1;
const NFT_MSG_GETCHAIN = SUBSYSTEM | 4;
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
const NOTHING = new Uint8Array();

/** Types of a set or map; undefined when it has intervals, or fields of a type, that can't be put into words here.
 *  Throws a NetError with errno ENOENT when the set is missing. */
export function readSetTypes(socket: Netlink, family: string, table: string, set: string): SetTypes | undefined {
  const message = setRequest(NFT_MSG_GETSET, family, table, set);
  return socket.get({ message, tried: () => `list set ${family} ${table} ${set}` }, (answer) => {
    const description = attributesOf(answer);
    const key = fieldTypesOf(u32Of(description, NFTA_SET_KEY_TYPE) ?? 0);
    const dataNumber = u32Of(description, NFTA_SET_DATA_TYPE);
    const data = dataNumber === NFT_DATA_VERDICT ? "verdict" : dataNumber && fieldTypesOf(dataNumber);
    const interval = ((u32Of(description, NFTA_SET_FLAGS) ?? 0) & NFT_SET_INTERVAL) !== 0;
    if (key === undefined || interval || (dataNumber !== undefined && data === undefined)) return undefined;
    return { key, data: data === 0 ? undefined : data };
  });
}

/** Elements of a set or map with these types, each once: while the kernel enlarges a hash table, a dump may come by an
 *  element twice. Throws a NetError with errno ENOENT when the set is missing. */
export function readElements(
  socket: Netlink,
  family: string,
  table: string,
  set: string,
  types: SetTypes,
): NftElement[] {
  const message = setRequest(NFT_MSG_GETSETELEM, family, table, set);
  const tried = () => `list set ${family} ${table} ${set}`;
  const elements = new Map<string, NftElement>();
  for (const list of socket.dump({ message, tried }, (answer) => decodeElements(answer, types))) {
    for (const element of list) elements.set(element.key.join(" "), element);
  }
  return [...elements.values()];
}

/** Elements of a set or map in the kernel's form, each once. Throws a NetError with errno ENOENT when the set is
 *  missing. */
export function readAllRawElements(socket: Netlink, family: string, table: string, set: string): NftRawElement[] {
  const message = setRequest(NFT_MSG_GETSETELEM, family, table, set);
  const tried = () => `list set ${family} ${table} ${set}`;
  const elements = new Map<string, NftRawElement>();
  for (const list of socket.dump({ message, tried }, ({ payload }) => readRawElements(payload))) {
    for (const element of list) elements.set(element.key, element);
  }
  return [...elements.values()];
}

/** Names of the chains of a table. Throws a NetError with errno ENOENT when the table is missing. */
export function readChains(socket: Netlink, family: string, table: string): string[] {
  const tried = () => `list chains of table ${family} ${table}`;
  // The kernel answers a dump of the chains of a missing table with nothing, so the table is asked for first.
  const named = request(NFT_MSG_GETTABLE, family).attributeText(NFTA_TABLE_NAME, table).finish();
  socket.get({ message: named, tried }, () => undefined);
  const message = request(NFT_MSG_GETCHAIN, family).attributeText(NFTA_CHAIN_TABLE, table).finish();
  return socket.dump({ message, tried }, (answer) => {
    const attributes = attributesOf(answer);
    const name = attributes.get(NFTA_CHAIN_NAME);
    const owner = attributes.get(NFTA_CHAIN_TABLE);
    return name !== undefined && owner !== undefined && fromCString(owner) === table ? fromCString(name) : undefined;
  });
}

function request(type: number, family: string): MessageWriter {
  return new MessageWriter(type, NLM_F_REQUEST).u8(familyNumber(family)).u8(0).u16(0);
}

/** The number of a family of tables (linux/netfilter.h NFPROTO_*). */
export function familyNumber(family: string): number {
  const number = FAMILY[family];
  if (number === undefined) throw new Error(`${family} is no family of nftables`);
  return number;
}

function setRequest(type: number, family: string, table: string, set: string): Uint8Array {
  return request(type, family).attributeText(NFTA_SET_TABLE, table).attributeText(NFTA_SET_NAME, set).finish();
}

function attributesOf(message: Message): Attributes {
  return readAttributes(message.payload, FAMILY_HEADER);
}

/** nf_tables numbers are in network byte order. */
function u32Of(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined ? undefined : readU16Network(bytes) * 0x10000 + readU16Network(bytes, 2);
}

/** All elements of one message of a dump. Exported for the fuzz test. */
export function decodeElements(message: Message, types: SetTypes): NftElement[] {
  const elements: NftElement[] = [];
  const list = attributesOf(message).get(NFTA_ELEMENTS) ?? NOTHING;
  forEachAttribute(list, 0, (_, bytes) => elements.push(decodeElement(bytes, types)));
  return elements;
}

/** A node may have ten thousands of elements, so this builds no map of their attributes. */
function decodeElement(bytes: Uint8Array, { key, data }: SetTypes): NftElement {
  let keyFields: string[] = [];
  let dataFields: string[] = [];
  let comment: string | undefined;
  forEachAttribute(bytes, 0, (type, payload) => {
    if (type === NFTA_ELEMENT_KEY) keyFields = valueFields(payload, key);
    else if (type === NFTA_ELEMENT_DATA)
      dataFields = data === "verdict" ? [verdict(payload)] : valueFields(payload, data);
    else if (type === NFTA_ELEMENT_USERDATA) comment = commentOf(payload);
  });
  return { key: keyFields, data: dataFields, comment };
}

function valueFields(bytes: Uint8Array, types: SetTypes["key"] | undefined): string[] {
  let fields: string[] = [];
  forEachAttribute(bytes, 0, (type, value) => {
    if (type !== NFTA_DATA_VALUE || types === undefined) return;
    if (value.length < valueLength(types)) throw malformed(`a key of ${value.length} bytes`);
    fields = formatValue(value, types);
  });
  return fields;
}

function verdict(bytes: Uint8Array): string {
  const attributes = readAttributes(readAttributes(bytes).get(NFTA_DATA_VERDICT) ?? NOTHING);
  const word = VERDICT[(u32Of(attributes, NFTA_VERDICT_CODE) ?? 0) | 0] ?? "unknown";
  const chain = attributes.get(NFTA_VERDICT_CHAIN);
  return chain === undefined ? word : `${word} ${fromCString(chain)}`;
}

/** The comment in an element's user data: runs of type, length, value, where type 0 is the comment (libnftnl
 *  udata.h). */
function commentOf(bytes: Uint8Array): string | undefined {
  for (let offset = 0; offset + 2 <= bytes.length; offset += 2 + readU8(bytes, offset + 1)) {
    if (bytes[offset] === 0) return fromCString(bytes.subarray(offset + 2, offset + 2 + readU8(bytes, offset + 1)));
  }
  return undefined;
}
