import { expect } from "chai";
import fc from "fast-check";
import { slotCounts, slotsOf } from "../../../../l4lb/dataplanes/nftables-slots.ts";
import { compareBackends, type Service, WEIGHT_MAX } from "../../../../l4lb/service.ts";
import { parseIp } from "../../../../lib/address.ts";

const weight = fc.oneof(fc.constantFrom(0, 1, 1, 2, 3, WEIGHT_MAX), fc.integer({ min: 0, max: WEIGHT_MAX }));
const weights = fc.array(weight, { minLength: 1, maxLength: 40 }).filter((list) => list.some((each) => each > 0));

function hashed(list: readonly number[]): Service {
  const backends = list.map((each, index) => ({ ip: parseIp(`10.0.0.${index}`), port: 80, weight: each }));
  const key = { protocol: "tcp", ip: parseIp("11.0.0.1"), port: 80 } as const;
  return { ...key, scheduler: "mh", affinity: 0, backends: backends.sort(compareBackends) };
}

describe("slots of a service", () => {
  it("are as many as the weights say, without their common divisor, when these are small", () => {
    expect(slotCounts([1, 2, 3])).to.deep.equal([1, 2, 3]);
    expect(slotCounts([100, 200, 0])).to.deep.equal([1, 2, 0]);
    expect(slotCounts([WEIGHT_MAX])).to.deep.equal([1]);
    expect(slotCounts(new Array<number>(1000).fill(7)), "a thousand equal ones").to.deep.equal(
      new Array<number>(1000).fill(1),
    );
  });

  it("keep every share within a fortieth, but for those that get the one slot that each gets at least", () => {
    fc.assert(
      fc.property(weights, (list) => {
        const counts = slotCounts(list);
        const size = counts.reduce((sum, count) => sum + count, 0);
        const total = list.reduce((sum, each) => sum + each, 0);
        const ones = counts.filter((count) => count === 1).length;
        for (const [index, each] of list.entries()) {
          const count = counts[index] ?? 0;
          expect(count === 0).to.equal(each === 0);
          if (count > 1) expect(count / size).to.be.closeTo(each / total, 0.025 + (2 * ones) / size);
        }
      }),
    );
  });

  it("of clients all lead to backends that take connections, in shares of their weights", () => {
    fc.assert(
      fc.property(weights, (list) => {
        const slots = slotsOf(hashed(list));
        const counts = list.map((_, index) => slots?.backends.filter((each) => each === index).length ?? 0);
        const size = slots?.backends.length ?? 0;
        const total = list.reduce((sum, each) => sum + each, 0);
        expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(size);
        for (const [index, each] of list.entries()) {
          expect(Math.abs((counts[index] ?? 0) - (size * each) / total)).to.be.at.most(list.length);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("of clients mostly stay where they are when a backend goes", () => {
    const ten = new Array<number>(10).fill(1);
    const before = slotsOf(hashed(ten))?.backends ?? [];
    const after = slotsOf(hashed(ten.with(4, 0)))?.backends ?? [];
    const moved = before.filter((backend, index) => backend !== 4 && backend !== after[index]).length;
    expect(after).to.have.length(before.length).and.not.include(4);
    expect(moved / before.length, "share of clients that lose a backend which stays").to.be.lessThan(0.2);
  });

  it("are none when no backend takes connections", () => {
    expect(slotsOf(hashed([0, 0]))).to.equal(undefined);
    expect(slotsOf(hashed([]))).to.equal(undefined);
  });
});
