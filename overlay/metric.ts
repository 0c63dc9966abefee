/** Numbers of the overlay since the start of the process, for the metrics page and `dcos-net status`. */
export interface OverlayMetrics {
  /** Passes begun. */
  passes: number;
  /** Passes that ended with at least one refusal. */
  failedPasses: number;
  /** Passes that found nothing to do. */
  quietPasses: number;
  /** Changes made to the kernel: operations, kernel settings and nftables transactions. */
  changes: number;
  /** Of these, the ones made after a first good pass for an unchanged cluster: somebody else had changed our objects.
   *  */
  repairs: number;
  /** Changes that the kernel refused. */
  refusals: number;
  /** CNI configuration files written or removed. */
  files: number;
  /** Other nodes of the present cluster. */
  peers: number;
  /** Overlays that this node takes part in. */
  overlays: number;
  /** MTU in force, bytes. */
  mtu: number;
  /** Objects that we must not touch and that stand in the way of ours, at the last pass. */
  conflicts: number;
}

export function newOverlayMetrics(): OverlayMetrics {
  return {
    passes: 0,
    failedPasses: 0,
    quietPasses: 0,
    changes: 0,
    repairs: 0,
    refusals: 0,
    files: 0,
    peers: 0,
    overlays: 0,
    mtu: 0,
    conflicts: 0,
  };
}
