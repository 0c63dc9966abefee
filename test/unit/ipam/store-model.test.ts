import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { allocate, held, release } from "../../../ipam/allocate.ts";
import { collectGarbage } from "../../../ipam/gc.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { formatIp, type Ip, parseIp } from "../../../lib/address.ts";
import { NetError } from "../../../lib/error.ts";
import { makeScratch, rangeSets, type Scratch } from "../../support/ipam-scratch.ts";

/** 10.0.0.1 is the gateway; ten addresses remain, in two ranges. */
const sets = rangeSets(["10.0.0.0/24 10.0.0.1-10.0.0.6", "10.0.0.0/24 10.0.0.20-10.0.0.24"]);
const POOL = [2, 3, 4, 5, 6, 20, 21, 22, 23, 24].map((last) => `10.0.0.${last}`);
const OWNERS = ["a", "b", "c", "10.0.0.3", "e", "f", "g", "h", "i", "j", "k", "l"];

type Operation =
  | { readonly do: "allocate" | "release" | "check"; readonly owner: string }
  | { readonly do: "request" | "foreign create"; readonly owner: string; readonly ip: string }
  | { readonly do: "foreign delete" | "foreign empty" | "hidden delete"; readonly ip: string }
  | { readonly do: "collect"; readonly owners: readonly string[] }
  | { readonly do: "reboot" | "lose index" | "damage index" };

const owner = fc.constantFrom(...OWNERS);
const ip = fc.constantFrom(...POOL);
const request = fc.record({ do: fc.constant("request" as const), owner, ip });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("allocate" as const), owner }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("release" as const), owner }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("check" as const), owner }) },
  { weight: 2, arbitrary: request },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("foreign create" as const), owner, ip }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("foreign delete" as const, "foreign empty" as const), ip }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("collect" as const), owners: fc.subarray(OWNERS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("reboot" as const, "lose index" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("damage index" as const) }) },
);
const hiddenDelete = fc.record({ do: fc.constant("hidden delete" as const), ip });

/** The slow, obviously right allocator: addresses in a map, a cursor, and a walk. */
class Model {
  readonly holders = new Map<string, string>();
  /** Leases that the store has seen in this boot. */
  seen = new Set<string>();
  last: string | undefined;

  ofOwner(id: string): string[] {
    return POOL.filter((address) => this.holders.get(address) === id);
  }

  next(): string | undefined {
    const after = this.last === undefined ? 0 : POOL.indexOf(this.last) + 1;
    return [...POOL.slice(after), ...POOL.slice(0, after)].find((address) => !this.holders.has(address));
  }

  take(address: string, id: string): void {
    this.holders.set(address, id);
    this.last = address;
  }
}

/** One store and one model side by side. */
class Twins {
  readonly scratch: Scratch;
  readonly model = new Model();
  #boot = 1;

  constructor(scratch: Scratch) {
    this.scratch = scratch;
    mkdirSync(scratch.path);
  }

  run(step: Operation): void {
    switch (step.do) {
      case "allocate":
        this.#compareAllocation(step.owner, undefined);
        break;
      case "request":
        this.#compareAllocation(step.owner, step.ip);
        break;
      case "release":
        this.#compareList(step.owner, release(this.#store(), this.#eth0(step.owner)));
        this.#forget((id) => id === step.owner);
        break;
      case "check":
        this.#compareList(step.owner, held(this.#store(), this.#eth0(step.owner)));
        break;
      case "collect":
        collectGarbage(this.#store(), step.owners.map(this.#eth0));
        this.#forget((id) => !step.owners.includes(id));
        break;
      case "reboot":
        this.#reboot();
        break;
      case "lose index":
      case "damage index":
        this.#harmIndex(step.do);
        return;
      default:
        this.#foreign(step);
        return;
    }
    this.#seeAll();
  }

  #compareList(id: string, ips: readonly Ip[]): void {
    expect(ips.map(formatIp).sort()).to.deep.equal(this.model.ofOwner(id).sort());
  }

  #forget(matches: (id: string) => boolean): void {
    for (const [address, id] of this.model.holders) if (matches(id)) this.model.holders.delete(address);
  }

  #harmIndex(how: "lose index" | "damage index"): void {
    if (how === "lose index") rmSync(this.scratch.indexPath, { recursive: true, force: true });
    else if (existsSync(this.scratch.indexPath)) writeFileSync(join(this.scratch.indexPath, "header"), "nonsense");
    this.model.seen.clear();
  }

  #foreign(step: Extract<Operation, { ip: string }>): void {
    const path = join(this.scratch.path, step.ip);
    const { mtimeNs } = statSync(this.scratch.path, { bigint: true });
    if (step.do === "foreign create") {
      if (this.model.holders.has(step.ip)) return;
      writeFileSync(path, `${step.owner}\r\neth0`);
      this.model.holders.set(step.ip, step.owner);
      return;
    }
    rmSync(path, { force: true });
    this.model.holders.delete(step.ip);
    if (step.do === "foreign empty") writeFileSync(path, "");
    if (step.do === "hidden delete") linuxFiles.touch(this.scratch.path, mtimeNs);
  }

  #compareAllocation(id: string, requested: string | undefined): void {
    const present = this.model.ofOwner(id).length > 0;
    const free =
      requested === undefined ? this.model.next() : this.model.holders.has(requested) ? undefined : requested;
    const expected = present ? "conflict" : (free ?? (requested === undefined ? "exhausted" : "conflict"));
    expect(this.#allocate(id, requested), `${id} asks for ${requested ?? "any"}`).to.equal(expected);
    if (expected === free) this.model.take(free, id);
  }

  /** The address, or the code of the error. */
  #allocate(id: string, requested: string | undefined): string {
    try {
      const wishes = requested === undefined ? [] : [parseIp(requested)];
      const [lease] = allocate(this.#store(), sets, this.#eth0(id), wishes);
      return lease === undefined ? "nothing" : formatIp(lease.address.ip);
    } catch (error) {
      if (error instanceof NetError) return error.code;
      throw error;
    }
  }

  /** The first operation of the new boot gives back what the store had seen in the old one. */
  #reboot(): void {
    this.#boot++;
    for (const key of this.model.seen) {
      const [address = "", id] = key.split(" ");
      if (this.model.holders.get(address) === id) this.model.holders.delete(address);
    }
    release(this.#store(), this.#eth0("nobody"));
  }

  #seeAll(): void {
    this.model.seen = new Set([...this.model.holders].map(([address, id]) => `${address} ${id}`));
  }

  #store() {
    return this.scratch.store({ bootId: `boot-${this.#boot}` });
  }

  #eth0(id: string) {
    return { id, ifname: "eth0" };
  }

  expectSameFiles(): void {
    const full = Object.entries(this.scratch.leases()).filter(([, content]) => content !== "");
    const expected = [...this.model.holders].map(([address, id]) => [address, `${id}\r\neth0`] as const);
    expect(Object.fromEntries(full)).to.deep.equal(Object.fromEntries(expected));
  }
}

describe("ipam against a model", () => {
  it("gives, refuses and releases the same addresses, whatever befalls the directory and the index in between", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const scratch = makeScratch();
        try {
          const twins = new Twins(scratch);
          for (const step of operations) {
            twins.run(step);
            twins.expectSameFiles();
          }
        } finally {
          scratch.remove();
        }
      }),
      { numRuns: 150 },
    );
  }).timeout(60_000);

  it("never gives an address twice nor loses one when files vanish without a change of the directory's time", () => {
    const requestsAndLosses = fc.array(fc.oneof(request, hiddenDelete), { maxLength: 40 });
    fc.assert(
      fc.property(requestsAndLosses, (operations) => {
        const scratch = makeScratch();
        try {
          const twins = new Twins(scratch);
          for (const step of operations) {
            twins.run(step);
            twins.expectSameFiles();
          }
          const given = new Set<string>();
          for (let index = twins.model.holders.size; index < POOL.length; index++) {
            const [lease] = allocate(scratch.store(), sets, { id: `new-${index}`, ifname: "eth0" });
            if (lease !== undefined) given.add(formatIp(lease.address.ip));
          }
          expect(given.size + twins.model.holders.size).to.equal(POOL.length);
        } finally {
          scratch.remove();
        }
      }),
      { numRuns: 100 },
    );
  }).timeout(60_000);
});
