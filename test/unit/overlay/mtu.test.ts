import { expect } from "chai";
import { overlayMtu } from "../../../overlay/mtu.ts";

const NOTHING = { override: undefined, link: undefined, path: undefined, underlay: 4 } as const;

describe("the overlay's MTU", () => {
  it("leaves room for the tunnel's headers on the link", () => {
    expect(overlayMtu({ ...NOTHING, link: 1500 })).to.deep.equal({
      mtu: 1450,
      reason: "1450 = link MTU 1500 - 50 for VXLAN over IPv4",
    });
    expect(overlayMtu({ ...NOTHING, link: 9001 }).mtu).to.equal(8951);
    expect(overlayMtu({ ...NOTHING, link: 1500, underlay: 6 }).mtu).to.equal(1430);
  });

  it("follows the path where that takes less than the link", () => {
    expect(overlayMtu({ ...NOTHING, link: 9001, path: 1400 })).to.deep.equal({
      mtu: 1350,
      reason: "1350 = path MTU 1400 - 50 for VXLAN over IPv4",
    });
    expect(overlayMtu({ ...NOTHING, link: 1400, path: 9001 }).mtu).to.equal(1350);
  });

  it("is what the operator says, whatever the link", () => {
    expect(overlayMtu({ ...NOTHING, link: 1500, override: 1420 })).to.deep.equal({
      mtu: 1420,
      reason: "1420 as configured",
    });
  });

  it("is that of DC/OS when the link isn't known", () => {
    expect(overlayMtu(NOTHING)).to.include({ mtu: 1420 });
  });

  it("never goes below the least allowed", () => {
    const { mtu, reason } = overlayMtu({ ...NOTHING, link: 576 });
    expect(mtu).to.equal(552);
    expect(reason).to.include("leaves only 526");
  });
});
