/** A program that makes connections as fast as one thread can, or accepts them, as its argument says
 *  (vip-connects-protocol.ts). The side that accepts closes first, so that a client's port is free again at once while
 *  the other side remembers it (TIME_WAIT). The connecting side makes its system calls itself. */
import { systemCall, trySystemCall } from "../../kernel/ffi.ts";
import { synRetransmits } from "./syn-retransmits.ts";
import type { Connects, ConnectsOrder, Place } from "./vip-connects-protocol.ts";

const AF_INET = 2;
const SOCK_STREAM = 1;
/** Connections that are open at a time, far fewer than there are ports or places in a backlog. */
const AT_A_TIME = 16;
/** Turns that each place has. */
const ROUNDS = 4;
/** How long the other side may take until it listens. */
const TRIES = 200;
const WAIT_MS = 50;

interface Tally {
  served: number;
  begunAgain: number;
  tookMs: number;
  readonly connectMs: number[];
}

function socketAddress({ address, port }: Place): Uint8Array {
  return new Uint8Array([
    AF_INET,
    0,
    port >> 8,
    port & 255,
    ...address.split(".").map(Number),
    ...new Array(8).fill(0),
  ]);
}

async function listening(place: Place): Promise<void> {
  const address = socketAddress(place);
  for (let tries = 0; tries < TRIES; tries++) {
    const socket = systemCall("open a socket", "socket", AF_INET, SOCK_STREAM, 0);
    const result = trySystemCall("connect", socket, address, address.length);
    trySystemCall("close", socket);
    if (result === 0) return;
    await Bun.sleep(WAIT_MS);
  }
  throw new Error(`nobody listens at ${place.address} port ${place.port}`);
}

/** Connects so often, waits each time until the other side has closed, and adds what came of it. */
function connectAll(place: Place, count: number, tally: Tally): void {
  const address = socketAddress(place);
  const nothing = new Uint8Array(1);
  const begunAgain = synRetransmits();
  const start = performance.now();
  for (let left = count; left > 0; left -= AT_A_TIME) {
    const sockets: number[] = [];
    for (let open = 0; open < Math.min(left, AT_A_TIME); open++) {
      const socket = systemCall("open a socket", "socket", AF_INET, SOCK_STREAM, 0);
      const at = performance.now();
      systemCall(`connect to ${place.address}`, "connect", socket, address, address.length);
      tally.connectMs.push(performance.now() - at);
      sockets.push(socket);
    }
    for (const socket of sockets) {
      if (systemCall("wait for the end", "recvfrom", socket, nothing, 1, 0, null) === 0) tally.served++;
      trySystemCall("close", socket);
    }
  }
  tally.tookMs += performance.now() - start;
  tally.begunAgain += synRetransmits() - begunAgain;
}

function reportOf({ served, begunAgain, tookMs, connectMs }: Tally): Connects {
  const sorted = connectMs.sort((a, b) => b - a);
  const thousandthMs = sorted[Math.floor(sorted.length / 1000)] ?? 0;
  return { served, begunAgain, rate: (served / tookMs) * 1000, longestMs: sorted[0] ?? 0, thousandthMs };
}

async function connect(places: Readonly<Record<string, Place>>, count: number): Promise<void> {
  const all = Object.entries(places).map(([name, place]) => {
    return { name, place, tally: { served: 0, begunAgain: 0, tookMs: 0, connectMs: [] } satisfies Tally };
  });
  for (const { place } of all) await listening(place);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { place, tally } of all) connectAll(place, Math.ceil(count / ROUNDS), tally);
  }
  console.log(JSON.stringify(Object.fromEntries(all.map(({ name, tally }) => [name, reportOf(tally)]))));
}

/** Until its input ends. */
async function serve(places: readonly Place[]): Promise<void> {
  let served = 0;
  const socket = {
    open(peer: Bun.Socket) {
      served++;
      peer.end();
    },
    data: () => undefined,
    error: () => undefined,
  };
  for (const { address, port } of places) Bun.listen({ hostname: address, port, socket });
  for await (const _ of Bun.stdin.stream());
  console.log(JSON.stringify({ served }));
  process.exit();
}

const order = JSON.parse(process.argv[2] ?? "") as ConnectsOrder;
if ("serve" in order) await serve(order.serve);
else await connect(order.connect, order.count);
