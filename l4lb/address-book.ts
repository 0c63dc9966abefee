import type { Ip } from "../lib/address.ts";
import { poolHas, type VipPool } from "./address.ts";
import { type Claim, Claims, type Held } from "./claims.ts";
import { Probing } from "./probing.ts";

/** What is said of the address of a name. */
export interface Standing {
  readonly address: Ip;
  /** When it was claimed first, milliseconds since 1970; undefined while nobody has claimed it. */
  readonly since: number | undefined;
}

/** A claim as a node says it. */
export type SaidClaim = Omit<Claim, "address"> & { readonly address: Ip };

/** The addresses of named virtual IPs of one family: by claims, and for names without one that counts, by their hash.
 *  Depends only on the claims, the names and the addresses that are taken, not on the order in which they came. Claims
 *  outside the pool don't count, so that another pool can be chosen. */
export class AddressBook {
  readonly #pool: VipPool;
  readonly #claims = new Claims();
  readonly #probing: Probing;
  readonly #wanted = new Set<string>();
  #changed = new Set<string>();

  constructor(pool: VipPool) {
    this.#pool = pool;
    this.#probing = new Probing(pool);
  }

  claim(claim: SaidClaim): void {
    if (poolHas(this.#pool, claim.address)) this.#claims.put({ ...claim, address: claim.address.value });
    else this.#claims.drop(claim.owner, claim.name);
  }

  withdraw(owner: string, name: string): void {
    this.#claims.drop(owner, name);
  }

  /** A name needs an address from now on. */
  want(name: string): void {
    if (this.#wanted.has(name)) return;
    this.#wanted.add(name);
    if (this.#claims.held(name) === undefined) this.#probing.add(name);
    this.#changed.add(name);
  }

  /** A name needs no address any more; claims still keep its address for it. */
  unwant(name: string): void {
    if (!this.#wanted.delete(name)) return;
    this.#probing.remove(name);
    this.#changed.add(name);
  }

  /** An address that nobody may get who hasn't got it: that of a virtual IP without name. */
  take(ip: Ip): void {
    this.#probing.take(ip.value);
  }

  free(ip: Ip): void {
    this.#probing.free(ip.value);
  }

  /** The address of a wanted name; undefined when the pool is full. */
  standing(name: string): Standing | undefined {
    if (!this.#wanted.has(name)) return undefined;
    const held = this.#claims.held(name);
    const value = held?.address ?? this.#probing.addressOf(name);
    if (value === undefined) return undefined;
    return { address: { family: this.#pool.min.family, value }, since: held?.since };
  }

  /** Takes account of all that was told; names whose standing may be another one since the last call. */
  settle(): ReadonlySet<string> {
    const changes = this.#claims.settle();
    // First all that is given up, so that a name can't be pushed from an address that becomes free.
    for (const [name, { before, after }] of changes) this.#release(name, before, after);
    for (const [, { before, after }] of changes) this.#occupy(before, after);
    for (const name of changes.keys()) {
      if (this.#wanted.has(name) && this.#claims.held(name) === undefined) this.#probing.add(name);
    }
    const changed = new Set([...this.#changed, ...changes.keys(), ...this.#probing.settle()]);
    this.#changed = new Set();
    return changed;
  }

  #release(name: string, before: Held | undefined, after: Held | undefined): void {
    if (after !== undefined) this.#probing.remove(name);
    if (before !== undefined && before.address !== after?.address) this.#probing.free(before.address);
  }

  #occupy(before: Held | undefined, after: Held | undefined): void {
    if (after !== undefined && before?.address !== after.address) this.#probing.take(after.address);
  }
}
