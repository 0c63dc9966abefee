import { loadSnapshot, saveSnapshot, savingSnapshot } from "../../gossip/snapshot.ts";
import type { NodeState } from "../../gossip/state.ts";
import type { Cancel, Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";

/** Least wait between two saves, milliseconds. After a save that took long the wait is a multiple of that, so that
 *  saving costs a hundredth of the processor's time at most, however much changes. */
const LEAST_GAP_MS = 250;
const GAP_PER_SAVE = 100;
/** But a save may take long because the disk is busy: what is read of it by others is a few seconds old at most. */
const LONGEST_PAUSE_MS = 5000;
/** So that its age tells how long the node was away. */
const LONGEST_GAP_MS = 300_000;
const FIRST_RETRY_MS = 5000;
const LONGEST_RETRY_MS = 60_000;

export interface SnapshotKeeperOptions {
  readonly path: string;
  readonly state: () => NodeState;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** What the node's former self knew; undefined when there is no snapshot, or when it is damaged, which is logged: the
 *  node then learns everything from the others. Throws a NetError `unsupported` for one of a newer release: going on
 *  would overwrite it. */
export function formerState(files: Files, path: string, log: Log): NodeState | undefined {
  try {
    return loadSnapshot(files, path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "unsupported") throw error;
    log.error("last view of the cluster not used", { problem: messageOf(error) });
    return undefined;
  }
}

/** Keeps what the node knows of the cluster on disk, for its next self. */
export class SnapshotKeeper {
  readonly #options: SnapshotKeeperOptions;
  readonly #loop: Loop;
  #asked: Cancel | undefined;
  /** Time that the last save has worked, without its pauses, milliseconds. */
  #workedMs = 0;
  #resume: (() => void) | undefined;
  #isStopping = false;

  constructor(options: SnapshotKeeperOptions) {
    const { clock, random, log } = options;
    this.#options = options;
    this.#loop = startLoop({
      run: () => this.#save(),
      clock,
      random,
      leastGapMs: LEAST_GAP_MS,
      longestGapMs: LONGEST_GAP_MS,
      firstRetryMs: FIRST_RETRY_MS,
      longestRetryMs: LONGEST_RETRY_MS,
      onFailure: (error) => log.warn("last view of the cluster not saved", { problem: messageOf(error) }),
    });
  }

  /** Something changed. */
  note(): void {
    const { clock } = this.#options;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, GAP_PER_SAVE * this.#workedMs);
    this.#asked ??= clock.schedule(pauseMs, () => {
      this.#asked = undefined;
      this.#loop.request();
    });
  }

  /** Saves a last time. */
  async stop(): Promise<void> {
    const { files, path, state, log } = this.#options;
    this.#asked?.();
    this.#isStopping = true;
    this.#resume?.();
    await this.#loop.stop();
    try {
      saveSnapshot(files, path, state());
    } catch (error) {
      log.warn("last view of the cluster not saved", { problem: messageOf(error) });
    }
  }

  /** What is known at its beginning, with a pause after each step, in which it may change. */
  async #save(): Promise<void> {
    const { files, path, state, clock } = this.#options;
    let startedAt = clock.monotonic();
    let workedMs = 0;
    const steps = savingSnapshot(files, path, state());
    while (steps.next().done !== true) {
      workedMs += clock.monotonic() - startedAt;
      await this.#pause();
      if (this.#isStopping) return void steps.return();
      startedAt = clock.monotonic();
    }
    this.#workedMs = workedMs + clock.monotonic() - startedAt;
  }

  /** Until the next turn of the event loop, or the end. */
  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.schedule(0, resolve);
    this.#resume = resolve;
    await promise;
    cancel();
    this.#resume = undefined;
  }
}
