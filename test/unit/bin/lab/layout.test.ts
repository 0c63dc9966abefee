import { expect } from "chai";
import { containerLayout, labLayout, nodeLayout } from "../../../../bin/lab/layout.ts";

describe("where a lab keeps things", () => {
  it("is below the lab's own directory, hosts and containers below theirs", () => {
    const lab = labLayout("/labs", "one");
    const node = nodeLayout(lab, "n1");
    const container = containerLayout(node, "web");
    for (const path of Object.values(lab).slice(2)) expect(path).to.match(/^\/labs\/one\//);
    for (const path of Object.values(node).slice(2)) expect(path).to.match(/^\/labs\/one\/n1\//);
    for (const path of Object.values(container).slice(2)) expect(path).to.match(/^\/labs\/one\/n1\/containers\/web\//);
  });

  for (const name of ["", "..", "a/b", "Upper", "-x", "a".repeat(32), "a b", "ü"]) {
    it(`refuses the name ${JSON.stringify(name)}`, () => {
      expect(() => labLayout("/labs", name)).to.throw("a name is 1 to 31 small letters");
      expect(() => containerLayout(nodeLayout(labLayout("/labs", "one"), "n1"), name)).to.throw("a name is");
    });
  }
});
