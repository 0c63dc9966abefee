import { expect } from "chai";
import { Histogram } from "../../../lib/histogram.ts";

describe("a histogram", () => {
  it("counts each duration in the buckets that it fits, bounds included, and all in the last", () => {
    const histogram = new Histogram([0.1, 1]);
    for (const seconds of [0.05, 0.1, 0.5, 3]) histogram.observe(seconds);
    expect(histogram.cumulative).to.deep.equal([2, 3, 4]);
    expect(histogram.sum).to.be.closeTo(3.65, 1e-9);
  });

  it("has every bucket from the start, empty", () => {
    expect(new Histogram([0.1, 1]).cumulative).to.deep.equal([0, 0, 0]);
  });
});
