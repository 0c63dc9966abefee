import { expect } from "chai";
import { systemClock } from "../../../lib/clock.ts";

describe("the system clock", () => {
  it("never goes back and tells the same time as the machine", () => {
    const before = systemClock.monotonic();
    expect(systemClock.monotonic()).to.be.at.least(before);
    expect(Math.abs(systemClock.now() - Date.now())).to.be.below(60_000);
  });

  it("runs a scheduled action once", async () => {
    let runs = 0;
    await new Promise<void>((resolve) => {
      systemClock.schedule(1, () => {
        runs += 1;
        resolve();
      });
    });
    expect(runs).to.equal(1);
  });

  it("doesn't run an action that was called off, also when called off twice", async () => {
    let ran = false;
    const cancel = systemClock.schedule(1, () => {
      ran = true;
    });
    cancel();
    cancel();
    await new Promise<void>((resolve) => systemClock.schedule(20, resolve));
    expect(ran).to.equal(false);
  });
});
