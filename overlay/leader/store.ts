import type { NetError } from "../../lib/error.ts";
import type { Change } from "./registry.ts";
import type { StoredState } from "./stored.ts";

/** Where allocations outlive the process, and where it is decided who leads. */
export interface LeaderStore {
  /**
   * Resolves when this process has become the leader, however long that takes; rejects with a NetError when the store
   * can't be used. `signal` gives the candidacy up: the promise then rejects, and nothing of the candidacy is left.
   * `onWaiting` is called when the store is well and another process leads.
   */
  lead(signal: AbortSignal, onWaiting?: () => void): Promise<Term>;
}

/** One leadership of one process. */
export interface Term {
  /** Higher than that of every earlier term of any process. From its start on no earlier term can store anything. */
  readonly epoch: number;
  /** What earlier terms stored, read after they were shut out. */
  readonly stored: StoredState;
  /**
   * Stores a list of changes. When it resolves they outlive this process. When it rejects, all, a beginning, or
   * nothing of the list may be stored, so the caller must end the term and read anew: with NetError `conflict` because
   * another leader has begun, otherwise because the store did not answer. Calls must not overlap.
   */
  commit(changes: readonly Change[]): Promise<void>;
  /** Resolves once this process knows that it no longer leads, with the reason. */
  readonly lost: Promise<NetError>;
  /** Gives leadership up, so that another candidate need not wait for a time-out. Harmless after a loss. */
  resign(): Promise<void>;
}
