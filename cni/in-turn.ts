import { messageOf } from "../lib/error.ts";

/** Takes every step, whatever becomes of the others, and then throws all that failed. */
export function inTurn(steps: readonly (() => unknown)[]): void {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(messageOf).join("; "));
}
