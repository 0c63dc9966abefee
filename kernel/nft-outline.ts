import { fromCString } from "../lib/bytes.ts";
import { type Attributes, MessageWriter, readAttributes, readU8, readU16Network } from "./attribute.ts";
import { type Message, type Netlink, NLM_F_REQUEST } from "./netlink.ts";
import type { NftOutline } from "./nftables.ts";

/** Numbers of linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h. */
const SUBSYSTEM = 10 << 8;
const GETTABLE = SUBSYSTEM | 1;
const GETCHAIN = SUBSYSTEM | 4;
const GETRULE = SUBSYSTEM | 7;
const GETSET = SUBSYSTEM | 10;
const GETGEN = SUBSYSTEM | 16;
/** The message that tells of a new generation. */
export const NEWGEN = SUBSYSTEM | 15;
const GENERATION = 1;
/** All kinds of objects have the table's name as their first attribute. */
const TABLE = 1;
const TABLE_FLAGS = 2;
const TABLE_DORMANT = 1;
const CHAIN_NAME = 3;
const CHAIN_POLICY = 5;
const POLICY_DROP = 0;
const RULE_CHAIN = 2;
const RULE_USERDATA = 7;
const SET_NAME = 2;
/** struct nfgenmsg. */
const FAMILY_HEADER = 4;

/** The number of the present generation of all tables. */
export function readGeneration(socket: Netlink): number {
  const message = new MessageWriter(GETGEN, NLM_F_REQUEST).u8(0).u8(0).u16(0).finish();
  const tried = () => "ask for the generation of the rule set";
  return socket.get({ message, tried }, generationIn);
}

/** The generation of which a message tells; 0 when it says none. */
export function generationIn(message: Message): number {
  return numberAt(attributesOf(message), GENERATION) ?? 0;
}

/** The name of the table that a message about any object is about. */
export function tableIn(message: Message): string {
  return textAt(attributesOf(message), TABLE);
}

/** What a table consists of, without the elements of its sets. Throws a NetError with errno ENOENT when it is
 *  missing. */
export function readOutline(socket: Netlink, family: number, table: string): NftOutline {
  const message = (type: number) =>
    new MessageWriter(type, NLM_F_REQUEST).u8(family).u8(0).u16(0).attributeText(TABLE, table).finish();
  const tried = () => `list table ${table}`;
  const dump = <T>(type: number, decode: (attributes: Attributes) => T): T[] =>
    socket.dump({ message: message(type), tried }, (answer) => {
      const attributes = attributesOf(answer);
      return textAt(attributes, TABLE) === table ? decode(attributes) : undefined;
    });
  const dormant = socket.get(
    { message: message(GETTABLE), tried },
    (answer) => ((numberAt(attributesOf(answer), TABLE_FLAGS) ?? 0) & TABLE_DORMANT) !== 0,
  );
  const chains = dump(GETCHAIN, (chain) => ({
    name: textAt(chain, CHAIN_NAME),
    dropping: numberAt(chain, CHAIN_POLICY) === POLICY_DROP,
    rules: [] as (string | undefined)[],
  }));
  const places = new Map(chains.map(({ name, rules }) => [name, rules]));
  for (const { chain, comment } of dump(GETRULE, ruleOf)) places.get(chain)?.push(comment);
  return { dormant, chains, sets: dump(GETSET, (set) => textAt(set, SET_NAME)) };
}

function ruleOf(rule: Attributes): { readonly chain: string; readonly comment: string | undefined } {
  const userdata = rule.get(RULE_USERDATA);
  // Runs of type, length and value (libnftnl udata.h); type 0 is the comment, and nft writes it first.
  const comment = userdata !== undefined && userdata.length > 2 && readU8(userdata) === 0 ? userdata : undefined;
  return { chain: textAt(rule, RULE_CHAIN), comment: comment && fromCString(comment.subarray(2)) };
}

function attributesOf(message: Message): Attributes {
  return readAttributes(message.payload, FAMILY_HEADER);
}

function textAt(attributes: Attributes, type: number): string {
  const bytes = attributes.get(type);
  return bytes === undefined ? "" : fromCString(bytes);
}

/** nf_tables numbers are in network byte order. */
function numberAt(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined ? undefined : readU16Network(bytes) * 0x10000 + readU16Network(bytes, 2);
}
