/** Timings and bounds of the protocol. All nodes of a cluster should have the same; they needn't change together. */
export interface Settings {
  /** Time between two probes that a node starts, milliseconds. */
  readonly probeIntervalMs: number;
  /** Wait for a direct answer before helpers are asked, milliseconds. */
  readonly directTimeoutMs: number;
  /** Wait for any answer, from the start of the probe, before the target is suspected, milliseconds. */
  readonly probeTimeoutMs: number;
  /** Helpers asked when the direct probe got no answer. */
  readonly indirectProbes: number;
  /** Length of a suspicion that enough others confirm, milliseconds. */
  readonly suspicionMinMs: number;
  /** Length of a suspicion that nobody else confirms, milliseconds. */
  readonly suspicionMaxMs: number;
  /** Independent confirmations that shorten a suspicion to its least length. */
  readonly confirmations: number;
  /** Nodes, on average, that probe a newly suspected member at once to confirm or to let it answer. */
  readonly opinions: number;
  /** Wait of a fresh rumor for others to travel with it, milliseconds. */
  readonly gossipDelayMs: number;
  /** Time between two rounds of sending rumors, milliseconds. */
  readonly gossipIntervalMs: number;
  /** Members that get rumors in one round. */
  readonly fanout: number;
  /** Least time between two comparisons of content that a node starts, milliseconds. */
  readonly reconcileGapMs: number;
  /** Time between two attempts to reach somebody who is counted dead, or a seed, milliseconds. */
  readonly reconnectIntervalMs: number;
  /** Time between two attempts to join through a seed while no other member is known, milliseconds. */
  readonly joinIntervalMs: number;
  /** Time after which owners known only from the snapshot count as unreachable, once a peer was heard, milliseconds. */
  readonly rememberMs: number;
  /** Time after its death at which a node and its facts leave the store, milliseconds. */
  readonly forgetAfterMs: number;
  /** Time that the removal of a fact is kept, milliseconds. */
  readonly tombstoneLifeMs: number;
  /** Largest plain content of a datagram, bytes: with header and seal it fits an Ethernet frame of 1500. */
  readonly datagramBytes: number;
  /** Largest plain content of a stream frame that carries several things, bytes. */
  readonly frameBytes: number;
  /** Members that a node keeps; more are refused. */
  readonly maxMembers: number;
  /** Facts of one owner, removed ones included. */
  readonly maxFactsPerOwner: number;
  /** Bytes of keys and values of one owner. */
  readonly maxBytesPerOwner: number;
}

const HOUR = 3_600_000;

/** For nodes of one data centre. See README.md for how the figures follow from each other. */
export const DEFAULT_SETTINGS: Settings = {
  probeIntervalMs: 300,
  directTimeoutMs: 250,
  probeTimeoutMs: 600,
  indirectProbes: 3,
  suspicionMinMs: 1200,
  suspicionMaxMs: 5000,
  confirmations: 3,
  opinions: 8,
  gossipDelayMs: 10,
  gossipIntervalMs: 100,
  fanout: 3,
  reconcileGapMs: 250,
  reconnectIntervalMs: 2000,
  joinIntervalMs: 1000,
  rememberMs: 30_000,
  forgetAfterMs: 72 * HOUR,
  tombstoneLifeMs: 24 * HOUR,
  datagramBytes: 1350,
  frameBytes: 48 * 1024,
  maxMembers: 20_000,
  maxFactsPerOwner: 50_000,
  maxBytesPerOwner: 32 * 1024 * 1024,
};

/** Bounds of the wire format, the same for every cluster: a message beyond them is malformed. */
export const WIRE = {
  /** Characters of a node's name. */
  name: 253,
  /** Characters of an address with port. */
  address: 64,
  /** Bytes of a fact's key. */
  key: 1024,
  /** Bytes of a fact's value. */
  value: 60_000,
  /** Messages of a packet, and members of any list in one. */
  list: 4096,
  /** Bytes of a sealed stream frame. */
  frame: 128 * 1024,
} as const;
