import { expect } from "chai";
import fc from "fast-check";
import { Hedge } from "../../../../dns/forward/hedge.ts";

const DEADLINE = 1800;

/** Who is asked at which millisecond, when each fails after so long, or never does anything. */
function schedule(candidates: readonly { patienceMs: number; failsAfter?: number }[]): { at: number; who: number }[] {
  const hedge = new Hedge(
    candidates.map(({ patienceMs }, upstream) => ({ upstream, patienceMs })),
    0,
    DEADLINE,
  );
  const asked: { at: number; who: number }[] = [];
  for (let now = 0; !hedge.isOver(now); now++) {
    for (const [who, { failsAfter }] of candidates.entries()) {
      const first = asked.find((each) => each.who === who);
      if (first !== undefined && failsAfter !== undefined && first.at + failsAfter === now) hedge.lost(who, now);
    }
    for (let who = hedge.due(now); who !== undefined; who = hedge.due(now)) asked.push({ at: now, who });
    if (now > DEADLINE) throw new Error("it goes on beyond the deadline");
  }
  return asked;
}

describe("hedged questions", () => {
  it("go to the second and third when those before are later than usual, and then to all again", () => {
    const asked = schedule([{ patienceMs: 20 }, { patienceMs: 30 }, { patienceMs: 40 }]);
    expect(asked.slice(0, 3)).to.deep.equal([
      { at: 0, who: 0 },
      { at: 20, who: 1 },
      { at: 50, who: 2 },
    ]);
    expect(asked.length).to.equal(6);
    expect((asked[3]?.at ?? 0) - 50).to.be.at.least(200);
  });

  it("go on at once when somebody is of no use", () => {
    const asked = schedule([
      { patienceMs: 300, failsAfter: 3 },
      { patienceMs: 300, failsAfter: 2 },
      { patienceMs: 300 },
    ]);
    expect(asked.slice(0, 3).map(({ at }) => at)).to.deep.equal([0, 3, 5]);
  });

  it("end at once when nobody is left, and with nobody to begin with", () => {
    expect(schedule([{ patienceMs: 300, failsAfter: 3 }])).to.deep.equal([{ at: 0, who: 0 }]);
    expect(schedule([])).to.deep.equal([]);
  });

  it("are bounded, never sent to those who failed, and wake when something is due", () => {
    const candidate = fc.record({
      patienceMs: fc.integer({ min: 15, max: 400 }),
      failsAfter: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
    });
    const property = fc.property(fc.array(candidate, { maxLength: 8 }), (candidates) => {
      const asked = schedule(
        candidates.map(({ patienceMs, failsAfter }) =>
          failsAfter === undefined ? { patienceMs } : { patienceMs, failsAfter },
        ),
      );
      expect(asked.length).to.be.at.most(6);
      for (const [who, { failsAfter }] of candidates.entries()) {
        const times = asked.filter((each) => each.who === who).map(({ at }) => at);
        const first = times[0] ?? 0;
        if (failsAfter !== undefined) expect(times.every((at) => at < first + failsAfter)).to.equal(true);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });
});
