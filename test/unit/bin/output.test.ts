import { expect } from "chai";
import { age, count, table } from "../../../bin/output.ts";

describe("output", () => {
  it("aligns columns to their longest cell, numbers to the right, without trailing blanks", () => {
    expect(
      table(
        ["NAME", "SIZE", "NOTE"],
        [
          ["a", "10", ""],
          ["longer", "5", "x"],
        ],
        [1],
      ),
    ).to.deep.equal(["NAME    SIZE  NOTE", "a         10", "longer     5  x"]);
  });

  it("counts in singular and plural", () => {
    expect([count(1, "peer"), count(0, "peer"), count(2, "process")]).to.deep.equal([
      "1 peer",
      "0 peers",
      "2 processes",
    ]);
  });

  it("tells ages in the unit that fits", () => {
    expect([0, 119_000, 120_000, 7_199_000, 7_200_000, 172_800_000].map(age)).to.deep.equal([
      "0 s",
      "119 s",
      "2 min",
      "120 min",
      "2 h",
      "2 d",
    ]);
  });
});
