import { expect } from "chai";
import { chooseDataplane, type Openers } from "../../../../bin/l4lb/choose-dataplane.ts";
import { openFake } from "../../../../kernel/fake.ts";
import type { Dataplane, DataplaneKind } from "../../../../l4lb/dataplane.ts";
import { NetError } from "../../../../lib/error.ts";
import { MemoryDataplane } from "../../../support/vip-dataplane.ts";

const kernel = openFake();
const plane = new MemoryDataplane();
const missing = (kind: DataplaneKind) => (): Dataplane => {
  throw new NetError("unsupported", { tried: `open ${kind}`, said: "not in this kernel" });
};

describe("the choice of a data plane", () => {
  it("is the first that the kernel has, and says why the ones before it are not", () => {
    const openers: Openers = new Map([
      ["socket", missing("socket")],
      ["nftables", () => plane],
    ] as const);
    const { dataplane, reason } = chooseDataplane(openers, kernel, "auto");
    expect(dataplane).to.equal(plane);
    expect(reason).to.equal(
      "the best that this kernel has; socket can't be had: cannot open socket: not in this kernel",
    );
  });

  it("says what the chosen one lacks here", () => {
    const lame = new MemoryDataplane();
    const prepare = () => ({ made: [], lacking: ["masquerading: no tables"] });
    const openers: Openers = new Map([["ipvs", () => Object.assign(lame, { prepare })]] as const);
    expect(chooseDataplane(openers, kernel, "ipvs").reason).to.equal(
      "the setting l4lb says so; it does without masquerading: no tables",
    );
  });

  it("is what the setting says, or nothing", () => {
    const openers: Openers = new Map([
      ["socket", missing("socket")],
      ["nftables", () => plane],
    ] as const);
    expect(chooseDataplane(openers, kernel, "nftables").reason).to.equal("the setting l4lb says so");
    expect(() => chooseDataplane(openers, kernel, "socket")).to.throw("not in this kernel");
  });

  it("fails with what each of them said", () => {
    const openers: Openers = new Map([
      ["socket", missing("socket")],
      ["ipvs", missing("ipvs")],
    ] as const);
    expect(() => chooseDataplane(openers, kernel, "auto")).to.throw(
      /open socket: not in this kernel.*open ipvs: not in/,
    );
  });
});
