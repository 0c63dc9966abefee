import type { Nftables, NftWatch } from "../../kernel/nftables.ts";
import { L4LB_TABLE } from "./nftables-table.ts";

/** Elements from which on a change isn't watched: the kernel tells of each. */
const UNWATCHED_FROM = 1000;

/** Tells whether somebody else has changed our table. Other tables may change as they like. */
export class Others {
  #epoch = 0;
  #watch: NftWatch | undefined;
  /** The generation of the rule set up to which all changes are known. */
  #knownTo: number | undefined;

  constructor(private readonly nftables: Nftables) {}

  /** A number that stays the same as long as nobody but us changes the table. It may also be another one without
   *  that. */
  epoch(): number {
    const isNew = this.#watch === undefined;
    this.#watch ??= this.nftables.watch("inet", L4LB_TABLE);
    const generation = this.nftables.generation();
    const isTouched = isNew ? generation !== this.#knownTo : this.#watch.changed()?.length !== 0;
    if (isTouched) this.#epoch++;
    this.#knownTo = generation;
    return this.#epoch;
  }

  /** Makes a transaction of ours, with so many elements. One that fails may have been made all the same, and only its
   *  answer be lost: then the next epoch is another. */
  change(elements: number, action: () => void): void {
    this.epoch();
    const before = this.#knownTo ?? 0;
    if (elements >= UNWATCHED_FROM) this.close();
    action();
    const after = this.nftables.generation();
    const foreign = this.#watch?.changed()?.filter((generation) => generation !== after) ?? [];
    if (after - before > 1 || foreign.length > 0) this.#epoch++;
    this.#knownTo = after;
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }
}
