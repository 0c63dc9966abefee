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

/** Connection tracking of one namespace (nfnetlink_conntrack.h). */
export interface Conntrack {
  list(family: 4 | 6): Flow[];
  /** Deletes the flows that `match` accepts and tells how many; a flow that ended meanwhile is no error. */
  delete(family: 4 | 6, match: (flow: Flow) => boolean): number;
}
