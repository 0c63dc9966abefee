import { expect } from "chai";
import fc from "fast-check";
import { ReplayWindow } from "../../../gossip/replay.ts";

describe("the replay window", () => {
  it("accepts each counter once, in any order within 1024", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3000), { maxLength: 200 }), (counters) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let highest = -1;
        for (const counter of counters) {
          const isNew = !seen.has(counter) && counter > highest - 1024;
          expect(window.accept(counter), `${counter} after ${[...seen].join()}`).to.equal(isNew);
          if (isNew) seen.add(counter);
          highest = Math.max(highest, counter);
        }
      }),
    );
  });
});
