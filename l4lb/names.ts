import type { Changes } from "../facts/delta.ts";
import type { VipFact } from "../facts/fact.ts";
import type { NodeView } from "../facts/view.ts";
import { type Family, type Ip, parseIp } from "../lib/address.ts";
import type { VipPools } from "./address.ts";
import { AddressBook, type Standing } from "./address-book.ts";

/** A name in one family. */
export interface NameKey {
  readonly name: string;
  readonly family: Family;
}

const FAMILIES: readonly Family[] = [4, 6];

/** The addresses of named virtual IPs in both families, by the claims in the facts of all nodes. */
export class VipNames {
  /** Families in which names get addresses. */
  readonly families: ReadonlySet<Family>;
  readonly #books: ReadonlyMap<Family, AddressBook>;
  /** How many virtual IPs need an address of a name, by book. */
  readonly #wanted = new Map<AddressBook, Map<string, number>>();
  /** By owner, then key. */
  readonly #claims = new Map<string, Map<string, VipFact>>();
  readonly #unreachable = new Set<string>();

  constructor(pools: VipPools) {
    const books = FAMILIES.flatMap((family) => {
      const pool = pools[family];
      return pool === undefined ? [] : [[family, new AddressBook(pool)] as const];
    });
    this.#books = new Map(books);
    this.families = new Set(this.#books.keys());
    for (const book of this.#books.values()) this.#wanted.set(book, new Map());
  }

  /** Takes the claims and verdicts of one delta of the view. */
  change(vips: Changes<VipFact>, nodes: Changes<NodeView>): void {
    for (const { value } of vips.removed) this.#withdraw(value);
    for (const { after } of vips.changed) this.#claim(after);
    for (const { value } of vips.added) this.#claim(value);
    for (const { key } of nodes.removed) this.#judge(key, "alive");
    for (const { key, value } of nodes.added) this.#judge(key, value.liveness);
    for (const { key, after } of nodes.changed) this.#judge(key, after.liveness);
  }

  want({ name, family }: NameKey): void {
    const book = this.#books.get(family);
    const counts = book && this.#wanted.get(book);
    if (book === undefined || counts === undefined) return;
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    if (count === 0) book.want(name);
  }

  unwant({ name, family }: NameKey): void {
    const book = this.#books.get(family);
    const counts = book && this.#wanted.get(book);
    const count = counts?.get(name) ?? 0;
    if (count > 1) counts?.set(name, count - 1);
    else if (counts?.delete(name)) book?.unwant(name);
  }

  /** An address that a virtual IP without name has. */
  take(ip: Ip): void {
    this.#books.get(ip.family)?.take(ip);
  }

  free(ip: Ip): void {
    this.#books.get(ip.family)?.free(ip);
  }

  standing({ name, family }: NameKey): Standing | undefined {
    return this.#books.get(family)?.standing(name);
  }

  /** Takes account of all that was told; the names that may stand otherwise than at the last call. */
  settle(): NameKey[] {
    return [...this.#books].flatMap(([family, book]) => [...book.settle()].map((name) => ({ name, family })));
  }

  #claim(fact: VipFact): void {
    const claims = this.#claims.get(fact.owner) ?? new Map<string, VipFact>();
    this.#claims.set(fact.owner, claims.set(fact.key, fact));
    this.#enter(fact);
  }

  #withdraw({ owner, key, body: { name, address } }: VipFact): void {
    const claims = this.#claims.get(owner);
    claims?.delete(key);
    if (claims?.size === 0) this.#claims.delete(owner);
    this.#books.get(parseIp(address).family)?.withdraw(owner, name);
  }

  #enter({ owner, body: { name, address, since } }: VipFact): void {
    const ip = parseIp(address);
    this.#books.get(ip.family)?.claim({ owner, name, address: ip, since, reachable: !this.#unreachable.has(owner) });
  }

  /** A node of which nothing is known any more is judged as one that was never heard of. */
  #judge(node: string, liveness: NodeView["liveness"]): void {
    const isUnreachable = liveness === "unreachable";
    if (isUnreachable === this.#unreachable.has(node)) return;
    if (isUnreachable) this.#unreachable.add(node);
    else this.#unreachable.delete(node);
    for (const fact of this.#claims.get(node)?.values() ?? []) this.#enter(fact);
  }
}
