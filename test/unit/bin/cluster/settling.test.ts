import { expect } from "chai";
import { Settling } from "../../../../bin/cluster/settling.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

const ALONE = { hasCaughtUp: false, hasHeard: false, expectsOthers: false };

describe("settling", () => {
  const settledIn = async (seconds: number, signs: typeof ALONE) => {
    const clock = fakeClock();
    const settling = new Settling(clock);
    await clock.advance(seconds * 1000);
    return settling.look(signs);
  };

  it("takes no time once another node holds the same", async () => {
    expect(await settledIn(0, { ...ALONE, hasCaughtUp: true })).to.equal(true);
  });

  it("takes a little for a node that is the first of its cluster", async () => {
    expect(await settledIn(2.9, ALONE)).to.equal(false);
    expect(await settledIn(3, ALONE)).to.equal(true);
  });

  it("takes longer when others should be there", async () => {
    expect(await settledIn(14.9, { ...ALONE, expectsOthers: true })).to.equal(false);
    expect(await settledIn(15, { ...ALONE, expectsOthers: true })).to.equal(true);
  });

  it("takes longest when others are there and contents never are equal", async () => {
    const heard = { ...ALONE, hasHeard: true, expectsOthers: true };
    expect(await settledIn(29.9, heard)).to.equal(false);
    expect(await settledIn(30, heard)).to.equal(true);
  });

  it("is not taken back", () => {
    const settling = new Settling(fakeClock());
    settling.look({ ...ALONE, hasCaughtUp: true });
    expect(settling.look(ALONE)).to.equal(true);
    expect(settling.isSettled).to.equal(true);
  });
});
