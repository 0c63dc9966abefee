import type { Files } from "../lib/files.ts";
import type { ClusterSummary } from "./cluster-source.ts";
import { isAlive, type ProcessId } from "./process.ts";

const VERSION = 2;
const LARGEST_FILE = 1 << 20;

/** What an agent says of itself, in `<run_dir>/status.json`, replaced as a whole after each pass. Times are RFC 3339,
 *  UTC. */
export interface AgentStatus {
  readonly version: typeof VERSION;
  readonly process: ProcessId;
  readonly node: string;
  /** Where the cluster is known from, for people: the nodes file, or gossip. */
  readonly origin: string;
  readonly startedAt: string;
  readonly writtenAt: string;
  /** End of the last pass in which everything was found or made as it should be. */
  readonly lastSuccess?: string;
  /** Why the last pass failed; absent when it didn't. */
  readonly failure?: string;
  readonly failuresInARow: number;
  /** What is wrong with the cluster, or waited for: the nodes file as it is now can't be used and the one before stays
   *  in force, or there is no assignment for this node yet. */
  readonly clusterProblem?: string;
  /** The members; absent when the cluster is static. */
  readonly cluster?: ClusterSummary;
  /** The virtual IPs; absent where they are off. */
  readonly vips?: VipStatus;
  /** What of the cluster's definition this node can't have, and what stands in the way, in sentences. */
  readonly warnings: readonly string[];
  readonly mtu?: { readonly bytes: number; readonly reason: string };
  readonly overlays: readonly string[];
  readonly counts: {
    readonly peers: number;
    readonly passes: number;
    /** Kernel objects and CNI files made, corrected or removed. */
    readonly changes: number;
    /** Of these, the ones that put back what somebody else had removed or altered. */
    readonly repairs: number;
  };
  /** The last repairs, newest first. */
  readonly repaired: readonly { readonly at: string; readonly objects: readonly string[] }[];
}

/** The virtual IPs of the node. */
export interface VipStatus {
  /** What balances them in the kernel; absent when nothing does. */
  readonly dataplane?: { readonly kind: string; readonly reason: string };
  /** Why they aren't as they should be; absent when they are. */
  readonly failure?: string;
  readonly services: number;
  /** What is wrong with labels, and what contradicts each other, in sentences; the first of them. */
  readonly problems: readonly string[];
  readonly changes: number;
  readonly repairs: number;
  /** The last repairs, newest first. */
  readonly repaired: readonly { readonly at: string; readonly objects: readonly string[] }[];
}

export function statusPath(runDir: string): string {
  return `${runDir}/status.json`;
}

export function writeStatus(files: Files, runDir: string, status: Omit<AgentStatus, "version">): void {
  const content: AgentStatus = { version: VERSION, ...status };
  files.replace(statusPath(runDir), `${JSON.stringify(content, null, 2)}\n`, 0o644);
}

/** The last status written; undefined when there is none or when it is of another version of the program. */
export function readStatus(files: Files, runDir: string): AgentStatus | undefined {
  const bytes = files.read(statusPath(runDir), LARGEST_FILE);
  if (bytes === undefined) return undefined;
  try {
    const status = JSON.parse(new TextDecoder().decode(bytes)) as AgentStatus;
    return status.version === VERSION ? status : undefined;
  } catch {
    return undefined;
  }
}

/** A status with the news of it, worst first. */
export interface Health {
  readonly healthy: boolean;
  readonly news: readonly string[];
}

/** Judges a status: an agent that runs, that succeeded in its last pass and has no problem with its cluster, is
 *  healthy. */
export function healthOf(status: AgentStatus | undefined, runDir: string): Health {
  if (status === undefined) {
    return { healthy: false, news: [`no agent has run here (${runDir}): start one with \`dcos-net agent\``] };
  }
  const bad: string[] = [];
  if (!isAlive(status.process)) {
    bad.push(`the agent (process ${status.process.pid}) has ended; the overlay stays as it left it: start it again`);
  }
  if (status.failure !== undefined) bad.push(`failed ${status.failuresInARow} times in a row: ${status.failure}`);
  else if (status.lastSuccess === undefined && status.clusterProblem === undefined) {
    bad.push("the first pass is not over yet");
  }
  if (status.clusterProblem !== undefined) bad.push(status.clusterProblem);
  const { failure, problems = [] } = status.vips ?? {};
  if (failure !== undefined) bad.push(`virtual IPs: ${failure}`);
  return { healthy: bad.length === 0, news: [...bad, ...status.warnings, ...problems] };
}
