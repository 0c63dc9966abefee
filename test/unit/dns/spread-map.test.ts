import { expect } from "chai";
import fc from "fast-check";
import { SpreadMap } from "../../../dns/spread-map.ts";

describe("a spread map", () => {
  it("is a map", () => {
    const key = fc.oneof(
      fc.string({ maxLength: 3 }),
      fc.nat(500).map((number) => `app-${number}.marathon`),
    );
    const step = fc.tuple(fc.constantFrom("set", "delete"), key, fc.nat());
    const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const spread = new SpreadMap<number>();
      const map = new Map<string, number>();
      for (const [what, name, value] of steps) {
        if (what === "set") {
          spread.set(name, value);
          map.set(name, value);
        } else expect(spread.delete(name)).to.equal(map.delete(name));
        expect(spread.get(name)).to.equal(map.get(name));
        expect(spread.has(name)).to.equal(map.has(name));
      }
      expect(spread.size).to.equal(map.size);
      expect([...spread.keys()].sort()).to.deep.equal([...map.keys()].sort());
    });
    fc.assert(property);
  });
});
