import { expect } from "chai";
import fc from "fast-check";
import { firstAddress, nextAddress, poolSize, type VipPool } from "../../../l4lb/address.ts";
import { Probing } from "../../../l4lb/probing.ts";
import { parseIp } from "../../../lib/address.ts";

const POOL: VipPool = { min: parseIp("11.0.0.0"), max: parseIp("11.0.0.7") };
const FIRST = POOL.min.value;

type Step =
  | { readonly do: "add" | "remove"; readonly name: string }
  | { readonly do: "take" | "free"; readonly at: bigint };

const name = fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k");
const at = fc.bigInt({ min: FIRST - 1n, max: FIRST + 8n });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("add" as const), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("take" as const, "free" as const), at }) },
);

/** The definition: names in their order, each at the first address that is free. */
function expected(names: Iterable<string>, taken: ReadonlyMap<bigint, number>): Map<string, bigint> {
  const places = new Map<bigint, string>();
  for (const each of [...names].sort()) {
    let place = firstAddress(each, POOL);
    for (let looked = 0n; looked < poolSize(POOL); looked++) {
      if (!places.has(place.value) && !taken.has(place.value)) {
        places.set(place.value, each);
        break;
      }
      place = nextAddress(place, POOL);
    }
  }
  return new Map([...places].map(([value, each]) => [each, value]));
}

/** What was asked for, and carries it out. */
class Trial {
  readonly probing = new Probing(POOL);
  readonly names = new Set<string>();
  readonly taken = new Map<bigint, number>();
  /** Addresses as the changes told of them. */
  readonly told = new Map<string, bigint>();

  run(step: Step): void {
    if ("name" in step) {
      this.names[step.do === "add" ? "add" : "delete"](step.name);
      this.probing[step.do](step.name);
    } else {
      this.#count(step.at, step.do === "take" ? 1 : -1);
      this.probing[step.do](step.at);
    }
    for (const changed of this.probing.settle()) {
      const address = this.probing.addressOf(changed);
      if (address === undefined) this.told.delete(changed);
      else this.told.set(changed, address);
    }
  }

  #count(address: bigint, more: number): void {
    const times = Math.max(0, (this.taken.get(address) ?? 0) + more);
    if (times === 0 || address < FIRST || address > FIRST + 7n) this.taken.delete(address);
    else this.taken.set(address, times);
  }
}

describe("probing", function () {
  this.timeout(20_000);

  it("gives each name, in their order, the first free address from its hash on, whatever happened before", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const trial = new Trial();
        for (const each of steps) trial.run(each);
        const { probing, names, taken, told } = trial;
        const wanted = [...expected(names, taken)].sort();
        expect([...told].sort()).to.deep.equal(wanted);
        expect([...names].flatMap((each) => probing.addressOf(each) ?? [])).to.have.length(wanted.length);
      }),
      { numRuns: 2000 },
    );
  });
});
