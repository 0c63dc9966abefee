import type { Peer, Where } from "./vip-peers.ts";

/** What happened to connections, or datagrams, that were sent all the time. */
export interface Load {
  /** How often each server answered, and each way of not being answered. */
  readonly heard: Record<string, number>;
  /** Stops sending, when the present one is answered. */
  stop(): Promise<void>;
}

/** Milliseconds between two: about a hundred a second. */
const INTERVAL_MS = 10;
/** After so many milliseconds without answer a datagram counts as lost. */
const LOST_MS = 2000;

/** Opens connections, one every hundredth of a second. */
export function connectAlways(peer: Peer, where: Where): Load {
  return always(async () => Object.keys(await peer.ask(where, 1))[0] ?? "");
}

/** Sends datagrams from one port, one every hundredth of a second. */
export async function sendAlways(peer: Peer, where: Where): Promise<Load> {
  const sender = await peer.open("udp", where);
  const load = always(async () => (await sender.say("tick", LOST_MS)).split(" ")[0] ?? "");
  return {
    heard: load.heard,
    async stop() {
      await load.stop();
      await sender.close();
    },
  };
}

function always(once: () => Promise<string>): Load {
  const heard: Record<string, number> = {};
  let going = true;
  const finished = (async () => {
    while (going) {
      const next = Bun.sleep(INTERVAL_MS);
      const answer = await once();
      heard[answer] = (heard[answer] ?? 0) + 1;
      await next;
    }
  })();
  return {
    heard,
    async stop() {
      going = false;
      await finished;
    },
  };
}
