import { expect } from "chai";
import fc from "fast-check";
import { Bucket } from "../../../../bin/api/bucket.ts";

describe("the bound on requests", () => {
  it("lets a burst through, then says how long to wait, and lets one through after that", () => {
    const bucket = new Bucket(3, 10, 0);
    expect([0, 0, 0, 0].map(() => bucket.take(0))).to.deep.equal([0, 0, 0, 100]);
    expect(bucket.take(50)).to.equal(50);
    expect(bucket.take(100)).to.equal(0);
    expect(bucket.take(100)).to.equal(100);
  });

  it("never lets through more than the burst and the steady number, whenever they come", () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 50 }), gaps, (burst, perSecond, times) => {
        const bucket = new Bucket(burst, perSecond, 0);
        let now = 0;
        let passed = 0;
        for (const gap of times) {
          now += gap;
          if (bucket.take(now) === 0) passed += 1;
          expect(passed).to.be.at.most(burst + (now * perSecond) / 1000 + 1e-6);
        }
      }),
    );
  });
});
