import { expect } from "chai";
import { Drains } from "../../../l4lb/drain.ts";

describe("a drain", () => {
  it("is over when its time is, once", () => {
    const drains = new Drains(1000);
    drains.note("a", "killing", 500, 500);
    expect(drains.expire(1499)).to.deep.equal([]);
    expect(drains.of("a")?.isOver).to.equal(false);
    expect(drains.expire(1500)).to.deep.equal(["a"]);
    expect(drains.of("a")).to.deep.equal({ cause: "killing", since: 500, isOver: true });
    expect(drains.expire(1501)).to.deep.equal([]);
  });

  it("goes on from its beginning when another reason comes", () => {
    const drains = new Drains(1000);
    drains.note("a", "unhealthy", 500, 500);
    drains.note("a", "killing", 1400, 1400);
    expect(drains.of("a")).to.deep.equal({ cause: "killing", since: 500, isOver: false });
  });

  it("begins anew after it was called off", () => {
    const drains = new Drains(1000);
    drains.note("a", "unhealthy", 500, 500);
    drains.note("a", undefined, 600, 600);
    expect([drains.of("a"), drains.size]).to.deep.equal([undefined, 0]);
    drains.note("a", "unhealthy", 700, 700);
    expect(drains.of("a")?.since).to.equal(700);
  });

  it("doesn't last longer for a clock that is ahead elsewhere, and is over at once if it began long ago", () => {
    const drains = new Drains(1000);
    drains.note("ahead", "drained", 9000, 500);
    drains.note("old", "drained", 10, 5000);
    expect([drains.of("ahead")?.since, drains.of("old")?.isOver]).to.deep.equal([500, true]);
  });
});
