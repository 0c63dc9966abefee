import type { PortBalance } from "../facts/task.ts";
import { type Scheduler, WEIGHT_MAX } from "./service.ts";

/** How a virtual IP balances, as far as the labels of one task say so. */
export interface Balance {
  readonly scheduler: Scheduler | undefined;
  /** Seconds. */
  readonly affinity: number | undefined;
  /** Of this task's backends while they are healthy. */
  readonly weight: number;
}

/** Longest affinity, seconds: a day. */
const AFFINITY_MAX = 86_400;

const SCHEDULERS: readonly Scheduler[] = ["wlc", "rr", "sh", "mh"];

/** What there is when no label says anything, as for most tasks. */
const PLAIN: Balance = { scheduler: undefined, affinity: undefined, weight: 1 };

/** Reads the labels of a port. What can't be used is reported in words that name the label, and counts as absent. */
export function readBalance(
  said: PortBalance | undefined,
  onProblem: (label: string, problem: string) => void,
): Balance {
  if (said === undefined) return PLAIN;
  const { scheduler, affinity, weight } = said;
  const known = SCHEDULERS.find((name) => name === scheduler);
  if (scheduler !== undefined && known === undefined)
    onProblem("L4LB_SCHEDULER", `${JSON.stringify(scheduler)} is none of ${SCHEDULERS.join(", ")}`);
  const number = (label: string, text: string | undefined, most: number): number | undefined => {
    if (text === undefined) return undefined;
    if (/^\d{1,6}$/.test(text) && Number(text) <= most) return Number(text);
    onProblem(label, `${JSON.stringify(text)} is no whole number from 0 to ${most}`);
    return undefined;
  };
  return {
    scheduler: known,
    affinity: number("L4LB_AFFINITY", affinity, AFFINITY_MAX),
    weight: number("L4LB_WEIGHT", weight, WEIGHT_MAX) ?? 1,
  };
}
