import type { NftElement } from "../kernel/nftables.ts";
import { networkComment, type Owner, ownerComment } from "./firewall-owner.ts";

/** A table of ours. Packets pass a fixed number of rules that look up sets and maps, so that neither the way of a
 *  packet nor a change gets longer with the number of containers. The table is made with its first element and goes
 *  with its last. */
export interface FirewallTable {
  readonly family: "ip" | "ip6" | "bridge";
  readonly name: string;
  readonly sets: readonly FirewallSet[];
  /** In an order in which each leads only to ones before it. */
  readonly chains: readonly {
    readonly name: string;
    /** `type … hook … priority …;` of a base chain. */
    readonly hook?: string;
    readonly rules: readonly string[];
  }[];
  /** What an element is to an operator: `host port 8080/tcp`. */
  readonly describe: (element: FirewallElement) => string;
}

/** A set or map whose elements belong to containers. */
export interface FirewallSet {
  readonly name: string;
  readonly kind: "set" | "map";
  /** nft's data types: `ipv4_addr : verdict`. */
  readonly type: string;
  /** Elements exist only together with a chain whose name begins so; without one there is nothing to read. */
  readonly onlyWith?: string;
}

/** A chain that elements go to, shared by all containers with the same needs. It lives as long as an element refers to
 *  it. The name must end in a part with a `-`. */
export interface FirewallChain {
  readonly name: string;
  /** A word for the rules, where those of one name may change: an empty chain `name.revision` tells which it has. */
  readonly revision?: string;
  readonly rules: readonly string[];
}

/** An element of one set or map: its fields as nft writes them, verdicts as `goto chain`. */
export interface FirewallElement {
  readonly set: string;
  readonly key: readonly string[];
  readonly data: readonly string[];
}

/** An element that is in a table. */
export type HeldElement = FirewallElement & Pick<NftElement, "comment">;

/** What one container needs in one table. */
export interface FirewallEntry {
  readonly table: FirewallTable;
  readonly owner: Owner;
  readonly chains: readonly FirewallChain[];
  readonly elements: readonly FirewallElement[];
  /** The container's own addresses. Whoever else still has an element with one of them is gone, for an address is given
   *  once. */
  readonly addresses: readonly string[];
  /** Elements that exclude this entry although no key is equal: those of `set` whose key ends in `suffix`. */
  readonly rivals: readonly { readonly set: string; readonly suffix: readonly string[] }[];
}

/** Commands that make one entry, given the names of the chains that the table has (undefined without the table). In one
 *  transaction they fail as a whole, with EEXIST, when somebody holds one of the keys. */
export function additionCommands(entry: FirewallEntry, present: readonly string[] | undefined): string[] {
  const place = placeOf(entry.table);
  const comment = ownerComment(entry.owner);
  return [
    ...(present === undefined ? tableCommands(entry.table) : []),
    ...entry.chains.flatMap((chain) => chainCommands(place, chain, present ?? [])),
    ...entry.elements.map(({ set, key, data }) => {
      const value = data.length === 0 ? "" : ` : ${joined(data)}`;
      return `create element ${place} ${set} { ${joined(key)} comment "${comment}"${value} }`;
    }),
  ];
}

/** How elements are removed, and what that leaves. */
export interface Removal {
  readonly commands: readonly string[];
  /** Names of the chains that the table then has; undefined when it is gone. */
  readonly left: readonly string[] | undefined;
}

/** Removes the held elements that `isGone` accepts, then the chains that nothing refers to any more; the whole table
 *  when no other element is left. `present` are the names of the table's chains. */
export function removal(
  table: FirewallTable,
  held: readonly HeldElement[],
  present: readonly string[],
  isGone: (element: HeldElement) => boolean,
): Removal {
  const place = placeOf(table);
  const gone = held.filter(isGone);
  if (gone.length === held.length) return { commands: [`delete table ${place}`], left: undefined };
  const used = new Set(held.filter((element) => !isGone(element)).flatMap(targetOf));
  const orphans = new Set(gone.flatMap(targetOf).filter((chain) => !used.has(chain)));
  const isOrphan = (chain: string) => orphans.has(chain) || [...orphans].some((orphan) => isRevisionOf(chain, orphan));
  return {
    commands: [
      ...gone.map(({ set, key }) => `delete element ${place} ${set} { ${joined(key)} }`),
      ...present.filter(isOrphan).map((chain) => `delete chain ${place} ${chain}`),
    ],
    left: present.filter((chain) => !isOrphan(chain)),
  };
}

/** Accepts the elements of `owner`. */
export function belongsTo(owner: Owner): (element: HeldElement) => boolean {
  const comment = ownerComment(owner);
  return (element) => element.comment === comment;
}

/** Accepts the elements on `network` whose owner isn't among the `valid` ones. */
export function isStale(network: string, valid: readonly Omit<Owner, "network">[]): (element: HeldElement) => boolean {
  const beginning = networkComment(network);
  const comments = new Set(valid.map(({ containerId, ifname }) => ownerComment({ network, containerId, ifname })));
  return ({ comment }) => comment?.startsWith(beginning) === true && !comments.has(comment);
}

/** `family name`, as commands name a table. */
export function placeOf(table: FirewallTable): string {
  return `${table.family} ${table.name}`;
}

function tableCommands(table: FirewallTable): string[] {
  const place = placeOf(table);
  return [
    `add table ${place}`,
    ...table.sets.map(({ name, kind, type }) => `add ${kind} ${place} ${name} { type ${type}; }`),
    ...table.chains.flatMap(({ name, hook, rules }) => [
      `add chain ${place} ${name}${hook === undefined ? "" : ` { ${hook} }`}`,
      ...rules.map((rule) => `add rule ${place} ${name} ${rule}`),
    ]),
  ];
}

function chainCommands(place: string, chain: FirewallChain, present: readonly string[]): string[] {
  const { name, revision, rules } = chain;
  const marker = revision === undefined ? name : `${name}.${revision}`;
  if (present.includes(name) && present.includes(marker)) return [];
  return [
    `add chain ${place} ${name}`,
    `flush chain ${place} ${name}`,
    ...rules.map((rule) => `add rule ${place} ${name} ${rule}`),
    ...present.filter((other) => isRevisionOf(other, name)).map((other) => `delete chain ${place} ${other}`),
    ...(marker === name ? [] : [`add chain ${place} ${marker}`]),
  ];
}

/** Every name of a chain ends in a part with a `-`, and a revision has none. */
function isRevisionOf(chain: string, name: string): boolean {
  return chain.startsWith(`${name}.`) && !chain.includes("-", name.length);
}

function targetOf(element: HeldElement): string[] {
  const [verdict = ""] = element.data;
  return verdict.startsWith("goto ") ? [verdict.slice("goto ".length)] : [];
}

/** Names of interfaces are quoted, for they may be words of the language; verdicts must not be. */
function joined(fields: readonly string[]): string {
  return fields.map((field) => (PLAIN.test(field) ? field : `"${field}"`)).join(" . ");
}

const PLAIN = /^(goto \S+|[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*|tcp|udp|sctp)$/;
