import { describeOperation } from "../kernel/encode.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Cancel, type Clock, systemClock } from "../lib/clock.ts";
import { messageOf, NetError } from "../lib/error.ts";
import type { FileLock, FileStat, Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { type Loop, startLoop } from "../lib/loop.ts";
import { type OverlayKeeper, type OverlayReport, overlayKeeper } from "../overlay/apply.ts";
import type { Cluster } from "../overlay/cluster.ts";
import { newOverlayMetrics, type OverlayMetrics } from "../overlay/metric.ts";
import type { Config } from "./config.ts";
import { readCluster } from "./nodes.ts";
import { type ProcessId, processOf } from "./process.ts";
import { type AgentStatus, writeStatus } from "./status-file.ts";

/** Passes are at least this far apart, however much changes: the kernel reports every neighbour that any link resolves,
 *  which on a busy host never ends, and a pass among 4,000 peers reads 24,000 objects. What changes after a quiet time
 *  is looked at without this wait. With the poll of 0.5 s before it, it stays well within the 5 s in which a foreign
 *  deletion must be repaired. */
const LEAST_GAP_MS = 2000;
const FIRST_RETRY_MS = 500;
/** Below the 5 s in which a foreign deletion must be repaired. */
const LONGEST_RETRY_MS = 4000;
const REPAIRS_KEPT = 20;
const OBJECTS_NAMED = 20;

export interface AgentParts {
  readonly config: Config;
  /** Name of this node in the nodes file. */
  readonly node: string;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
  readonly clock?: Clock;
  /** Told after each good pass what stands. */
  readonly onPass?: (cluster: Cluster, node: string, networks: OverlayReport["desired"]["networks"]) => void;
}

export interface Agent {
  /** Reads the nodes file again and makes a pass, whatever has changed. */
  reload(): void;
  /** Ends after the present pass. Leaves the kernel as it is, so that containers go on talking. */
  stop(): Promise<void>;
}

/** Starts the daemon of a node: keeps the kernel and the CNI configuration as the nodes file demands. Throws a
 *  NetError when another agent works in the same run directory, or when the nodes file can't be used: there is no
 *  state before it to keep. */
export function startAgent(parts: AgentParts): Agent {
  return new RunningAgent(parts);
}

class RunningAgent implements Agent {
  readonly #parts: AgentParts;
  readonly #clock: Clock;
  readonly #lock: FileLock;
  readonly #metrics: OverlayMetrics = newOverlayMetrics();
  readonly #keeper: OverlayKeeper;
  readonly #loop: Loop;
  readonly #polls: readonly Cancel[];
  readonly #process: ProcessId;
  readonly #startedAt: string;
  #cluster: Cluster;
  /** What told the nodes file in force, or the refused one, from another. */
  #nodesFileMark: string;
  #nodesFileProblem: string | undefined;
  #failure: string | undefined;
  #report: OverlayReport | undefined;
  #settled: Cluster | undefined;
  #repaired: AgentStatus["repaired"] = [];
  #repairs = 0;

  constructor(parts: AgentParts) {
    const { config, kernel, files, log, clock = systemClock } = parts;
    this.#parts = parts;
    this.#clock = clock;
    this.#startedAt = this.#now();
    const own = processOf(process.pid);
    if (own === undefined) throw new Error("an agent runs, so it has an entry in /proc");
    this.#process = own;
    files.makeDirectory(config.run_dir);
    this.#lock = holdRunDir(files, config.run_dir, own.pid);
    try {
      this.#nodesFileMark = markOf(files.stat(config.nodes_file));
      this.#cluster = readCluster(files, config.nodes_file, parts.node);
      const cni = { dir: config.cni_dir, dataDir: config.data_dir };
      this.#keeper = overlayKeeper({ kernel, files, metrics: this.#metrics, cni });
    } catch (error) {
      this.#leaveRunDir();
      throw error;
    }
    log.info("agent started", { node: parts.node, nodesFile: config.nodes_file, pid: own.pid });
    this.#loop = this.#startLoop();
    this.#polls = [
      every(clock, config.kernel_poll_ms, () => this.#lookAtKernel()),
      every(clock, config.nodes_poll_ms, () => this.#lookAtNodesFile()),
    ];
  }

  reload(): void {
    this.#parts.log.info("told to reload");
    this.#useNodesFile();
    this.#loop.request();
  }

  async stop(): Promise<void> {
    for (const cancel of this.#polls) cancel();
    await this.#loop.stop();
    this.#leaveRunDir();
    this.#parts.log.info("agent stopped");
  }

  #leaveRunDir(): void {
    this.#parts.files.remove(pidPath(this.#parts.config.run_dir));
    this.#lock.release();
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
    const cluster = this.#cluster;
    const report = this.#keeper.reconcile(cluster, this.#parts.node);
    const objects = changesOf(report);
    if (objects.length > 0) this.#parts.log.info("overlay changed", { count: objects.length, objects: some(objects) });
    // What is missing while the cluster is the same since the last good pass was removed by somebody else.
    if (this.#settled === cluster && objects.length > 0) {
      const repair = { at: this.#now(), objects: some(objects) };
      this.#repairs += objects.length;
      this.#repaired = [repair, ...this.#repaired].slice(0, REPAIRS_KEPT);
      this.#parts.log.warn("foreign change repaired", { count: objects.length, objects: repair.objects });
    }
    this.#settled = cluster;
    this.#report = report;
    this.#failure = undefined;
    this.#parts.onPass?.(cluster, this.#parts.node, report.desired.networks);
    this.#writeStatus(0, this.#now());
  }

  #failed(error: unknown, retryMs: number): void {
    this.#failure = messageOf(error);
    this.#parts.log.error("overlay not as it should be", { problem: this.#failure, retryMs: Math.round(retryMs) });
    this.#writeStatus(this.#loop.status().failuresInARow, this.#lastSuccess());
  }

  #lookAtKernel(): void {
    const { kernel, log } = this.#parts;
    try {
      if (kernel.changed() || this.#keeper.disturbed()) this.#loop.request();
    } catch (error) {
      // A pass reads everything anew, so nothing is lost by not knowing what has changed.
      log.warn("can't ask the kernel for changes", { problem: messageOf(error) });
      this.#loop.request();
    }
  }

  #lookAtNodesFile(): void {
    if (markOf(this.#parts.files.stat(this.#parts.config.nodes_file)) !== this.#nodesFileMark) this.#useNodesFile();
  }

  /** Takes the nodes file as it is now, or tells why not and stays with the one before. */
  #useNodesFile(): void {
    const { config, files, log, node } = this.#parts;
    try {
      // The mark is taken first: a change in between is seen at the next look.
      this.#nodesFileMark = markOf(files.stat(config.nodes_file));
      this.#cluster = readCluster(files, config.nodes_file, node);
      this.#nodesFileProblem = undefined;
      log.info("nodes file taken", { nodes: this.#cluster.nodes.length, overlays: this.#cluster.overlays.length });
      this.#loop.request();
    } catch (error) {
      this.#nodesFileProblem = messageOf(error);
      log.error("nodes file refused", { problem: this.#nodesFileProblem });
      this.#writeStatus(this.#loop.status().failuresInARow, this.#lastSuccess());
    }
  }

  #lastSuccess(): string | undefined {
    const at = this.#loop.status().lastSuccess;
    return at === undefined ? undefined : new Date(at).toISOString();
  }

  #writeStatus(failuresInARow: number, lastSuccess: string | undefined): void {
    const { config, files, log, node } = this.#parts;
    const { desired, conflicts = [] } = this.#report ?? {};
    const { peers, passes, changes, files: fileChanges } = this.#metrics;
    try {
      writeStatus(files, config.run_dir, {
        process: this.#process,
        node,
        nodesFile: config.nodes_file,
        startedAt: this.#startedAt,
        writtenAt: this.#now(),
        ...(lastSuccess === undefined ? {} : { lastSuccess }),
        ...(this.#failure === undefined ? {} : { failure: this.#failure }),
        failuresInARow,
        ...(this.#nodesFileProblem === undefined ? {} : { nodesFileProblem: this.#nodesFileProblem }),
        warnings: [...(desired?.omitted ?? []), ...conflicts],
        ...(desired === undefined ? {} : { mtu: { bytes: desired.mtu.mtu, reason: desired.mtu.reason } }),
        overlays: this.#cluster.overlays.map(({ name }) => name),
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

/** Runs `action` every `gapMs` milliseconds until called off. */
function every(clock: Clock, gapMs: number, action: () => void): Cancel {
  const turn = (): void => {
    cancel = clock.schedule(gapMs, turn);
    action();
  };
  let cancel = clock.schedule(gapMs, turn);
  return () => cancel();
}

function pidPath(runDir: string): string {
  return `${runDir}/agent.pid`;
}

/** Takes the run directory for this process. Throws a NetError `conflict` that names the agent which has it. */
function holdRunDir(files: Files, runDir: string, pid: number): FileLock {
  let lock: FileLock;
  try {
    lock = files.lock(`${runDir}/agent.lock`, 0);
  } catch (error) {
    if (!(error instanceof NetError) || error.code !== "busy") throw error;
    const holder = new TextDecoder().decode(files.read(pidPath(runDir)) ?? new Uint8Array()).trim();
    throw new NetError("conflict", {
      tried: `start an agent in ${runDir}`,
      said: holder === "" ? "another agent is starting there" : `process ${holder} is the agent there`,
      remedy: "stop that one first, or give this one a run directory of its own with --run-dir",
      cause: error,
    });
  }
  files.replace(pidPath(runDir), `${pid}\n`, 0o644);
  return lock;
}

function markOf(stat: FileStat | undefined): string {
  return stat === undefined ? "missing" : `${stat.device}:${stat.inode}:${stat.size}:${stat.modifiedNs}`;
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

function some(objects: readonly string[]): string[] {
  const shown = objects.slice(0, OBJECTS_NAMED);
  return objects.length > shown.length ? [...shown, `and ${objects.length - shown.length} more`] : shown;
}
