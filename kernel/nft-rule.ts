import { ipBytes, tryParsePrefix, widthOf } from "../lib/address.ts";
import type { MessageWriter } from "./attribute.ts";
import { IFNAME_BYTES, parseIfname } from "./nft-fields.ts";

// Rules of a small part of nft's language as expressions of nf_tables, with the numbers of linux/netfilter/nf_tables.h.
// What is written here is what libnftables makes of the same text.

/** Writes one expression or other attribute. */
export type Write = (writer: MessageWriter) => void;

/** Marks an attribute that holds attributes. */
export const NESTED = 0x8000;
/** Number of an attribute in a list. */
export const LIST_ELEMENT = 1 | NESTED;

const REG_VERDICT = 0;
const REG_1 = 1;
/** The first of the registers of four bytes that begin where REG_1 does. */
const REG32_00 = 8;
const CMP_EQ = 0;
const CMP_NEQ = 1;
const BASE_LINK = 0;
const BASE_NETWORK = 1;
const BASE_TRANSPORT = 2;
const META_IIFNAME = 6;
const META_L4PROTO = 16;
const CT_STATUS = 2;
/** IPS_DST_NAT of nf_conntrack_common.h. */
const STATUS_DNAT = 32;
const FIB_ADDRTYPE = 3;
const FIB_DADDR = 2;
/** RTN_LOCAL of linux/rtnetlink.h. */
const TYPE_LOCAL = 2;
const LOOKUP_INVERT = 1;
const NAT_DNAT = 1;
const NFPROTO = { ip: 2, ip6: 10 } as const;

/** Code of each verdict; jumps have negative ones (linux/netfilter.h, nf_tables.h). */
export const VERDICT_CODE: Readonly<Record<string, number>> = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 };

/** What a rule can look at: its length and how it gets into a register. */
interface Selector {
  readonly bytes: number;
  readonly load: (register: number) => Write;
}

const SELECTORS: Readonly<Record<string, Selector & { readonly families: readonly string[] }>> = {
  "ip saddr": { families: ["ip"], bytes: 4, load: payload(BASE_NETWORK, 12, 4) },
  "ip daddr": { families: ["ip"], bytes: 4, load: payload(BASE_NETWORK, 16, 4) },
  "ip6 saddr": { families: ["ip6"], bytes: 16, load: payload(BASE_NETWORK, 8, 16) },
  "ip6 daddr": { families: ["ip6"], bytes: 16, load: payload(BASE_NETWORK, 24, 16) },
  "meta l4proto": { families: ["ip", "ip6"], bytes: 1, load: meta(META_L4PROTO) },
  "th dport": { families: ["ip", "ip6"], bytes: 2, load: payload(BASE_TRANSPORT, 2, 2) },
  "ether saddr": { families: ["bridge"], bytes: 6, load: payload(BASE_LINK, 6, 6) },
  iifname: { families: ["ip", "ip6", "bridge"], bytes: 16, load: meta(META_IIFNAME) },
};

/** Expressions of a rule in a table of `family`; undefined when the rule uses more of the language than is known
 *  here. */
export function ruleExpressions(rule: string, family: string): Write[] | undefined {
  const words = rule.split(" ");
  const expressions: Write[] = [];
  while (words.length > 0) {
    const statement = takeStatement(words, family);
    if (statement === undefined) return undefined;
    expressions.push(...statement);
  }
  return expressions;
}

/** Takes the words of one statement off the front. */
function takeStatement(words: string[], family: string): Write[] | undefined {
  if (takeWords(words, "masquerade")) return [expression("masq", () => undefined)];
  if (takeWords(words, "fib daddr type local")) return [fibDestinationType(), compare(CMP_EQ, hostU32(TYPE_LOCAL))];
  if (takeWords(words, "ct status dnat")) return statusDnat();
  const verdict = takeVerdict(words);
  if (verdict !== undefined) return [immediate(verdict)];
  return takeWords(words, `dnat ${family} to`) ? takeNat(words, family) : takeMatch(words, family);
}

function takeWords(words: string[], phrase: string): boolean {
  const expected = phrase.split(" ");
  if (expected.some((word, index) => words[index] !== word)) return false;
  words.splice(0, expected.length);
  return true;
}

function takeVerdict(words: string[]): Write | undefined {
  const [word = ""] = words;
  if (!Object.hasOwn(VERDICT_CODE, word)) return undefined;
  words.shift();
  return verdict(word, word === "goto" || word === "jump" ? words.shift() : undefined);
}

/** `dnat ip to KEY map @NAME`, where the map gives an address and a port. */
function takeNat(words: string[], family: string): Write[] | undefined {
  const key = takeSelectors(words, family);
  const protocol = family === "ip" ? NFPROTO.ip : NFPROTO.ip6;
  const map = takeWords(words, "map") ? takeReference(words) : undefined;
  if (key === undefined || map === undefined) return undefined;
  const portRegister = family === "ip" ? REG32_00 + 1 : REG32_00 + 4;
  return [
    ...loads(key),
    lookup(map, REG_1),
    expression("nat", (data) => {
      u32(1, NAT_DNAT)(data);
      u32(2, protocol)(data);
      u32(3, REG_1)(data);
      u32(5, portRegister)(data);
    }),
  ];
}

/** A comparison, or a look-up in a set or verdict map. */
function takeMatch(words: string[], family: string): Write[] | undefined {
  const key = takeSelectors(words, family);
  if (key === undefined) return undefined;
  if (takeWords(words, "vmap")) return lookedUp(key, takeReference(words), REG_VERDICT);
  const inverted = takeWords(words, "!=");
  if (words[0]?.startsWith("@") === true) return lookedUp(key, takeReference(words), undefined, inverted);
  const [selector] = key;
  const value = words.shift() ?? "";
  if (key.length !== 1 || selector === undefined) return undefined;
  const compared = comparison(selector, value, inverted ? CMP_NEQ : CMP_EQ);
  return compared && [selector.load(REG_1), ...compared];
}

function lookedUp(
  key: readonly Selector[],
  set: string | undefined,
  target: number | undefined,
  inverted = false,
): Write[] | undefined {
  return set === undefined ? undefined : [...loads(key), lookup(set, target, inverted)];
}

/** Against the name of an interface or a prefix in an address. */
function comparison({ bytes }: Selector, value: string, operator: number): Write[] | undefined {
  if (value.startsWith('"')) {
    const name = bytes === IFNAME_BYTES ? parseIfname(value) : undefined;
    return name && [compare(operator, name)];
  }
  const prefix = tryParsePrefix(value);
  if (prefix === undefined || widthOf(prefix.ip.family) / 8 !== bytes) return undefined;
  const mask = new Uint8Array(bytes);
  const network = ipBytes(prefix.ip);
  for (let index = 0; index < bytes; index++) {
    const bits = prefix.length - 8 * index;
    mask[index] = bits >= 8 ? 255 : bits <= 0 ? 0 : 256 - (1 << (8 - bits));
    network[index] = (network[index] ?? 0) & (mask[index] ?? 0);
  }
  return [bitwise(mask), compare(operator, network)];
}

/** Selectors joined by dots. */
function takeSelectors(words: string[], family: string): Selector[] | undefined {
  const selectors: Selector[] = [];
  do {
    const name = words[0] === "iifname" ? "iifname" : `${words[0]} ${words[1]}`;
    const selector = SELECTORS[name];
    if (selector?.families.includes(family) !== true) return undefined;
    takeWords(words, name);
    selectors.push(selector);
  } while (takeWords(words, "."));
  return selectors;
}

function takeReference(words: string[]): string | undefined {
  const word = words.shift();
  return word?.startsWith("@") === true ? word.slice(1) : undefined;
}

/** A key of several fields fills registers of four bytes, one after the other. */
function loads(key: readonly Selector[]): Write[] {
  let register = REG32_00;
  return key.map(({ bytes, load }, index) => {
    const write = load(index === 0 ? REG_1 : register);
    register += (bytes + 3) >> 2;
    return write;
  });
}

function expression(name: string, data: Write): Write {
  return (writer) =>
    writer.nest(LIST_ELEMENT, (each) => {
      each.attributeText(1, name);
      each.nest(2 | NESTED, data);
    });
}

function payload(base: number, offset: number, length: number): Selector["load"] {
  return (register) =>
    expression("payload", (data) => {
      for (const [type, value] of [register, base, offset, length].entries()) u32(type + 1, value)(data);
    });
}

function meta(key: number): Selector["load"] {
  return (register) =>
    expression("meta", (data) => {
      u32(2, key)(data);
      u32(1, register)(data);
    });
}

function fibDestinationType(): Write {
  return expression("fib", (data) => {
    u32(3, FIB_DADDR)(data);
    u32(2, FIB_ADDRTYPE)(data);
    u32(1, REG_1)(data);
  });
}

function statusDnat(): Write[] {
  const status = expression("ct", (data) => {
    u32(2, CT_STATUS)(data);
    u32(1, REG_1)(data);
  });
  return [status, bitwise(hostU32(STATUS_DNAT)), compare(CMP_NEQ, hostU32(0))];
}

function compare(operator: number, value: Uint8Array): Write {
  return expression("cmp", (data) => {
    u32(1, REG_1)(data);
    u32(2, operator)(data);
    data.nest(3 | NESTED, (each) => each.attribute(1, value));
  });
}

function bitwise(mask: Uint8Array): Write {
  return expression("bitwise", (data) => {
    u32(1, REG_1)(data);
    u32(2, REG_1)(data);
    u32(3, mask.length)(data);
    data.nest(4 | NESTED, (each) => each.attribute(1, mask));
    data.nest(5 | NESTED, (each) => each.attribute(1, new Uint8Array(mask.length)));
  });
}

function lookup(set: string, target: number | undefined, inverted = false): Write {
  return expression("lookup", (data) => {
    u32(2, REG_1)(data);
    if (target !== undefined) u32(3, target)(data);
    data.attributeText(1, set);
    if (inverted) u32(5, LOOKUP_INVERT)(data);
  });
}

function immediate(value: Write): Write {
  return expression("immediate", (data) => {
    u32(1, REG_VERDICT)(data);
    data.nest(2 | NESTED, value);
  });
}

/** A verdict as data, of a rule or of an element. */
export function verdict(word: string, chain?: string): Write {
  return (writer) =>
    writer.nest(2 | NESTED, (each) => {
      u32(1, VERDICT_CODE[word] ?? 0)(each);
      if (chain !== undefined) each.attributeText(2, chain);
    });
}

/** A number in network byte order, as nf_tables has all its own. */
export function u32(type: number, value: number): Write {
  return (writer) => writer.attribute(type, new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]));
}

function hostU32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
