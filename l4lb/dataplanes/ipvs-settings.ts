/** A kernel setting that virtual IPs on IPVS need. */
export interface IpvsSetting {
  /** Below /proc/sys. */
  readonly path: string;
  readonly value: string;
  /** In words for operators. */
  readonly reason: string;
}

/** The first kernel that gives a reused port a new backend without dropping its first packet (Linux commit
 *  f0a5e4d7a594). */
const REUSE_MENDED = [5, 9] as const;

/** The settings for a kernel of this release (`6.1.0-30-amd64`), documented in the kernel's
 *  Documentation/networking/ipvs-sysctl.rst. A release that can't be read counts as new. */
export function ipvsSettings(release: string): readonly IpvsSetting[] {
  return [
    {
      path: "net/ipv4/vs/conntrack",
      value: "1",
      reason: "masquerading, without which many answers would miss the node, needs tracked connections",
    },
    {
      path: "net/ipv4/vs/expire_nodest_conn",
      value: "1",
      reason: "connections to a removed backend end, and its UDP senders move to another",
    },
    {
      path: "net/ipv4/vs/expire_quiescent_template",
      value: "1",
      reason: "affinity doesn't bring new connections to a backend of weight 0",
    },
    reuse(release),
  ];
}

function reuse(release: string): IpvsSetting {
  const path = "net/ipv4/vs/conn_reuse_mode";
  if (isAtLeast(release, REUSE_MENDED)) {
    return { path, value: "1", reason: "a client that reuses a port gets a backend that takes connections" };
  }
  return {
    path,
    value: "0",
    reason:
      "before Linux 5.9 choosing anew drops the first packet of a client that reuses a port, which costs it a second; the price is that such a client stays with its backend, weight 0 or not",
  };
}

function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (first === undefined || second === undefined) return true;
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
