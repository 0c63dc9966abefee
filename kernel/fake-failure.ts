import { NetError } from "../lib/error.ts";
import { namedErrnoError } from "./errno.ts";
import { Refusal } from "./fake-refusal.ts";
import type { Operation } from "./kernel.ts";

/** Where a failure can be put in: an operation, or one of the interface's other ways to change something. */
export type FailurePoint = Operation["do"] | "sysctl" | "nftables" | "conntrack" | "ipvs" | "netns";

interface Failure {
  readonly errno: string;
  readonly point: FailurePoint | undefined;
  /** Changes of the kind that still pass before it. */
  passing: number;
}

/** Failures that a test has put into a machine and that have not come yet; all handles of the machine share them. */
export class FakeFailures {
  readonly #coming: Failure[] = [];

  /** The next change, or the next one of a kind, is refused with this errno and does nothing; `passing` that many
   *  come through before it. Several line up. */
  add(errno: string, point: FailurePoint | undefined, passing: number): void {
    this.#coming.push({ errno, point, passing });
  }

  /** Takes back the failures that have not come yet, and tells how many. */
  forget(): number {
    return this.#coming.splice(0).length;
  }

  /** Runs `action`, unless a failure was put in here; turns its refusal into the error that the kernel interface
   *  promises. */
  doing<T>(point: FailurePoint, tried: () => string, action: () => T): T {
    const next = this.#coming.findIndex((failure) => failure.point === undefined || failure.point === point);
    try {
      const failure = this.#coming[next];
      if (failure !== undefined && failure.passing-- === 0) {
        this.#coming.splice(next, 1);
        throw new Refusal(failure.errno, "put in by the test");
      }
      return action();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const details = { tried: tried(), said: error.said };
      throw error.errno === "" ? new NetError("kernel", details) : namedErrnoError(error.errno, details);
    }
  }

  /** Like {@link doing}, with the refusal as a value. */
  attempt(point: FailurePoint, tried: () => string, action: () => void): Error | undefined {
    try {
      this.doing(point, tried, action);
      return undefined;
    } catch (error) {
      if (error instanceof NetError) return error;
      throw error;
    }
  }
}
