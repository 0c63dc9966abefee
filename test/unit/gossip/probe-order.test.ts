import { expect } from "chai";
import fc from "fast-check";
import { ProbeOrder } from "../../../gossip/probe-order.ts";

describe("the order of probes", () => {
  it("visits every slot once in each round", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        (length, chance) => {
          const order = new ProbeOrder(() => chance.next().value ?? 0);
          for (let round = 0; round < 3; round++) {
            const visited = Array.from({ length }, () => order.next(length));
            expect(new Set(visited).size).to.equal(length);
            expect(visited.every((slot) => slot >= 0 && slot < length)).to.equal(true);
          }
        },
      ),
    );
    expect(new ProbeOrder(() => 0.5).next(0)).to.equal(-1);
  });

  it("draws a new order for each round, and a new round when slots come or go", () => {
    let draws = 0;
    const order = new ProbeOrder(() => {
      draws += 1;
      return 0.5;
    });
    const visit = (times: number, length: number) => Array.from({ length: times }, () => order.next(length));
    visit(5, 5);
    expect(draws).to.equal(2);
    visit(3, 5);
    expect(draws, "the second round").to.equal(4);
    expect(new Set(visit(7, 7)).size, "all of more slots").to.equal(7);
    visit(2, 7);
    expect(new Set(visit(4, 4)).size, "all of fewer slots").to.equal(4);
    expect(draws).to.equal(10);
  });
});
