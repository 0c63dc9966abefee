import { expression, numbers, REG_1, REG32_FIRST, REG32_LAST, u32, type Write } from "./nft-expression.ts";

// What a rule can look at, with the numbers of linux/netfilter/nf_tables.h.

const BASE_LINK = 0;
const BASE_NETWORK = 1;
const BASE_TRANSPORT = 2;
const META_IIFNAME = 6;
const META_NFPROTO = 15;
const META_L4PROTO = 16;
const CT_PROTO_SRC = 11;
const CT_PROTO_DST = 12;
const CT_SRC_IP = 19;
const CT_DST_IP = 20;
const CT_SRC_IP6 = 21;
const CT_DST_IP6 = 22;
const DIRECTION = { original: 0, reply: 1 } as const;
const NUMGEN_RANDOM = 1;
const HASH_JENKINS = 0;

/** What a rule can look at: its length in bytes, and how it gets into a register. */
export interface Selector {
  readonly bytes: number;
  readonly load: (register: number) => Write;
  /** Of an address in a table of both families: the one that packets must have. */
  readonly of?: "ip" | "ip6";
}

const IP = ["ip", "inet"];
const IP6 = ["ip6", "inet"];
const BOTH = ["ip", "ip6", "inet"];

const SELECTORS: Readonly<Record<string, Selector & { readonly families: readonly string[] }>> = {
  "ip saddr": { families: IP, bytes: 4, load: payload(BASE_NETWORK, 12, 4), of: "ip" },
  "ip daddr": { families: IP, bytes: 4, load: payload(BASE_NETWORK, 16, 4), of: "ip" },
  "ip6 saddr": { families: IP6, bytes: 16, load: payload(BASE_NETWORK, 8, 16), of: "ip6" },
  "ip6 daddr": { families: IP6, bytes: 16, load: payload(BASE_NETWORK, 24, 16), of: "ip6" },
  "meta l4proto": { families: BOTH, bytes: 1, load: meta(META_L4PROTO) },
  "th dport": { families: BOTH, bytes: 2, load: payload(BASE_TRANSPORT, 2, 2) },
  "ether saddr": { families: ["bridge"], bytes: 6, load: payload(BASE_LINK, 6, 6) },
  iifname: { families: ["ip", "ip6", "bridge"], bytes: 16, load: meta(META_IIFNAME) },
  "ct original ip saddr": { families: IP, bytes: 4, load: tuple(CT_SRC_IP, "original") },
  "ct original ip daddr": { families: IP, bytes: 4, load: tuple(CT_DST_IP, "original") },
  "ct original ip6 saddr": { families: IP6, bytes: 16, load: tuple(CT_SRC_IP6, "original") },
  "ct original ip6 daddr": { families: IP6, bytes: 16, load: tuple(CT_DST_IP6, "original") },
  "ct original proto-dst": { families: BOTH, bytes: 2, load: tuple(CT_PROTO_DST, "original") },
  "ct reply ip saddr": { families: IP, bytes: 4, load: tuple(CT_SRC_IP, "reply") },
  "ct reply ip6 saddr": { families: IP6, bytes: 16, load: tuple(CT_SRC_IP6, "reply") },
  "ct reply proto-src": { families: BOTH, bytes: 2, load: tuple(CT_PROTO_SRC, "reply") },
};
const WORDS_MAX = 4;

/** A number of chance, or one that follows from the packet. */
const NUMBERS: readonly (readonly [pattern: RegExp, selector: (parts: readonly string[]) => Selector])[] = [
  [/^numgen random mod (\d+)$/, ([, size]) => ({ bytes: 4, load: randomNumber(Number(size)) })],
  [
    /^jhash (ip6?) saddr mod (\d+) seed (0x[0-9a-f]+)$/,
    ([, of, size, seed]) => ({ bytes: 4, load: addressHash(of === "ip6", Number(size), Number(seed)) }),
  ],
];
/** What comes behind a selector. */
const ENDS = new Set([".", "map"]);

/** Takes selectors that are joined by dots off the front of `words`; undefined when one isn't known for tables of
 *  `family`. */
export function takeSelectors(words: string[], family: string): Selector[] | undefined {
  const selectors: Selector[] = [];
  do {
    const selector = takeNumber(words) ?? takeSelector(words, family);
    if (selector === undefined) return undefined;
    selectors.push(selector);
  } while (takeWords(words, "."));
  return selectors;
}

function takeSelector(words: string[], family: string): Selector | undefined {
  for (let count = WORDS_MAX; count > 0; count--) {
    const selector = SELECTORS[words.slice(0, count).join(" ")];
    if (selector === undefined) continue;
    words.splice(0, count);
    return selector.families.includes(family) ? selector : undefined;
  }
  return undefined;
}

function takeNumber(words: string[]): Selector | undefined {
  const end = words.findIndex((word) => ENDS.has(word));
  const text = words.slice(0, Math.max(end, 0)).join(" ");
  for (const [pattern, selector] of NUMBERS) {
    const parts = pattern.exec(text);
    if (parts === null) continue;
    words.splice(0, end);
    return selector(parts);
  }
  return undefined;
}

/** Takes these words off the front; false when others stand there. */
export function takeWords(words: string[], phrase: string): boolean {
  const expected = phrase.split(" ");
  if (expected.some((word, index) => words[index] !== word)) return false;
  words.splice(0, expected.length);
  return true;
}

/** A key of several fields fills registers of four bytes, one after the other, from `start` on. */
export function loads(key: readonly Selector[], start = REG32_FIRST): Write[] {
  let register = start;
  return key.map(({ bytes, load }) => {
    const write = load(register === REG32_FIRST ? REG_1 : register);
    register += (bytes + 3) >> 2;
    return write;
  });
}

/** Registers of four bytes that a key takes. */
export function registersOf(key: readonly Selector[]): number {
  return key.reduce((sum, { bytes }) => sum + ((bytes + 3) >> 2), 0);
}

/** The packet's network protocol (NFPROTO_*), one byte. */
export const NETWORK_PROTOCOL: Selector = { bytes: 1, load: meta(META_NFPROTO) };

function payload(base: number, offset: number, length: number): Selector["load"] {
  return (register) => numbers("payload", [register, base, offset, length]);
}

function meta(key: number): Selector["load"] {
  return (register) =>
    expression("meta", (data) => {
      u32(2, key)(data);
      u32(1, register)(data);
    });
}

/** A field of the addresses and ports by which a connection is tracked. */
function tuple(key: number, direction: keyof typeof DIRECTION): Selector["load"] {
  return (register) =>
    expression("ct", (data) => {
      u32(2, key)(data);
      u32(1, register)(data);
      data.attributeU8(3, DIRECTION[direction]);
    });
}

function randomNumber(size: number): Selector["load"] {
  return (register) => numbers("numgen", [register, size, NUMGEN_RANDOM, 0]);
}

/** The address waits in the last registers, which no key that ends in this number reaches. */
function addressHash(wide: boolean, size: number, seed: number): Selector["load"] {
  const bytes = wide ? 16 : 4;
  const source = REG32_LAST + 1 - bytes / 4;
  const address = payload(BASE_NETWORK, wide ? 8 : 12, bytes)(source);
  return (register) => (writer) => {
    address(writer);
    numbers("hash", [source, register, bytes, size, seed, 0, HASH_JENKINS])(writer);
  };
}
