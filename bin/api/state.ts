import type { DrainFact } from "../../facts/fact.ts";
import type { Snapshot } from "../../facts/view.ts";
import type { Status } from "../../gossip/membership.ts";
import type { TransportCounts } from "../../gossip/transport.ts";
import type { LoopStatus } from "../../lib/loop.ts";
import type { OverlayNetwork } from "../../overlay/leader/network.ts";
import type { Registry } from "../../overlay/leader/registry.ts";
import type { StatusOf } from "../../overlay/leader/state-json.ts";
import type { OverlayMetrics } from "../../overlay/metric.ts";
import type { RunningVips } from "../l4lb/start.ts";
import type { DnsState } from "./dns.ts";

/** What names are told from. Every function answers at once from memory. */
export interface NamesState {
  /** Wall clock, milliseconds since 1970: what ages are counted from. */
  readonly now: () => number;
  /** The merged facts of the cluster. */
  readonly facts: () => Snapshot;
  /** The DNS server of this node; undefined when it is switched off. */
  readonly dns: () => DnsState | undefined;
}

/**
 * What the HTTP API is handed of a running agent: what it knows, as plain data, and what it may be asked to do. Every
 * function answers at once from memory, with the state at that moment.
 */
export interface ApiState extends NamesState {
  readonly self: SelfState;
  /** True once it is known who is there: until then nobody counts as gone. Stays true. */
  readonly isSettled: () => boolean;
  /** Every member that gossip knows of, this node included, in any order. */
  readonly members: () => Iterable<MemberState>;
  /** Undefined on nodes that are no masters. */
  readonly master: () => MasterState | undefined;
  /** How an overlay stands on a node, by the node's status fact. */
  readonly statusOf: StatusOf;
  readonly overlay: () => OwnOverlayState;
  readonly gossip: () => GossipState;
  /** Undefined where virtual IPs are off. */
  readonly vips: () => RunningVips | undefined;
  /** Drains a node or a task (`DrainBody`), from now on; gives the fact that says so. Throws a NetError `invalid`. */
  readonly drain: (target: DrainFact["body"]["target"], id: string) => DrainFact;
  /** Calls off what this node was asked to drain. */
  readonly undrain: (target: DrainFact["body"]["target"], id: string) => void;
  /** The task sources that this node runs. */
  readonly sources: () => Iterable<SourceState>;
  /**
   * Takes nodes that are gone for good out of the cluster: frees what they hold (`OverlayLeader.forget`), and when that
   * is stored, takes them out of gossip (`GossipNode.forget`). Nodes that are unknown are ignored. Rejects with a
   * NetError, and frees nothing: `busy` when one of them may be alive, `unavailable` when this node doesn't lead, or
   * when the store fails.
   */
  readonly forget: (ids: readonly string[]) => Promise<void>;
}

/** This node. */
export interface SelfState {
  /** The id that its facts carry as owner. */
  readonly id: string;
  readonly name: string;
  readonly role: "master" | "agent";
  /** On the underlay, canonical text without port. */
  readonly address: string;
  /** Wall clock when the agent started, milliseconds since 1970. */
  readonly startedAt: number;
}

export interface MemberState {
  /** Name in gossip, which is the node's id. */
  readonly id: string;
  /** Where gossip reaches it: `10.0.0.1:62501`. */
  readonly address: string;
  readonly status: Status;
  /** Wall clock since when it has this status, milliseconds since 1970. `remembered`: when the snapshot was saved from
   *  which it is known. */
  readonly since: number;
}

/** What a master knows besides. */
export interface MasterState {
  /** The configuration of this master's own file. */
  readonly network: OverlayNetwork;
  /** Set while this master leads: `OverlayLeader`'s epoch and registry. */
  readonly leading: { readonly epoch: number; readonly registry: Registry } | undefined;
  /** Why it can't lead, or why its configuration isn't the one in force; undefined when all is well. */
  readonly problem: string | undefined;
}

/** This node's part of the overlay. */
export interface OwnOverlayState {
  /** How often this node's assignment was put into the kernel. */
  readonly attempts: number;
  readonly metrics: Readonly<OverlayMetrics>;
  readonly loop: LoopStatus;
}

export interface GossipState {
  readonly counts: Readonly<TransportCounts>;
  /** Rumors under way: `GossipNode.pendingRumors`. */
  readonly pendingRumors: number;
  /** 1 to 9: `GossipNode.slowness`. */
  readonly slowness: number;
  /** Facts of others that couldn't be read, or spoke for somebody else, since the start. */
  readonly refusedFacts: number;
  /** Facts or members beyond a bound that weren't taken, since the start: events `refused`. */
  readonly overLimit: number;
  /** Packets that another node sent under this node's name, since the start: events `conflict`. */
  readonly nameConflicts: number;
}

/** A source of tasks: `file`, `docker`, `mesos-agent`. */
export interface SourceState {
  readonly name: string;
  /** Tasks that it tells of now. */
  readonly tasks: number;
  /** What is wrong with it now, in a sentence; undefined when all is well. */
  readonly problem: string | undefined;
}
