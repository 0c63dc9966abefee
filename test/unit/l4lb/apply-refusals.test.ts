import { expect } from "chai";
import { openFake } from "../../../kernel/fake.ts";
import { openIpvsDataplane } from "../../../l4lb/dataplanes/ipvs.ts";
import { keepsThrough } from "../../support/vip-refusals.ts";

describe("the keeper of virtual IPs, when calls to the kernel fail", () => {
  it("ends with what is wanted, on IPVS in memory, and counts every refusal and failed pass", function () {
    this.timeout(60_000);
    const open = () => {
      const kernel = openFake();
      kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
      return { kernel, close: () => kernel.close() };
    };
    const went = keepsThrough(
      open,
      (kernel) => openIpvsDataplane(kernel, { release: "6.1.0-30-amd64", random: () => 0 }),
      200,
    );
    expect(went.failures).to.be.greaterThan(200);
    expect(went.refusals).to.be.greaterThan(20);
    expect(went.failedPasses).to.be.greaterThan(20);
  });
});
