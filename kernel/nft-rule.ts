import { ipBytes, tryParsePrefix, widthOf } from "../lib/address.ts";
import { expression, NESTED, REG_1, REG32_FIRST, u32, type Write } from "./nft-expression.ts";
import { IFNAME_BYTES, parseIfname } from "./nft-fields.ts";
import { loads, NETWORK_PROTOCOL, registersOf, type Selector, takeSelectors, takeWords } from "./nft-selector.ts";

// Rules of a small part of nft's language as expressions of nf_tables, with the numbers of linux/netfilter/nf_tables.h.
// What is written here is what libnftables makes of the same text.

const REG_VERDICT = 0;
const CMP_EQ = 0;
const CMP_NEQ = 1;
const CT_STATUS = 2;
/** IPS_DST_NAT of nf_conntrack_common.h. */
const STATUS_DNAT = 32;
const FIB_ADDRTYPE = 3;
const FIB_DADDR = 2;
/** RTN_LOCAL of linux/rtnetlink.h. */
const TYPE_LOCAL = 2;
const LOOKUP_INVERT = 1;
const NAT_DNAT = 1;
const DYNSET_UPDATE = 1;
const NFPROTO = { ip: 2, ip6: 10 } as const;
const L4PROTO: Readonly<Record<string, number>> = { tcp: 6, udp: 17 };

/** Code of each verdict; jumps have negative ones (linux/netfilter.h, nf_tables.h). */
export const VERDICT_CODE: Readonly<Record<string, number>> = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 };

/** A rule that is being taken apart. */
interface Sentence {
  readonly words: string[];
  readonly family: string;
  /** In a table of both families: the one that the packet is known to have. */
  known: "ip" | "ip6" | undefined;
}

/** Expressions of a rule in a table of `family`; undefined when the rule uses more of the language than is known
 *  here. */
export function ruleExpressions(rule: string, family: string): Write[] | undefined {
  const sentence: Sentence = { words: rule.split(" "), family, known: undefined };
  const expressions: Write[] = [];
  while (sentence.words.length > 0) {
    const statement = takeStatement(sentence);
    if (statement === undefined) return undefined;
    expressions.push(...statement);
  }
  return expressions;
}

/** Takes the words of one statement off the front. */
function takeStatement(sentence: Sentence): Write[] | undefined {
  const { words } = sentence;
  if (takeWords(words, "masquerade")) return [expression("masq", () => undefined)];
  if (takeWords(words, "fib daddr type local")) return [fibDestinationType(), compare(CMP_EQ, hostU32(TYPE_LOCAL))];
  if (takeWords(words, "ct status dnat")) return statusDnat();
  const verdict = takeVerdict(words);
  if (verdict !== undefined) return [immediate(verdict)];
  for (const own of ["ip", "ip6"] as const) {
    if (takeWords(words, `dnat ${own} to`)) return takeNat(sentence, own);
  }
  return words[0] === "update" ? takeUpdate(sentence) : takeMatch(sentence);
}

function takeVerdict(words: string[]): Write | undefined {
  const [word = ""] = words;
  if (!Object.hasOwn(VERDICT_CODE, word)) return undefined;
  words.shift();
  return verdict(word, word === "goto" || word === "jump" ? words.shift() : undefined);
}

/** Selectors with what makes sure, in a table of both families, that the packet has the addresses that they look at. */
function takeKey(sentence: Sentence): { readonly key: readonly Selector[]; readonly guard: Write[] } | undefined {
  const key = takeSelectors(sentence.words, sentence.family);
  if (key === undefined) return undefined;
  const own = key.find(({ of }) => of !== undefined)?.of;
  if (sentence.family !== "inet" || own === undefined || own === sentence.known) return { key, guard: [] };
  sentence.known = own;
  return { key, guard: [NETWORK_PROTOCOL.load(REG_1), compare(CMP_EQ, new Uint8Array([NFPROTO[own]]))] };
}

/** `dnat ip to KEY map @NAME`, where the map gives an address and a port. */
function takeNat(sentence: Sentence, own: "ip" | "ip6"): Write[] | undefined {
  if (sentence.family !== "inet" && sentence.family !== own) return undefined;
  const taken = takeKey(sentence);
  const map = takeWords(sentence.words, "map") ? takeReference(sentence.words) : undefined;
  if (taken === undefined || map === undefined) return undefined;
  const portRegister = own === "ip" ? REG32_FIRST + 1 : REG32_FIRST + 4;
  return [
    ...taken.guard,
    ...loads(taken.key),
    lookup(map, REG_1),
    expression("nat", (data) => {
      u32(1, NAT_DNAT)(data);
      u32(2, NFPROTO[own])(data);
      u32(3, REG_1)(data);
      u32(5, portRegister)(data);
    }),
  ];
}

/** `update @NAME { KEY timeout Ns : DATA }`: writes down what is known of this packet. */
function takeUpdate(sentence: Sentence): Write[] | undefined {
  const { words } = sentence;
  words.shift();
  const map = takeReference(words);
  const taken = takeWords(words, "{") ? takeKey(sentence) : undefined;
  const [, seconds] = /^(\d+)s$/.exec(takeWords(words, "timeout") ? (words.shift() ?? "") : "") ?? [];
  const data = takeWords(words, ":") ? takeSelectors(words, sentence.family) : undefined;
  if (map === undefined || taken === undefined || seconds === undefined || data === undefined) return undefined;
  if (!takeWords(words, "}")) return undefined;
  const dataRegister = REG32_FIRST + registersOf(taken.key);
  const update = expression("dynset", (attributes) => {
    attributes.attributeText(1, map);
    u32(3, DYNSET_UPDATE)(attributes);
    u32(4, REG_1)(attributes);
    u32(5, dataRegister)(attributes);
    attributes.attribute(6, networkU64(BigInt(seconds) * 1000n));
  });
  return [...taken.guard, ...loads(taken.key), ...loads(data, dataRegister), update];
}

/** A comparison, or a look-up in a set or verdict map. */
function takeMatch(sentence: Sentence): Write[] | undefined {
  const { words } = sentence;
  const taken = takeKey(sentence);
  if (taken === undefined) return undefined;
  const { key, guard } = taken;
  if (takeWords(words, "vmap")) return lookedUp(taken, takeReference(words), REG_VERDICT);
  const inverted = takeWords(words, "!=");
  if (words[0]?.startsWith("@") === true) return lookedUp(taken, takeReference(words), undefined, inverted);
  const [selector] = key;
  const value = words.shift() ?? "";
  if (key.length !== 1 || selector === undefined) return undefined;
  const compared = comparison(selector, value, inverted ? CMP_NEQ : CMP_EQ);
  return compared && [...guard, selector.load(REG_1), ...compared];
}

function lookedUp(
  { key, guard }: { readonly key: readonly Selector[]; readonly guard: readonly Write[] },
  set: string | undefined,
  target: number | undefined,
  inverted = false,
): Write[] | undefined {
  return set === undefined ? undefined : [...guard, ...loads(key), lookup(set, target, inverted)];
}

/** Against a transport protocol, the name of an interface or a prefix in an address. */
function comparison({ bytes }: Selector, value: string, operator: number): Write[] | undefined {
  if (bytes === 1) {
    const number = L4PROTO[value];
    return number === undefined ? undefined : [compare(operator, new Uint8Array([number]))];
  }
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

function takeReference(words: string[]): string | undefined {
  const word = words.shift();
  return word?.startsWith("@") === true ? word.slice(1) : undefined;
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

function hostU32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

function networkU64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
