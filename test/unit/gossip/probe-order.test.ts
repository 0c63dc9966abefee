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
});
