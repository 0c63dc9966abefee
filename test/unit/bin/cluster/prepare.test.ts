import { expect } from "chai";
import { wishOf } from "../../../../bin/cluster/prepare.ts";
import { defaultWish } from "../../../../overlay/leader/types.ts";

describe("what a node wants of the overlays", () => {
  for (const [role, subnets, as] of [
    ["agent", "by-role", "agent"],
    ["master", "by-role", "master"],
    ["agent", "no", "master"],
    ["master", "yes", "agent"],
  ] as const) {
    it(`is that of a ${as}, for role ${role} and overlay_subnets ${subnets}`, () => {
      expect(defaultWish("agent")).to.not.deep.equal(defaultWish("master"));
      expect(wishOf({ role, overlay_subnets: subnets })).to.deep.equal(defaultWish(as));
    });
  }
});
