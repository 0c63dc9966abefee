import type { Cancel, Clock } from "../lib/clock.ts";

/** Runs `action` every `gapMs` milliseconds until called off. */
export function every(clock: Clock, gapMs: number, action: () => void): Cancel {
  const turn = (): void => {
    cancel = clock.schedule(gapMs, turn);
    action();
  };
  let cancel = clock.schedule(gapMs, turn);
  return () => cancel();
}
