import { expect } from "chai";
import fc from "fast-check";
import { type LoopOptions, startLoop } from "../../../lib/loop.ts";
import { fakeClock } from "../../support/fake-clock.ts";

/** A loop on a fake clock that writes down when its passes start. */
function loopUnderTest(options: Partial<LoopOptions> = {}) {
  const clock = fakeClock();
  const starts: number[] = [];
  const waits: number[] = [];
  const loop = startLoop({
    clock,
    random: () => 0,
    leastGapMs: 100,
    longestGapMs: 30_000,
    firstRetryMs: 1_000,
    longestRetryMs: 5_000,
    ...options,
    onFailure: (_, retryMs) => waits.push(retryMs),
    run: () => {
      starts.push(clock.monotonic());
      return options.run?.();
    },
  });
  return { clock, loop, starts, waits };
}

function failing(): never {
  throw new Error("refused");
}

describe("the reconcile loop", () => {
  it("starts its first pass without being asked", async () => {
    const { clock, starts } = loopUnderTest();
    await clock.advance(0);
    expect(starts).to.deep.equal([0]);
  });

  it("makes one pass of many requests", async () => {
    const { clock, loop, starts } = loopUnderTest();
    await clock.advance(1_000);
    for (let count = 0; count < 50; count++) loop.request();
    await clock.advance(1_000);
    expect(starts).to.deep.equal([0, 1_000]);
  });

  it("keeps the least gap between starts however often it is asked", async () => {
    const { clock, loop, starts } = loopUnderTest();
    for (let step = 0; step < 100; step++) {
      loop.request();
      await clock.advance(10);
    }
    expect(starts).to.deep.equal([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000].slice(0, starts.length));
    expect(starts.length).to.be.within(10, 11);
  });

  it("makes a pass after the longest gap without a request", async () => {
    const { clock, starts } = loopUnderTest();
    await clock.advance(61_000);
    expect(starts).to.deep.equal([0, 30_000, 60_000]);
  });

  it("makes another pass for a request that came during one, and never two at once", async () => {
    let finish = () => {};
    let running = 0;
    const run = () => {
      running += 1;
      expect(running).to.equal(1);
      return new Promise<void>((resolve) => {
        finish = () => {
          running -= 1;
          resolve();
        };
      });
    };
    const { clock, loop, starts } = loopUnderTest({ run });
    await clock.advance(0);
    loop.request();
    await clock.advance(500);
    expect(starts).to.deep.equal([0]);
    finish();
    await clock.advance(0);
    expect(starts).to.deep.equal([0, 500]);
  });

  it("waits longer after each failure, up to the limit, and is prompt again after a success", async () => {
    let broken = true;
    const { clock, loop, starts, waits } = loopUnderTest({ run: () => (broken ? failing() : undefined) });
    await clock.advance(6_000);
    expect(waits).to.deep.equal([500, 1_000, 2_000, 2_500, 2_500]);
    expect(starts).to.deep.equal([0, 500, 1_500, 3_500, 6_000]);
    broken = false;
    await clock.advance(2_500);
    expect(loop.status().failuresInARow).to.equal(0);
    loop.request();
    await clock.advance(100);
    expect(starts.at(-1)).to.equal(8_600);
  });

  it("does not shorten the wait after a failure because of requests", async () => {
    const { clock, loop, starts } = loopUnderTest({ run: failing });
    await clock.advance(0);
    for (let step = 0; step < 4; step++) {
      loop.request();
      await clock.advance(100);
    }
    expect(starts).to.deep.equal([0]);
    await clock.advance(100);
    expect(starts).to.deep.equal([0, 500]);
  });

  it("treats a rejected promise as a failure", async () => {
    const { clock, loop, waits } = loopUnderTest({ run: () => Promise.reject(new Error("refused")) });
    await clock.advance(0);
    expect(waits).to.have.length(1);
    expect(loop.status()).to.include({
      runs: 1,
      failures: 1,
      failuresInARow: 1,
      lastSuccess: undefined,
      running: false,
    });
  });

  it("starts no pass after stop, whatever was asked", async () => {
    const { clock, loop, starts } = loopUnderTest();
    await clock.advance(0);
    loop.request();
    await loop.stop();
    loop.request();
    await clock.advance(100_000);
    expect(starts).to.deep.equal([0]);
    expect(clock.pending()).to.equal(0);
  });

  it("lets stop wait for the pass under way", async () => {
    let finish = () => {};
    const { clock, loop } = loopUnderTest({ run: () => new Promise<void>((resolve) => (finish = resolve)) });
    await clock.advance(0);
    let stopped = false;
    const stopping = loop.stop().then(() => {
      stopped = true;
    });
    await clock.advance(1_000);
    expect(stopped).to.equal(false);
    finish();
    await stopping;
    expect(loop.status().running).to.equal(false);
  });

  it("tells the wall clock of the last success and the length of the last pass", async () => {
    let finish = () => {};
    const { clock, loop } = loopUnderTest({ run: () => new Promise<void>((resolve) => (finish = resolve)) });
    await clock.advance(0);
    await clock.advance(40);
    clock.setWallClock(5_000);
    finish();
    await clock.advance(0);
    expect(loop.status()).to.include({ lastSuccess: 5_000, lastDurationMs: 40, runs: 1 });
  });

  it("keeps its promises for any pattern of requests, failures and durations", async () => {
    const event = fc.record({
      wait: fc.integer({ min: 0, max: 400 }),
      request: fc.boolean(),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 40 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        async (events, seed) => {
          let fails = false;
          const { clock, loop, starts, waits } = loopUnderTest({
            random: () => seed,
            longestGapMs: 2_000,
            run: () => (fails ? failing() : undefined),
          });
          for (const step of events) {
            fails = step.fails;
            if (step.request) loop.request();
            await clock.advance(step.wait);
          }
          for (const [index, start] of starts.entries()) {
            const gap = index === 0 ? 100 : start - (starts[index - 1] ?? 0);
            // Jitter makes fractions of milliseconds, whose sums are rounded.
            expect(gap).to.be.at.least(100 - 1e-6);
            expect(gap).to.be.at.most(5_000);
          }
          for (const wait of waits) expect(wait).to.be.within(100 - 1e-6, 5_000);
          fails = false;
          const asked = clock.monotonic();
          loop.request();
          await clock.advance(5_000);
          expect(starts.some((start) => start >= asked)).to.equal(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
