import { cString } from "../lib/bytes.ts";
import { MessageWriter } from "./attribute.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, type Request } from "./netlink.ts";
import { LIST_ELEMENT, NESTED, u32, type Write } from "./nft-expression.ts";
import { concatenationNumber, type FieldType, fieldTypesNamed, parseValue, valueLength } from "./nft-fields.ts";
import { ruleExpressions, VERDICT_CODE, verdict } from "./nft-rule.ts";

// A small part of nft's language as messages of nf_tables (linux/netfilter/nfnetlink.h and nf_tables.h), written the
// way libnftables writes them: nft lists and changes what comes of it like its own.

const SUBSYSTEM = 10;
const NEWTABLE = 0;
const DELTABLE = 2;
const NEWCHAIN = 3;
const DELCHAIN = 5;
const NEWRULE = 6;
const DELRULE = 8;
const NEWSET = 9;
const NEWSETELEM = 12;
const DELSETELEM = 14;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const SET_IS_MAP = 0x8;
const VERDICT_TYPE = 0xffffff00;

const FAMILY: Readonly<Record<string, number>> = { inet: 1, ip: 2, bridge: 7, ip6: 10 };
const HOOK: Readonly<Record<string, number>> = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 };

/** Types of the keys and the data of a set; no data for a set, `"verdict"` for a verdict map. */
export interface SetTypes {
  readonly key: readonly FieldType[];
  readonly data: readonly FieldType[] | "verdict" | undefined;
}

/** What the commands before have made, and what the kernel knows. */
interface Context {
  readonly sets: Map<string, SetTypes>;
  /** Types of a set of the kernel; undefined when it is missing or not known here. */
  readonly typesOf: (family: string, table: string, set: string) => SetTypes | undefined;
}

type Encoder = (context: Context, place: Place, rest: string) => Uint8Array | undefined;

interface Place {
  readonly family: string;
  readonly table: string;
  readonly name: string;
}

/** The commands as one batch; undefined when one of them uses more of the language than is known here. */
export function encodeCommands(commands: readonly string[], typesOf: Context["typesOf"]): Request[] | undefined {
  const context: Context = { sets: new Map(), typesOf };
  const requests: Request[] = [];
  for (const command of commands) {
    const message = encodeCommand(context, command);
    if (message === undefined) return undefined;
    requests.push({ message, tried: () => `run nft ${command}` });
  }
  return requests;
}

/** The message before a batch, and the one behind it. */
export function batchFrame(): readonly [Uint8Array, Uint8Array] {
  const frame = (type: number) =>
    new MessageWriter(type, NLM_F_REQUEST)
      .u8(0)
      .u8(0)
      .u16((SUBSYSTEM << 8) & 0xffff)
      .finish();
  return [frame(BATCH_BEGIN), frame(BATCH_END)];
}

/** `VERB OBJECT FAMILY TABLE [NAME [REST]]`, with single blanks. */
function encodeCommand(context: Context, command: string): Uint8Array | undefined {
  const [verb, object, family = "", table = "", name = "", ...rest] = command.split(" ");
  const encode = ENCODERS[`${verb} ${object}`];
  if (encode === undefined || FAMILY[family] === undefined) return undefined;
  return encode(context, { family, table, name }, rest.join(" "));
}

const ENCODERS: Readonly<Record<string, Encoder>> = {
  "add table": (_, place) => wholeTable(NEWTABLE, place, [u32(2, 0)]),
  "delete table": (_, place) => wholeTable(DELTABLE, place, []),
  "add chain": (_, place, rest) => addChain(place, rest),
  "flush chain": (_, place, rest) => wholeChain(DELRULE, place, rest, 2),
  "delete chain": (_, place, rest) => wholeChain(DELCHAIN, place, rest, 3),
  "add rule": (_, place, rest) => addRule(place, rest),
  "add set": (context, place, rest) => addSet(context, place, rest, false),
  "add map": (context, place, rest) => addSet(context, place, rest, true),
  "create element": (context, place, rest) => element(NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, context, place, rest),
  "delete element": (context, place, rest) => element(DELSETELEM, 0, context, place, rest),
};

function message(type: number, flags: number, { family }: Place, attributes: readonly Write[]): Uint8Array {
  const writer = new MessageWriter((SUBSYSTEM << 8) | type, NLM_F_REQUEST | flags);
  writer
    .u8(FAMILY[family] ?? 0)
    .u8(0)
    .u16(0);
  for (const write of attributes) write(writer);
  return writer.finish();
}

/** Undefined when more follows the table's name, such as its body. */
function wholeTable(type: number, place: Place, more: readonly Write[]): Uint8Array | undefined {
  if (place.table === "" || place.name !== "") return undefined;
  return message(type, 0, place, [text(1, place.table), ...more]);
}

function wholeChain(type: number, place: Place, rest: string, nameAttribute: number): Uint8Array | undefined {
  if (place.name === "" || rest !== "") return undefined;
  return message(type, 0, place, [text(1, place.table), text(nameAttribute, place.name)]);
}

function text(type: number, value: string): Write {
  return (writer) => writer.attributeText(type, value);
}

const CHAIN_BODY = /^\{ type (\w+) hook (\w+) priority (-?\d+); \}$/;

function addChain(place: Place, rest: string): Uint8Array | undefined {
  if (place.name === "") return undefined;
  const named = [text(1, place.table), text(3, place.name)];
  if (rest === "") return message(NEWCHAIN, NLM_F_CREATE, place, named);
  const [, type = "", hook = "", priority = ""] = CHAIN_BODY.exec(rest) ?? [];
  const number = HOOK[hook];
  if (number === undefined) return undefined;
  const hooked: Write = (writer) =>
    writer.nest(4 | NESTED, (each) => {
      u32(1, number)(each);
      u32(2, Number(priority))(each);
    });
  return message(NEWCHAIN, NLM_F_CREATE, place, [...named, text(7, type), hooked]);
}

const RULE_COMMENT = /^(.*) comment "([^"]*)"$/;

function addRule(place: Place, rest: string): Uint8Array | undefined {
  const [, rule = rest, comment] = RULE_COMMENT.exec(rest) ?? [];
  const expressions = ruleExpressions(rule, place.family);
  if (expressions === undefined) return undefined;
  const list: Write = (writer) =>
    writer.nest(4 | NESTED, (each) => {
      for (const write of expressions) write(each);
    });
  const userData: Write = (writer) => {
    if (comment !== undefined) writer.attribute(7, commentUserData(comment));
  };
  return message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, place, [
    text(1, place.table),
    text(2, place.name),
    list,
    userData,
  ]);
}

const SET_BODY = /^\{ type ([\w .]+?)(?: : ([\w .]+))?; \}$/;

function addSet(context: Context, place: Place, rest: string, map: boolean): Uint8Array | undefined {
  const [, keyNames = "", dataNames] = SET_BODY.exec(rest) ?? [];
  const key = fieldTypesNamed(keyNames);
  const data = dataNames === undefined || dataNames === "verdict" ? dataNames : fieldTypesNamed(dataNames);
  if (key === undefined || (data === undefined) === map) return undefined;
  const types = { key, data: data === "verdict" ? data : (data as readonly FieldType[] | undefined) } as const;
  context.sets.set(setKey(place), types);
  const mapped =
    types.data === undefined
      ? []
      : types.data === "verdict"
        ? [u32(6, VERDICT_TYPE), u32(7, 0)]
        : [u32(6, concatenationNumber(types.data)), u32(7, valueLength(types.data))];
  return message(NEWSET, NLM_F_CREATE, place, [
    text(1, place.table),
    text(2, place.name),
    u32(3, map ? SET_IS_MAP : 0),
    u32(4, concatenationNumber(key)),
    u32(5, valueLength(key)),
    ...mapped,
    u32(10, context.sets.size),
    (writer) => writer.attribute(13, setUserData(key, map)),
  ]);
}

/** Byte orders, by which nft knows how to print values: type, length and number of each (libnftnl udata.h). */
function setUserData(key: readonly FieldType[], map: boolean): Uint8Array {
  const [only] = key;
  const order = key.length === 1 && only !== undefined ? only.order : 0;
  return new Uint8Array([0, 4, order, 0, 0, 0, ...(map ? [1, 4, 0, 0, 0, 0] : [])]);
}

const ELEMENT_BODY = /^\{ ([^{}]+?)(?: comment "([^"]*)")?(?: : ([^{}]+))? \}$/;

function element(type: number, flags: number, context: Context, place: Place, rest: string): Uint8Array | undefined {
  const [, keyText = "", comment, dataText] = ELEMENT_BODY.exec(rest) ?? [];
  const types = context.sets.get(setKey(place)) ?? context.typesOf(place.family, place.table, place.name);
  const key = types && parseValue(keyText.split(" . "), types.key);
  const data = dataText === undefined ? NOTHING : types && elementData(dataText, types);
  if (key === undefined || data === undefined) return undefined;
  const one: Write = (writer) =>
    writer.nest(LIST_ELEMENT, (each) => {
      each.nest(1 | NESTED, (value) => value.attribute(1, key));
      data(each);
      if (comment !== undefined) each.attribute(6, commentUserData(comment));
    });
  return message(type, flags, place, [
    text(1, place.table),
    text(2, place.name),
    (writer) => writer.nest(3 | NESTED, one),
  ]);
}

const NOTHING: Write = () => undefined;

function elementData(words: string, { data }: SetTypes): Write | undefined {
  if (data === undefined) return undefined;
  if (data === "verdict") {
    const [word = "", chain] = words.split(" ");
    if (!Object.hasOwn(VERDICT_CODE, word)) return undefined;
    return (writer) => writer.nest(2 | NESTED, verdict(word, chain));
  }
  const value = parseValue(words.split(" . "), data);
  return value && ((writer) => writer.nest(2 | NESTED, (each) => each.attribute(1, value)));
}

function commentUserData(comment: string): Uint8Array {
  const bytes = cString(comment);
  const data = new Uint8Array(bytes.length + 2);
  data.set([0, bytes.length]);
  data.set(bytes, 2);
  return data;
}

function setKey({ family, table, name }: Place): string {
  return `${family} ${table} ${name}`;
}
