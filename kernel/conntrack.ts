import type { Ip } from "../lib/address.ts";

/** A tracked connection, in its original direction. */
export interface Flow {
  /** 6 tcp, 17 udp, 132 sctp, … */
  readonly protocol: number;
  readonly source: Ip;
  readonly destination: Ip;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Address and port that answer: the real server behind a DNAT. */
  readonly replySource: Ip;
  readonly replySourcePort: number;
}

/** What flows were sent to. */
export type FlowDestination = Pick<Flow, "protocol" | "destination" | "destinationPort">;

/** Connection tracking of one namespace (nfnetlink_conntrack.h). */
export interface Conntrack {
  list(family: 4 | 6): Flow[];
  /** Deletes the flows that `match` accepts and tells how many; a flow that ended meanwhile is no error. `only` spares
   *  reading the others, where the kernel can tell them apart (since Linux 5.8); `match` is asked all the same. */
  delete(family: 4 | 6, match: (flow: Flow) => boolean, only?: FlowDestination): number;
}
