import { expect } from "chai";
import { parseSeeds } from "../../../../bin/cluster/seeds.ts";

describe("the nodes to join through", () => {
  it("are addresses of both families, with the cluster's port or their own", () => {
    expect(parseSeeds("10.0.0.1, 10.0.0.2:7000 fd00::3,[fd00::4]:8000", 62_501)).to.deep.equal([
      "10.0.0.1:62501",
      "10.0.0.2:7000",
      "[fd00::3]:62501",
      "[fd00::4]:8000",
    ]);
    expect(parseSeeds("", 1)).to.deep.equal([]);
  });

  for (const text of ["master1", "10.0.0.1:0", "10.0.0.1:70000", "10.0.0", "[fd00::1]", ":62501", "10.0.0.1:"]) {
    it(`refuses ${JSON.stringify(text)}, naming it`, () => {
      expect(() => parseSeeds(text, 62_501)).to.throw(JSON.stringify(text));
    });
  }

  it("refuses more than anybody needs", () => {
    expect(() => parseSeeds(Array.from({ length: 65 }, () => "10.0.0.1").join(), 1)).to.throw("64 are enough");
  });
});
