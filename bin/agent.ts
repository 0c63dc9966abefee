import { describeOperation } from "../kernel/encode.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Cancel, type Clock, systemClock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { FileLock, Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { type Loop, type LoopStatus, startLoop } from "../lib/loop.ts";
import { type OverlayKeeper, type OverlayReport, overlayKeeper } from "../overlay/apply.ts";
import type { Cluster } from "../overlay/cluster.ts";
import { newOverlayMetrics, type OverlayMetrics } from "../overlay/metric.ts";
import type { ClusterSource, KnownCluster } from "./cluster-source.ts";
import type { Config } from "./config.ts";
import { every } from "./every.ts";
import type { RunningVips } from "./l4lb/start.ts";
import { vipStatusOf } from "./l4lb/status.ts";
import { someOf } from "./output.ts";
import { type ProcessId, processOf } from "./process.ts";
import { holdRunDir } from "./run-dir.ts";
import { type AgentStatus, writeStatus } from "./status-file.ts";

/** Passes are at least this far apart, however much changes: the kernel reports every neighbour that any link resolves,
 *  which on a busy host never ends, and a pass among 4,000 peers reads 24,000 objects. What changes after a quiet time
 *  is looked at without this wait. With the poll of 0.5 s before it, it stays well within the 5 s in which a foreign
 *  deletion must be repaired. */
const LEAST_GAP_MS = 2000;
const FIRST_RETRY_MS = 500;
/** Below the 5 s in which a foreign deletion must be repaired. */
const LONGEST_RETRY_MS = 4000;
/** What there is to say of the loop before it begins. */
const NO_PASS_YET: LoopStatus = {
  runs: 0,
  failures: 0,
  failuresInARow: 0,
  lastSuccess: undefined,
  lastDurationMs: undefined,
  running: false,
};
const REPAIRS_KEPT = 20;
/** Longest time until a change that needs no pass is in the status. */
const NEWS_GAP_MS = 250;
const OBJECTS_NAMED = 20;

export interface AgentParts {
  readonly config: Config;
  /** The agent's to stop. */
  readonly source: ClusterSource;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
  readonly clock?: Clock;
  /** Told of in the status; the caller's to stop. */
  readonly vips?: RunningVips;
  /** Told after each good pass what stands. */
  readonly onPass?: (cluster: Cluster, node: string, networks: OverlayReport["desired"]["networks"]) => void;
}

export interface Agent {
  /** Reads the files of the cluster again and makes a pass, whatever has changed. */
  reload(): void;
  /** What the overlay's passes did so far, for the HTTP API. */
  overlay(): OverlayProgress;
  /** Ends after the present pass. Leaves the kernel as it is, so that containers go on talking. With `leaving` the
   *  other nodes are told that this one goes. */
  stop(leaving?: boolean): Promise<void>;
}

export interface OverlayProgress {
  readonly metrics: Readonly<OverlayMetrics>;
  readonly loop: LoopStatus;
}

/** Starts the daemon of a node: keeps the kernel and the CNI configuration as the cluster demands. Throws a NetError
 *  when another agent works in the same run directory. */
export function startAgent(parts: AgentParts): Agent {
  return new RunningAgent(parts);
}

class RunningAgent implements Agent {
  readonly #parts: AgentParts;
  readonly #clock: Clock;
  readonly #runDir: FileLock;
  readonly #metrics: OverlayMetrics = newOverlayMetrics();
  readonly #keeper: OverlayKeeper;
  /** Begins with the first cluster, so that no pass without one keeps the next waiting. */
  #loop: Loop | undefined;
  readonly #poll: Cancel;
  readonly #process: ProcessId;
  readonly #startedAt: string;
  #failure: string | undefined;
  #report: OverlayReport | undefined;
  /** What was in force after the last good pass, and when that ended. */
  #settled: KnownCluster | undefined;
  #lastSuccess: string | undefined;
  #noted: KnownCluster | undefined;
  #newsDue: Cancel | undefined;
  #repaired: AgentStatus["repaired"] = [];
  #repairs = 0;

  constructor(parts: AgentParts) {
    const { config, source, kernel, files, log, clock = systemClock } = parts;
    this.#parts = parts;
    this.#clock = clock;
    this.#startedAt = this.#now();
    const own = processOf(process.pid);
    if (own === undefined) throw new Error("an agent runs, so it has an entry in /proc");
    this.#process = own;
    this.#runDir = holdRunDir(files, config.run_dir, own.pid, {
      tried: `start an agent in ${config.run_dir}`,
      remedy: "stop that one first, or give this one a run directory of its own with --run-dir",
    });
    try {
      const cni = { dir: config.cni_dir, dataDir: config.data_dir };
      this.#keeper = overlayKeeper({ kernel, files, metrics: this.#metrics, cni });
    } catch (error) {
      this.#runDir.release();
      throw error;
    }
    log.info("agent started", { node: source.node, cluster: source.origin, pid: own.pid });
    if (source.current() !== undefined) this.#loop = this.#startLoop();
    else this.#writeStatus(0);
    this.#poll = every(clock, config.kernel_poll_ms, () => this.#lookAtKernel());
    source.watch(() => this.#onNews());
    parts.vips?.watch(() => this.#tellSoon());
  }

  reload(): void {
    this.#parts.log.info("told to reload");
    this.#parts.source.reload();
    this.#loop?.request();
  }

  overlay(): OverlayProgress {
    return { metrics: this.#metrics, loop: this.#loop?.status() ?? NO_PASS_YET };
  }

  async stop(leaving = false): Promise<void> {
    this.#poll();
    await this.#parts.source.stop(leaving);
    this.#newsDue?.();
    await this.#loop?.stop();
    this.#runDir.release();
    this.#parts.log.info("agent stopped");
  }

  #startLoop(): Loop {
    return startLoop({
      run: () => this.#pass(),
      clock: this.#clock,
      random: Math.random,
      leastGapMs: LEAST_GAP_MS,
      longestGapMs: this.#parts.config.resync_ms,
      firstRetryMs: FIRST_RETRY_MS,
      longestRetryMs: LONGEST_RETRY_MS,
      onFailure: (error, retryMs) => this.#failed(error, retryMs),
    });
  }

  #pass(): void {
    const { source, log } = this.#parts;
    const known = source.current();
    if (known === undefined) throw new Error("there is no pass before there is a cluster");
    const { cluster, isComplete } = known;
    const report = this.#keeper.reconcile(cluster, source.node, isComplete);
    const objects = changesOf(report);
    if (objects.length > 0)
      log.info("overlay changed", { count: objects.length, objects: someOf(objects, OBJECTS_NAMED) });
    // What is missing while the cluster is the same since the last good pass was removed by somebody else.
    if (this.#settled === known && objects.length > 0) {
      const repair = { at: this.#now(), objects: someOf(objects, OBJECTS_NAMED) };
      this.#repairs += objects.length;
      this.#repaired = [repair, ...this.#repaired].slice(0, REPAIRS_KEPT);
      log.warn("foreign change repaired", { count: objects.length, objects: repair.objects });
    }
    this.#settled = known;
    this.#report = report;
    this.#failure = undefined;
    this.#lastSuccess = this.#now();
    this.#writeStatus(0);
    source.passed({ cluster, failure: undefined });
    this.#parts.onPass?.(cluster, source.node, report.desired.networks);
  }

  #failed(error: unknown, retryMs: number): void {
    this.#failure = messageOf(error);
    this.#parts.log.error("overlay not as it should be", { problem: this.#failure, retryMs: Math.round(retryMs) });
    this.#writeStatus(this.#loop?.status().failuresInARow ?? 0);
    const cluster = this.#parts.source.current()?.cluster;
    if (cluster !== undefined) this.#parts.source.passed({ cluster, failure: this.#failure });
  }

  #lookAtKernel(): void {
    const { kernel, log } = this.#parts;
    try {
      if (kernel.changed() || this.#keeper.disturbed()) this.#loop?.request();
    } catch (error) {
      // A pass reads everything anew, so nothing is lost by not knowing what has changed.
      log.warn("can't ask the kernel for changes", { problem: messageOf(error) });
      this.#loop?.request();
    }
  }

  /** Another cluster needs a pass, everything else only needs to be told. */
  #onNews(): void {
    const known = this.#parts.source.current();
    if (known !== undefined && this.#loop === undefined) this.#loop = this.#startLoop();
    else if (known !== this.#noted) this.#loop?.request();
    this.#noted = known;
    this.#tellSoon();
  }

  #tellSoon(): void {
    this.#newsDue ??= this.#clock.schedule(NEWS_GAP_MS, () => {
      this.#newsDue = undefined;
      this.#writeStatus(this.#loop?.status().failuresInARow ?? 0);
    });
  }

  #writeStatus(failuresInARow: number): void {
    const { config, source, files, log } = this.#parts;
    const { desired, conflicts = [] } = this.#report ?? {};
    const { peers, passes, changes, files: fileChanges } = this.#metrics;
    const problem = source.problem();
    const summary = source.summary();
    try {
      writeStatus(files, config.run_dir, {
        process: this.#process,
        node: source.node,
        origin: source.origin,
        startedAt: this.#startedAt,
        writtenAt: this.#now(),
        ...(this.#lastSuccess === undefined ? {} : { lastSuccess: this.#lastSuccess }),
        ...(this.#failure === undefined ? {} : { failure: this.#failure }),
        failuresInARow,
        ...(problem === undefined ? {} : { clusterProblem: problem }),
        ...(summary === undefined ? {} : { cluster: summary }),
        ...(this.#parts.vips === undefined ? {} : { vips: vipStatusOf(this.#parts.vips) }),
        warnings: [...(desired?.omitted ?? []), ...conflicts],
        ...(desired === undefined ? {} : { mtu: { bytes: desired.mtu.mtu, reason: desired.mtu.reason } }),
        overlays: (source.current()?.cluster.overlays ?? []).map(({ name }) => name),
        counts: { peers, passes, changes: changes + fileChanges, repairs: this.#repairs },
        repaired: this.#repaired,
      });
    } catch (error) {
      // The overlay matters more than the report of it.
      log.warn("can't write the status", { problem: messageOf(error) });
    }
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
  }
}

/** Everything that a pass changed, each named in a few words. */
function changesOf({ plan, filesWritten, filesRemoved }: OverlayReport): string[] {
  return [
    ...(plan.isolation.length > 0 ? ["isolation table"] : []),
    ...[...plan.links, ...plan.local, ...plan.peers].map(describeOperation),
    ...plan.sysctls.map(({ path, value }) => `sysctl ${path}=${value}`),
    ...filesWritten.map((path) => `write ${path}`),
    ...filesRemoved.map((path) => `remove ${path}`),
  ];
}
