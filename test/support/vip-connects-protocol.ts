/** Where somebody listens. */
export interface Place {
  /** An IPv4 address. */
  readonly address: string;
  readonly port: number;
}

/** What the connecting program (vip-connects.ts) is told, as JSON in its one argument. */
export type ConnectsOrder =
  /** To accept connections at these places and to close each at once. */
  | { readonly serve: readonly Place[] }
  /** To make `count` connections to each of these places, by turns, without pause. */
  | { readonly connect: Readonly<Record<string, Place>>; readonly count: number };

/** What came of the connections to one place. */
export interface Connects {
  /** How many were made and then closed by the other side. */
  readonly served: number;
  /** How often the first packet of a connection was sent again: each time costs a second or more (TcpExt
   *  TCPSynRetrans of the namespace). */
  readonly begunAgain: number;
  /** Connections in a second. */
  readonly rate: number;
  /** Longest connect, and the one that a thousandth are longer than, milliseconds. */
  readonly longestMs: number;
  readonly thousandthMs: number;
}

/** What the connecting program prints, by the names of the places. */
export type ConnectsReport = Readonly<Record<string, Connects>>;
