import type { NftOutline } from "../../kernel/nftables.ts";
import type { Family } from "../../lib/address.ts";
import { LINKS_SET, MASQUERADE_RULES } from "./masquerade.ts";

/** Our one table; whatever is in it is ours. */
export const L4LB_TABLE = "dcos_l4lb";

/** A chain with its rules; a rule's comment names it, so that its absence can be told without reading what it says. */
interface Chain {
  readonly name: string;
  /** `type … hook … priority …`; absent for a chain that others lead to. */
  readonly hook?: string;
  readonly rules: readonly Rule[];
}

interface Rule {
  readonly name: string;
  readonly text: string;
}

const FAMILIES = [4, 6] as const;
const WORD = { 4: "ip", 6: "ip6" } as const;
const SEED = "0x6c346c62";

const ADDRESS_TYPE = { 4: "ipv4_addr", 6: "ipv6_addr" } as const;

/** Types of the parts of a key. */
const serviceType = (family: Family): string => `${ADDRESS_TYPE[family]} . inet_proto . inet_service`;
const targetType = (family: Family): string => `${ADDRESS_TYPE[family]} . inet_service`;

/** Sets that are always there. */
const SETS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    FAMILIES.flatMap((family) => [
      [`services${family}`, `type ${serviceType(family)} ;`],
      [`backends${family}`, `type ${serviceType(family)} . ${targetType(family)} ; counter ;`],
      [`vips${family}`, `type ${ADDRESS_TYPE[family]} ;`],
    ]),
  ),
  links: LINKS_SET,
};

/** Maps that come with the first service that needs their size, or the first with an affinity of that many seconds. */
export interface Growth {
  readonly kind: "random" | "hash" | "large" | "affine";
  readonly family: Family;
  /** Slots, or seconds. */
  readonly number: number;
}

const GROWN = /^(random|hash|large|affine)([46])_(\d+)$/;

/** What a set that came with a service is for; undefined for the sets that are always there. */
export function growthOf(set: string): Growth | undefined {
  const [, kind, family, number] = GROWN.exec(set) ?? [];
  if (kind === undefined) return undefined;
  return { kind: kind as Growth["kind"], family: family === "6" ? 6 : 4, number: Number(number) };
}

function serviceFields(family: Family): string {
  return `${WORD[family]} daddr . meta l4proto . th dport`;
}

/** The chains for a table that has grown so far. A packet costs one look-up of its destination address when it isn't
 *  for a virtual IP. The nat chains see only the first packet of a connection; one for a virtual IP looks into each of
 *  the maps, whose number is that of the different sizes in use, not that of services. */
function chains(growth: readonly Growth[]): Chain[] {
  const toVip = FAMILIES.map((family) => lead(family, `${WORD[family]} daddr`, "choose"));
  const unanswered = FAMILIES.map((family) => lead(family, `${WORD[family]} daddr`, "refuse"));
  const fromVip = (chain: string) => FAMILIES.map((family) => lead(family, `ct original ${WORD[family]} daddr`, chain));
  return [
    { name: "refuse", rules: REFUSE },
    ...FAMILIES.flatMap((family) => familyChains(family, growth)),
    // Before the host ports, whose chains come at -100, so that they can't take what is for a virtual IP.
    { name: "prerouting", hook: "type nat hook prerouting priority -110 ;", rules: toVip },
    { name: "output", hook: "type nat hook output priority -110 ;", rules: toVip },
    { name: "input", hook: "type nat hook input priority 90 ;", rules: fromVip("note") },
    { name: "postrouting", hook: "type nat hook postrouting priority 90 ;", rules: fromVip("translated") },
    { name: "forward", hook: "type filter hook forward priority -10 ;", rules: unanswered },
    { name: "sending", hook: "type filter hook output priority -10 ;", rules: unanswered },
  ];
}

function lead(family: Family, address: string, chain: string): Rule {
  const target = chain === "refuse" ? chain : `${chain}${family}`;
  return { name: target, text: `${address} @vips${family} goto ${target}` };
}

/** What goes to an address of ours and wasn't translated finds no service. An address that is the host's own too is
 *  left to whoever listens there. */
const REFUSE: readonly Rule[] = [
  { name: "translated", text: "ct status dnat return" },
  { name: "local", text: "fib daddr type local return" },
  { name: "tcp", text: "meta l4proto tcp reject with tcp reset" },
  { name: "other", text: "reject with icmpx type port-unreachable" },
];

function familyChains(family: Family, growth: readonly Growth[]): Chain[] {
  const of = (kind: Growth["kind"]) =>
    growth
      .filter((each) => each.kind === kind && each.family === family)
      .map(({ number }) => number)
      .sort((a, b) => a - b);
  const ip = WORD[family];
  const choose = (by: string, number: string) => (size: number) => ({
    name: String(size),
    text: `dnat ${ip} to ${serviceFields(family)} . ${number} mod ${size}${by === "hash" ? ` seed ${SEED}` : ""} map @${by}${family}_${size}`,
  });
  const seconds = of("affine");
  return [
    { name: `sticky${family}`, rules: seconds.map((each) => stickyRule(family, each)) },
    { name: `random${family}`, rules: of("random").map(choose("random", "numgen random")) },
    { name: `hash${family}`, rules: of("hash").map(choose("hash", `jhash ${ip} saddr`)) },
    { name: `large${family}`, rules: of("large").flatMap((size) => largeRules(family, size)) },
    {
      name: `choose${family}`,
      rules: ["sticky", "random", "hash", "large"].map((each) => ({ name: each, text: `jump ${each}${family}` })),
    },
    { name: `note${family}`, rules: [...countRules(family), ...seconds.flatMap((each) => noteRules(family, each))] },
    { name: `translated${family}`, rules: [{ name: "note", text: `jump note${family}` }, ...MASQUERADE_RULES] },
  ];
}

/** A service of this size has more than half of the numbers, from 0 on. One that isn't in use leaves the packet to the
 *  next rule, which draws again; the last rule draws from the half that is in use as a whole. So no backend's share is
 *  wrong by more than one in 2^LARGE_DRAWS, and a change of their number needs no other rules. */
function largeRules(family: Family, size: number): Rule[] {
  const draw = (name: string, below: number): Rule => ({
    name,
    text: `dnat ${WORD[family]} to ${serviceFields(family)} . numgen random mod ${below} map @large${family}_${size}`,
  });
  const draws = Array.from({ length: LARGE_DRAWS }, (_, index) => draw(`${size} draw ${index + 1}`, size));
  return [...draws, draw(`${size} lower half`, size / 2)];
}

const LARGE_DRAWS = 6;

/** Which backend a client had before. */
function stickyRule(family: Family, seconds: number): Rule {
  const ip = WORD[family];
  return {
    name: String(seconds),
    text: `dnat ${ip} to ${ip} saddr . ${serviceFields(family)} map @sticky${family}_${seconds}`,
  };
}

/** The original destination port has no type before the protocol is known, hence two rules. */
function eachProtocol(family: Family, name: string, text: (service: string) => string): Rule[] {
  const service = `ct original ${WORD[family]} daddr . meta l4proto . ct original proto-dst`;
  return ["tcp", "udp"].map((protocol) => ({
    name: `${name} ${protocol}`,
    text: `meta l4proto ${protocol} ${text(service)}`,
  }));
}

/** Counts connections of each backend: an element's counter counts look-ups. */
function countRules(family: Family): Rule[] {
  const backend = `ct reply ${WORD[family]} saddr . ct reply proto-src`;
  return eachProtocol(family, "count", (service) => `${service} . ${backend} @backends${family}`);
}

/** Notes which backend a client has, for as many seconds as the service says, from its last new connection on. */
function noteRules(family: Family, seconds: number): Rule[] {
  const ip = WORD[family];
  return eachProtocol(
    family,
    `note ${seconds}`,
    (service) =>
      `${service} @affine${family}_${seconds} update @sticky${family}_${seconds} ` +
      `{ ct original ${ip} saddr . ${service} timeout ${seconds}s : ct reply ${ip} saddr . ct reply proto-src }`,
  );
}

/** What a table lacks. */
export interface TableRepair {
  /** What the commands make, each named for people. */
  readonly made: readonly string[];
  /** Commands in nft's language, one list for each transaction. */
  readonly transactions: readonly (readonly string[])[];
}

/** How to make what `outline` lacks, so that the table stands whole and has grown by `more`. What is there and right
 *  isn't touched, nor is any element. */
export function tableRepair(outline: NftOutline | undefined, more: readonly Growth[]): TableRepair {
  const growth = grown(outline, more);
  const present = new Set(outline?.sets);
  const objects = [
    ...Object.entries(SETS).map(([name, body]) => ["set", name, body] as const),
    ...growth.flatMap(maps),
  ];
  const missing = objects.filter(([, name]) => !present.has(name));
  const wrong = wrongChains(outline, chains(growth));
  const asleep = outline === undefined || outline.dormant;
  const base = [
    ...(asleep ? [`add table inet ${L4LB_TABLE}`] : []),
    ...missing.map(([object, name, body]) => `add ${object} inet ${L4LB_TABLE} ${name} { ${body} }`),
    ...wrong.flatMap(({ name, hook }) => {
      const body = hook === undefined ? "" : ` { ${hook} policy accept ; }`;
      return [`add chain inet ${L4LB_TABLE} ${name}${body}`];
    }),
  ];
  const made = [
    ...(asleep ? [`table inet ${L4LB_TABLE}`] : []),
    ...missing.map(([object, name]) => `${object} ${name}`),
    ...wrong.map(({ name }) => `chain ${name}`),
  ];
  // Some rules have transactions of their own, because the kernel layer can write them itself. libnftables 1.0.6
  // refuses a rule for a map with a number in its key that is there already, and ends the process at one with as much
  // IPv6 as it takes to note a client.
  const byUs = wrong.filter(({ name }) => BY_US.test(name));
  const others = wrong.filter(({ name }) => !BY_US.test(name));
  const transactions = [[...base, ...others.flatMap(content)], ...byUs.map(content)];
  return { made, transactions: transactions.filter((commands) => commands.length > 0) };
}

const BY_US = /^(?:random|hash|large|sticky|note)[46]$/;

/** What the sets of a table say that it has grown, and what else is wanted, each once. */
function grown(outline: NftOutline | undefined, more: readonly Growth[]): Growth[] {
  const all = [...(outline?.sets ?? []).flatMap((set) => growthOf(set) ?? []), ...more];
  return [...new Map(all.map((each) => [`${each.kind}${each.family}_${each.number}`, each])).values()];
}

/** Sets and maps that a growth consists of: kind of object, name, definition. */
function maps({ kind, family, number }: Growth): (readonly [object: "set" | "map", name: string, body: string])[] {
  const name = `${kind}${family}_${number}`;
  if (kind !== "affine") {
    // The number of a client has the type of a random one: nft 1.0.6 can't print a map made for `jhash`.
    const key = `${serviceFields(family)} . numgen random mod ${number}`;
    return [["map", name, `typeof ${key} : ${WORD[family]} daddr . th dport ;`]];
  }
  const clients = `type ${ADDRESS_TYPE[family]} . ${serviceType(family)} : ${targetType(family)} ;`;
  const bounds = `flags dynamic,timeout ; timeout ${number}s ; size ${CLIENTS_MAX} ;`;
  return [
    ["set", name, `type ${serviceType(family)} ;`],
    ["map", `sticky${family}_${number}`, `${clients} ${bounds}`],
  ];
}

/** Clients that are remembered for all services with one affinity. */
const CLIENTS_MAX = 262_144;

function wrongChains(outline: NftOutline | undefined, wanted: readonly Chain[]): Chain[] {
  const present = new Map(outline?.chains.map((chain) => [chain.name, chain]));
  return wanted.filter(({ name, rules }) => {
    const chain = present.get(name);
    const names = rules.map((rule) => rule.name).join("\n");
    return chain === undefined || chain.dropping || chain.rules.join("\n") !== names;
  });
}

function content({ name, rules }: Chain): string[] {
  const place = `inet ${L4LB_TABLE} ${name}`;
  return [`flush chain ${place}`, ...rules.map((rule) => `add rule ${place} ${rule.text} comment "${rule.name}"`)];
}

/** nft commands that remove the table whether it is there or not: `delete` alone would fail when it isn't. */
export const TABLE_REMOVAL: readonly string[] = [`add table inet ${L4LB_TABLE}`, `delete table inet ${L4LB_TABLE}`];
