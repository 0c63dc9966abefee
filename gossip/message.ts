import type { MemberRecord } from "./member.ts";
import type { Delta } from "./owner-log.ts";
import type { Root } from "./summary.ts";

/** How far a node has the facts of an owner: everything of `generation` up to `version`. */
export interface Position {
  readonly owner: string;
  readonly generation: number;
  readonly version: number;
  /** Removals up to this version need not be sent: what the node has was built without what they removed. */
  readonly base: number;
}

/** A part of a bucket that a digest lists completely. */
export interface Coverage {
  readonly bucket: number;
  readonly part: number;
  readonly parts: number;
}

/** What a node knows of one name. */
export interface DigestEntry {
  readonly record: MemberRecord;
  /** Seconds since the member is absent; 0 when it is present. */
  readonly absentSeconds: number;
  /** Position of its facts; generation 0 when none are known. */
  readonly generation: number;
  readonly version: number;
}

/** Everything that nodes say to each other. */
export type Message =
  /** Are you there? `target` is who is meant; empty when only the address is known. */
  | { readonly type: "ping"; readonly sequence: number; readonly target: string; readonly root: Root }
  | { readonly type: "ack"; readonly sequence: number; readonly root: Root }
  /** Please ping for me: my direct ping got no answer. */
  | { readonly type: "ping-request"; readonly sequence: number; readonly target: string; readonly address: string }
  /** The ping that you asked for got no answer; but I am well. */
  | { readonly type: "nack"; readonly sequence: number }
  /** News of a member. `by` is who suspects it or found it dead; otherwise empty. */
  | { readonly type: "member"; readonly record: MemberRecord; readonly by: string }
  | { readonly type: "delta"; readonly delta: Delta }
  /** There is something newer, too large to be pushed. */
  | { readonly type: "news"; readonly position: Position }
  /** Our contents differ: these are my bucket hashes. */
  | { readonly type: "buckets"; readonly hashes: Uint32Array }
  /** What I know of some names; `reply` asks for what you know better. */
  | {
      readonly type: "digest";
      readonly cover: readonly Coverage[];
      readonly entries: readonly DigestEntry[];
      readonly reply: boolean;
    }
  /** Send me what follows these positions. */
  | { readonly type: "request"; readonly wants: readonly Position[] }
  /** End of the answer to a request; `more` when not everything fitted. */
  | { readonly type: "end"; readonly more: boolean };

/** What one datagram or one stream frame carries. */
export interface Packet {
  /** The sender's statement about itself; always alive. */
  readonly sender: MemberRecord;
  readonly messages: readonly Message[];
}

/** Datagrams may be lost, doubled and reordered, and are small; streams are none of that. */
export type Via = "datagram" | "stream";

/** A packet to be sent. */
export interface Outgoing {
  readonly via: Via;
  readonly to: string;
  readonly packet: Packet;
  /** Bytes that the packet takes encoded, not yet sealed. */
  readonly size: number;
}
