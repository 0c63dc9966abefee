import type { Clock } from "../lib/clock.ts";
import { NetError } from "../lib/error.ts";

/** A value that is not there yet when the first calls arrive. */
export interface Ready<T> {
  /** Gives the value to everybody who waits, and to all later ones; the last one given counts. */
  set(value: T): void;
  current(): T | undefined;
  /** The value as soon as there is one. Rejects with `unavailable`, naming what is missing, after the limit. */
  wait(): Promise<T>;
}

/** `what` names the value in errors: `the overlays of this node`. A Docker engine holds locks while it waits for us, and
 *  sets no limit of its own, so `limitMs` must be well below the 15 s after which it gives up on a driver that is not
 *  there at all. */
export function readyLater<T>(clock: Clock, what: string, limitMs: number): Ready<T> {
  let value: T | undefined;
  const waiting = new Set<(value: T) => void>();
  return {
    set(given) {
      value = given;
      for (const resolve of waiting) resolve(given);
      waiting.clear();
    },
    current: () => value,
    wait() {
      if (value !== undefined) return Promise.resolve(value);
      return new Promise((resolve, reject) => {
        const finish = (given: T) => {
          cancel();
          resolve(given);
        };
        const cancel = clock.schedule(limitMs, () => {
          waiting.delete(finish);
          reject(
            new NetError("unavailable", {
              tried: `learn ${what}`,
              said: `nothing is known after ${limitMs} ms`,
              remedy: "see `dcos-net status` for what the agent waits for",
            }),
          );
        });
        waiting.add(finish);
      });
    },
  };
}
