import type { Cluster } from "../overlay/cluster.ts";

/** A cluster as the agent is to put it into the kernel. Never changed after it was made: another object is another
 *  state of knowledge. */
export interface KnownCluster {
  readonly cluster: Cluster;
  /** False while it may be known in part only, as after a start: then nothing is taken away. */
  readonly isComplete: boolean;
}

/** How a pass went. */
export interface PassOutcome {
  readonly cluster: Cluster;
  /** Why not everything is as the cluster demands; undefined when it is. */
  readonly failure: string | undefined;
}

/** The members of a cluster, in a few numbers for the status. */
export interface ClusterSummary {
  readonly alive: number;
  /** Known, but not reached now. */
  readonly unreachable: number;
  /** Whether it is known who is there. */
  readonly isSettled: boolean;
  /** A hash of all that the node knows of the cluster, hexadecimal: equal on nodes that know the same. */
  readonly content: string;
  /** Epoch of the overlay's leadership whose word counts; undefined when nobody has led yet. */
  readonly epoch: number | undefined;
  /** Set on masters. */
  readonly leader: { readonly leads: boolean; readonly problem: string | undefined } | undefined;
}

/** Where the agent has its cluster from: the static nodes file, or the facts of all nodes. */
export interface ClusterSource {
  /** Name of this node in the cluster. */
  readonly node: string;
  /** Where the cluster is known from, for people. */
  readonly origin: string;
  /** The cluster as it is known now, the same object until that changes; undefined while nothing is known: then the
   *  kernel is left as it is. */
  current(): KnownCluster | undefined;
  /** What is wrong, or what is waited for; undefined when all is well. */
  problem(): string | undefined;
  /** Undefined for a static cluster. */
  summary(): ClusterSummary | undefined;
  /** Calls `onChange` from now on, in a turn of its own, whenever something of the above is different. */
  watch(onChange: () => void): void;
  /** Reads files again that may have changed. */
  reload(): void;
  /** Is told of each pass. */
  passed(outcome: PassOutcome): void;
  /** `leaving`: this node goes for good, or for long, and the others are to know it at once. */
  stop(leaving: boolean): Promise<void>;
}
