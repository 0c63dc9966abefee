import { expect } from "chai";
import fc from "fast-check";
import { countTaken, isTaken, lowestFree, release, type Taken, take } from "../../../../overlay/leader/interval.ts";

const LEAST = 1n;
const MOST = 24n;
const NUMBERS = Array.from({ length: 24 }, (_, index) => BigInt(index + 1));

/** Takes `target`, or gives it back when it is taken, in both the ranges and the plain set. */
function toggle(taken: Taken, model: Set<bigint>, target: bigint): Taken {
  expect(isTaken(taken, target)).to.equal(model.has(target));
  const next = model.has(target) ? release(taken, target) : take(taken, target);
  if (!model.delete(target)) model.add(target);
  return next;
}

function expectApart(taken: Taken): void {
  for (const [index, { first, end }] of taken.entries()) {
    expect(first < end).to.equal(true);
    expect(end < (taken[index + 1]?.first ?? MOST + 10n)).to.equal(true);
  }
}

describe("the numbers that are taken", () => {
  it("behave as a plain set does, over any sequence of taking and giving back", () => {
    const step = fc.record({ lowest: fc.boolean(), number: fc.bigInt(LEAST, MOST) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        let taken: Taken = [];
        const model = new Set<bigint>();
        for (const { lowest, number } of steps) {
          const free = lowestFree(taken, LEAST, MOST);
          expect(free).to.equal(NUMBERS.find((each) => !model.has(each)));
          taken = toggle(taken, model, lowest ? (free ?? number) : number);
          expect(countTaken(taken)).to.equal(BigInt(model.size));
        }
        expectApart(taken);
      }),
    );
  });

  it("cost one range while the lowest is always taken, also past 2^64", () => {
    let taken: Taken = [];
    for (let count = 0; count < 1000; count++) taken = take(taken, lowestFree(taken, 1n, 1n << 70n) ?? 0n);
    expect(taken).to.deep.equal([{ first: 1n, end: 1001n }]);
    expect(isTaken(take(taken, 1n << 69n), 1n << 69n)).to.equal(true);
  });

  it("refuse to be taken or given back twice", () => {
    expect(() => take(take([], 5n), 5n)).to.throw("taken already");
    expect(() => release(take([], 5n), 6n)).to.throw("not taken");
    expect(() => release([], 1n)).to.throw("not taken");
  });

  it("have no free number when all are taken", () => {
    expect(lowestFree([{ first: 0n, end: 4n }], 0n, 3n)).to.equal(undefined);
    expect(lowestFree([{ first: 0n, end: 3n }], 0n, 3n)).to.equal(3n);
  });
});
