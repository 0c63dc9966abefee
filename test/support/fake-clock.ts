import type { Cancel, Clock } from "../../lib/clock.ts";

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/** Time that passes only when a test says so. */
export interface FakeClock extends Clock {
  /** Lets `ms` pass: runs every action that falls due, in order, and whatever promises they settle. */
  advance(ms: number): Promise<void>;
  /** Lets `ms` pass in the middle of an action, as work does. */
  spend(ms: number): void;
  /** Sets the wall clock without letting time pass, as an operator might. */
  setWallClock(ms: number): void;
  /** Actions not yet run. */
  pending(): number;
}

export function fakeClock(wallMs = 1_800_000_000_000): FakeClock {
  let monotonic = 0;
  let wallOffset = wallMs;
  const timers = new Set<Timer>();
  const nextDue = (until: number) => [...timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => wallOffset + monotonic,
    monotonic: () => monotonic,
    schedule(delayMs, action): Cancel {
      const timer = { at: monotonic + Math.max(0, delayMs), action };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const until = monotonic + ms;
      await settle();
      for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
        timers.delete(timer);
        monotonic = Math.max(monotonic, timer.at);
        timer.action();
        await settle();
      }
      monotonic = Math.max(monotonic, until);
    },
    spend(ms) {
      monotonic += ms;
    },
    setWallClock(ms) {
      wallOffset = ms - monotonic;
    },
    pending: () => timers.size,
  };
}

/** Lets promise continuations run that are already due. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}
