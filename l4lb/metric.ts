/** Numbers of the virtual IPs since the start of the process, for the metrics page and `dcos-net status`. */
export interface VipMetrics {
  /** Comparisons with the whole kernel state. */
  passes: number;
  /** Those in which something was refused. */
  failedPasses: number;
  /** Changes of services that the kernel took. */
  changes: number;
  /** Of these, the ones that put back what somebody else had changed; objects of the foundation included. */
  repairs: number;
  /** Changes that the kernel refused. */
  refusals: number;
  /** Milliseconds that the kernel took for the last batch of changes, and for the last whole comparison. */
  lastChangeMs: number;
  lastPassMs: number;
  /** Milliseconds from the news of a change to the end of its way into the kernel: the last, and the longest. */
  lastDelayMs: number;
  longestDelayMs: number;
  /** Services that the kernel hasn't as they should be, because it refused. */
  pending: number;
}

export function newVipMetrics(): VipMetrics {
  return {
    passes: 0,
    failedPasses: 0,
    changes: 0,
    repairs: 0,
    refusals: 0,
    lastChangeMs: 0,
    lastPassMs: 0,
    lastDelayMs: 0,
    longestDelayMs: 0,
    pending: 0,
  };
}
