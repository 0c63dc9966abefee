import { firstAddress, nextAddress, poolHas, poolSize, type VipPool } from "./address.ts";

/**
 * Addresses for names that nobody has claimed one for: each gets the first that is free from where its hash points, in
 * the order of the names. Depends only on which names there are and which addresses are taken, not on their history
 * (ordered linear probing: a name gives way to one that sorts before it). One change costs as much as the addresses in
 * use next to it.
 */
export class Probing {
  readonly #pool: VipPool;
  /** How often each address of the pool is taken by something else. */
  readonly #taken = new Map<bigint, number>();
  readonly #names = new Map<bigint, string>();
  readonly #addresses = new Map<string, bigint>();
  /** Names for which the pool has no room, because it is full. */
  readonly #waiting = new Set<string>();
  #changed = new Set<string>();

  constructor(pool: VipPool) {
    this.#pool = pool;
  }

  addressOf(name: string): bigint | undefined {
    return this.#addresses.get(name);
  }

  /** Names that have another address than at the last call, or none any more. */
  settle(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  add(name: string): void {
    if (!this.#addresses.has(name) && !this.#waiting.has(name)) this.#insert(name);
  }

  remove(name: string): void {
    this.#waiting.delete(name);
    const address = this.#addresses.get(name);
    if (address === undefined) return;
    this.#unplace(name, address);
    this.#close(address);
  }

  take(address: bigint): void {
    if (!this.#isInPool(address)) return;
    const times = this.#taken.get(address) ?? 0;
    this.#taken.set(address, times + 1);
    const name = this.#names.get(address);
    if (times > 0 || name === undefined) return;
    this.#unplace(name, address);
    this.#insert(name);
  }

  free(address: bigint): void {
    const times = this.#taken.get(address) ?? 0;
    if (times > 1) this.#taken.set(address, times - 1);
    else if (this.#taken.delete(address)) this.#close(address);
  }

  #insert(name: string): void {
    if (!this.#makeRoom(name)) {
      this.#waiting.add(name);
      return;
    }
    let carried = name;
    for (let address = this.#start(carried); ; address = this.#next(address)) {
      if (this.#taken.has(address)) continue;
      const there = this.#names.get(address);
      if (there !== undefined && there < carried) continue;
      if (there !== undefined) this.#unplace(there, address);
      this.#place(carried, address);
      if (there === undefined) return;
      carried = there;
    }
  }

  /** Where the pool is full, the last of the names gives way to one that sorts before it; false for one that
   *  doesn't. */
  #makeRoom(name: string): boolean {
    if (this.#taken.size + this.#names.size < Number(poolSize(this.#pool))) return true;
    const last = [...this.#addresses].reduce((a, b) => (b[0] > a[0] ? b : a), ["", 0n]);
    if (name > last[0]) return false;
    this.#unplace(...last);
    this.#waiting.add(last[0]);
    this.#repack(last[1]);
    return true;
  }

  /** An address became free: names that had to go past it are looked at again, and one that waits gets a place. */
  #close(gap: bigint): void {
    this.#repack(gap);
    const [first] = [...this.#waiting].sort();
    if (first === undefined) return;
    this.#waiting.delete(first);
    this.#insert(first);
  }

  /** Places the names behind a gap anew, up to the next address that is free. */
  #repack(gap: bigint): void {
    const behind: string[] = [];
    for (let address = this.#next(gap); address !== gap; address = this.#next(address)) {
      const name = this.#names.get(address);
      if (name === undefined && !this.#taken.has(address)) break;
      if (name === undefined) continue;
      this.#unplace(name, address);
      behind.push(name);
    }
    for (const name of behind) this.#insert(name);
  }

  #place(name: string, address: bigint): void {
    this.#names.set(address, name);
    this.#addresses.set(name, address);
    this.#changed.add(name);
  }

  #unplace(name: string, address: bigint): void {
    this.#names.delete(address);
    this.#addresses.delete(name);
    this.#changed.add(name);
  }

  #start(name: string): bigint {
    return firstAddress(name, this.#pool).value;
  }

  #next(address: bigint): bigint {
    return nextAddress({ family: this.#pool.min.family, value: address }, this.#pool).value;
  }

  #isInPool(value: bigint): boolean {
    return poolHas(this.#pool, { family: this.#pool.min.family, value });
  }
}
