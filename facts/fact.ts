import type { Task } from "./task.ts";

/** What every fact carries beside its body. Only its owner writes a fact. */
interface FactHead {
  /** Id of the node that observed or decided it. */
  readonly owner: string;
  /** Tells the facts of one owner and kind apart; each kind says what it is. */
  readonly key: string;
  /** Grows with each write of the owner, 1 … 2^53−1: of two facts of one owner, kind and key the higher one counts. */
  readonly version: number;
  /** Wall clock of the owner when it observed this, milliseconds since 1970. For people and for the choice between
   *  owners; never for the order of one owner's writes. */
  readonly observedAt: number;
}

/** What a node says of itself. Key: the node's id, which is the owner. */
export interface NodeFact extends FactHead {
  readonly kind: "node";
  readonly body: NodeBody;
}

export interface NodeBody {
  /** Host name, for people. */
  readonly name: string;
  readonly role: "master" | "agent";
  /** Addresses on the underlay in canonical text, best first, at least one. */
  readonly addresses: readonly string[];
  /** What it asks of the overlay leader. */
  readonly wish: OverlayWish;
  /** Version by program: `dcos-net`, `linux`. */
  readonly versions: Readonly<Record<string, string>>;
  readonly speaks: NodeVoice;
}

/** The wish of a node for subnets (AgentNetworkConfig of the DC/OS overlay module). */
export interface OverlayWish {
  /** False: a tunnel endpoint only. */
  readonly allocateSubnet: boolean;
  readonly mesosBridge: boolean;
  readonly dockerBridge: boolean;
}

/** Whose tasks this node knows completely, so that what it doesn't mention isn't there. */
export interface NodeVoice {
  /** Agent ids whose complete task list is among the task facts of this owner. Published after these facts. */
  readonly agents: readonly string[];
  /** Set while this node's task facts hold the complete snapshot of the leading Mesos master, published after these
   *  facts: wall clock when the snapshot came, milliseconds since 1970. The greatest in the cluster is the master's
   *  word. */
  readonly masterSince?: number;
  /** Set while this node's assignment facts are all that the overlay's leader decided up to this epoch, published after
   *  these facts: whatever an earlier epoch said doesn't count any more. */
  readonly overlayEpoch?: number;
}

/** What the overlay leader gave to a node. Key: that node's id. Owner: the leader. */
export interface AssignmentFact extends FactHead {
  readonly kind: "assignment";
  readonly body: AssignmentBody;
}

export interface AssignmentBody {
  /** Id of the node that it is for. */
  readonly node: string;
  /** Leadership that decided it; whatever a lower one said doesn't count. 1 … 2^53−1. */
  readonly epoch: number;
  /** Absent when the node was refused as a whole. */
  readonly vtep?: VtepAssignment;
  /** By name; empty when the node was refused as a whole. */
  readonly overlays: readonly OverlayAssignment[];
  /** Why the node was refused as a whole, with the remedy. */
  readonly refusal?: string;
}

export interface VtepAssignment {
  /** VXLAN network identifier, 1 … 2^24−1. */
  readonly vni: number;
  /** UDP port of the tunnel. */
  readonly port: number;
  /** Address with the prefix length of the pool: `44.128.0.1/20`. */
  readonly ip: string;
  readonly ip6?: string;
  /** Six bytes, lower case hexadecimal, joined by colons. */
  readonly mac: string;
  /** MTU of the tunnel device, bytes. */
  readonly mtu?: number;
}

/** One overlay with the node's part of it. A family is there with all its fields or not at all. */
export interface OverlayAssignment {
  readonly name: string;
  /** The whole overlay: `9.0.0.0/8`, and the prefix length of each node's part. */
  readonly range?: OverlayRangeText;
  readonly range6?: OverlayRangeText;
  /** The node's part: `9.0.1.0/24`. Absent when the node gets none (its wish, or the pool is used up). */
  readonly subnet?: string;
  readonly subnet6?: string;
  readonly isolated: boolean;
  readonly enabled: boolean;
  /** Whether the node has the lower half for Mesos and CNI, and the upper half for Docker. */
  readonly mesosBridge: boolean;
  readonly dockerBridge: boolean;
  /** Why the node has no part of it although it asked, with the remedy; absent when all is well. */
  readonly refusal?: string;
}

export interface OverlayRangeText {
  readonly subnet: string;
  readonly prefix: number;
}

/** How an overlay stands on a node. Key: the overlay's name. Owner: the node. */
export interface StatusFact extends FactHead {
  readonly kind: "status";
  readonly body: StatusBody;
}

export interface StatusBody {
  readonly overlay: string;
  readonly state: "configuring" | "ok" | "failed";
  /** Why it failed, in a sentence; absent otherwise. */
  readonly error?: string;
  /** Containers that are attached to it on the node; absent when that isn't known. */
  readonly containers?: number;
}

/** A task that the owner saw. Key: `keyOfTask`. */
export interface TaskFact extends FactHead {
  readonly kind: "task";
  readonly body: Task;
}

/** The address that a named virtual IP has, as a node says that hosts a backend of it. Key: `<family>/<name>`. All nodes
 *  compute the addresses from these claims, so that a name has the same address everywhere. */
export interface VipFact extends FactHead {
  readonly kind: "vip";
  readonly body: VipBody;
}

export interface VipBody {
  /** The name in DNS before the zone: `app.marathon`. */
  readonly name: string;
  /** IPv4 or IPv6 address in canonical text. */
  readonly address: string;
  /** Wall clock of the node that claimed it first, milliseconds since 1970; nodes that join the claim keep it. */
  readonly since: number;
}

/** The key of a claim: family of the address, and name. */
export function vipKey({ name, address }: Pick<VipBody, "name" | "address">): string {
  return `${address.includes(":") ? 6 : 4}/${name}`;
}

/** What an operator drains: no new connections to it through virtual IPs. Key: `node/<id>` or `task/<key of the
 *  task>`. Owner: the node where it was asked for. */
export interface DrainFact extends FactHead {
  readonly kind: "drain";
  readonly body: DrainBody;
}

export interface DrainBody {
  /** Kind and id of what is drained; the id of a task is its key (`keyOfTask`). */
  readonly target: "node" | "task";
  readonly id: string;
  /** Wall clock, milliseconds since 1970. */
  readonly since: number;
}

/** The closed union of all that nodes tell each other. */
export type Fact = NodeFact | AssignmentFact | StatusFact | TaskFact | VipFact | DrainFact;
export type FactKind = Fact["kind"];

/** Names a fact without its content. Taking a fact back is a write of its owner too: the version is its own, above
 *  those of the fact. */
export interface FactRef {
  readonly owner: string;
  readonly kind: FactKind;
  readonly key: string;
  readonly version: number;
}

/** Tells facts of one owner apart, of whatever kind: the key under which gossip carries it. */
export function factName({ kind, key }: Pick<FactRef, "kind" | "key">): string {
  return `${kind}/${key}`;
}
