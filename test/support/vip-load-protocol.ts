/** What the load program (vip-load.ts) is told, as JSON in its one argument. Times are milliseconds. */
export interface LoadOrder {
  /** New connections, one each `everyMs`: `address` and `port` of a server of vip-peer.ts. */
  readonly tcp: { readonly address: string; readonly port: number };
  /** Datagrams from one source port, one each `everyMs`. */
  readonly udp: { readonly address: string; readonly port: number; readonly localPort: number };
  readonly everyMs: number;
  /** After so long without an answer a connection has failed. */
  readonly timeoutMs: number;
}

/** One new connection. */
export interface Connect {
  /** Wall clock at its beginning. */
  readonly at: number;
  /** Address of the server that greeted; undefined for one that failed. */
  readonly server: string | undefined;
  /** Why it failed. */
  readonly failure: string | undefined;
}

/** One datagram. */
export interface Sent {
  readonly at: number;
  /** Address of the server that answered; undefined when none has. */
  readonly server: string | undefined;
}

/** What the load program prints when its input ends. */
export interface LoadReport {
  readonly connects: readonly Connect[];
  readonly datagrams: readonly Sent[];
}
