/** What the behaviour suite of data planes asks of a peer (vip-peer.ts), one JSON object a line. `id` is the question's
 *  number, from 1. Times are milliseconds. */
export type PeerQuestion = { readonly id: number } & (
  | (ServedPort & { readonly do: "serve" | "end" | "count" })
  | (Target & {
      readonly do: "ask";
      readonly times: number;
      /** Tell the whole greeting apart, not only the server's address. */
      readonly whole?: boolean;
    })
  | (Target & { readonly do: "open"; readonly protocol: "tcp" | "udp" })
  | { readonly do: "say"; readonly connection: number; readonly text: string; readonly timeoutMs: number }
  | { readonly do: "close"; readonly connection: number }
);

/** Where a server listens: the address is the name that it gives to its clients. */
export interface ServedPort {
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
}

export interface Target {
  readonly address: string;
  readonly port: number;
  /** Source port; any when absent. */
  readonly localPort?: number;
  readonly timeoutMs: number;
}

/** `value`: for `ask` how often each server answered (or `refused`, `unreachable`, `closed`, `timeout`); for `count`
 *  the connections or datagrams that a server got; otherwise what was heard. */
export interface PeerAnswer {
  readonly id: number;
  readonly value?: string | number | Record<string, number> | undefined;
  readonly error?: string;
}
