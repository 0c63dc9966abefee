import { expect } from "chai";
import fc from "fast-check";
import { orderOf, Upstream } from "../../../../dns/forward/upstream.ts";
import { endpoint } from "../../../support/dns-upstream.ts";

const fresh = (last = 1) => new Upstream(endpoint(`192.0.2.${last}`));
const half = () => 0.5;

describe("an upstream", () => {
  it("is down after three silences in a row, and whole after one answer", () => {
    const upstream = fresh();
    expect([1, 2, 3].map((now) => upstream.failed(now, "timeout", "nothing"))).to.deep.equal([false, false, true]);
    expect(upstream.status()).to.deep.include({ health: "down", failures: { timeout: 3 }, lastFailure: "nothing" });
    expect(upstream.answered(10)).to.equal(true);
    expect(upstream.status().health).to.equal("good");
    expect(upstream.costAt(4)).to.equal(10);
  });

  it("is not down because it can't resolve a name, but others are asked first", () => {
    const upstream = fresh();
    upstream.answered(1);
    for (let now = 0; now < 10; now++) upstream.failed(now, "servfail", "SERVFAIL");
    expect(upstream.isDown).to.equal(false);
    const other = fresh(2);
    other.answered(100);
    expect(orderOf([upstream, other], 10, half)[0]).to.equal(other);
  });

  it("is forgiven with time, down to its latency", () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 1000 }),
      (failures, latency) => {
        const upstream = fresh();
        upstream.answered(latency);
        for (let index = 0; index < failures; index++) upstream.failed(0, "servfail", "SERVFAIL");
        const costs = [0, 5000, 20_000, 60_000, 600_000].map((now) => upstream.costAt(now));
        expect([...costs].sort((x, y) => y - x)).to.deep.equal(costs);
        expect(costs.at(-1)).to.be.closeTo(latency, 0.01);
      },
    );
    fc.assert(property);
  });

  it("is waited for a little longer than it usually takes, within bounds", () => {
    const upstream = fresh();
    for (let index = 0; index < 50; index++) upstream.answered(100);
    expect(upstream.patienceMs()).to.be.within(100, 110);
    for (let index = 0; index < 50; index++) upstream.answered(5000);
    expect(upstream.patienceMs()).to.equal(400);
    for (let index = 0; index < 200; index++) upstream.answered(0.1);
    expect(upstream.patienceMs()).to.equal(15);
  });

  it("that asks us in turn is asked nothing, however many others are down", () => {
    const [looping, down] = [fresh(1), fresh(2)];
    looping.failed(0, "loop", "loops");
    for (let now = 0; now < 9; now++) down.failed(now, "timeout", "nothing");
    expect(orderOf([looping, down], 9, half)).to.deep.equal([down]);
    expect(looping.status().health).to.equal("loop");
  });

  it("is looked at twice as late each time that it stays down", () => {
    const upstream = fresh();
    expect(Array.from({ length: 7 }, () => upstream.nextProbeMs())).to.deep.equal(
      [1, 2, 4, 8, 16, 30, 30].map((s) => s * 1000),
    );
    upstream.answered(1);
    expect(upstream.nextProbeMs()).to.equal(1000);
  });
});
