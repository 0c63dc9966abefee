import type { Socket, TCPSocketListener } from "bun";
import { TCP_BYTES } from "./codes.ts";

/** Seconds after which a connection without a query is closed (RFC 7766 section 6.2.3 leaves it to us). */
const IDLE_SECONDS = 10;
/** Connections at a time; one more is closed at once. */
const CONNECTIONS_MOST = 1024;
/** Queries of a connection that wait for others at a time. */
const PIPELINED_MOST = 64;
/** Bytes of answers that a client may leave unread. */
const UNSENT_BYTES = 4 * TCP_BYTES;

/** Answers one message; undefined for silence. Doesn't reject. */
export type AnswerMessage = (message: Uint8Array) => Promise<Uint8Array | undefined> | Uint8Array | undefined;

interface Connection {
  received: Uint8Array;
  unsent: Uint8Array;
  waiting: number;
}

/** A TCP server for DNS (RFC 7766): each message behind its length in two bytes, any number on a connection, answered
 *  as the answers come. Throws when the address can't be had. */
export function listenTcp(hostname: string, port: number, answer: AnswerMessage): { port: number; stop(): void } {
  let connections = 0;
  const listener: TCPSocketListener<Connection> = Bun.listen<Connection>({
    hostname,
    port,
    socket: {
      open(socket) {
        socket.data = { received: EMPTY, unsent: EMPTY, waiting: 0 };
        socket.timeout(IDLE_SECONDS);
        if (++connections > CONNECTIONS_MOST) socket.terminate();
      },
      close() {
        connections--;
      },
      timeout(socket) {
        socket.end();
      },
      data(socket, bytes) {
        socket.timeout(IDLE_SECONDS);
        socket.data.received = Buffer.concat([socket.data.received, bytes]);
        takeMessages(socket, answer);
      },
      drain(socket) {
        flush(socket, EMPTY);
      },
      error(socket) {
        socket.terminate();
      },
    },
  });
  return { port: listener.port, stop: () => listener.stop(true) };
}

const EMPTY = new Uint8Array(0);

/** Answers the complete messages; what is left over waits for the rest. A client that pipelines more than we take waits
 *  until answers have gone. */
function takeMessages(socket: Socket<Connection>, answer: AnswerMessage): void {
  const { data } = socket;
  while (data.received.length >= 2 && data.waiting < PIPELINED_MOST) {
    const length = ((data.received[0] ?? 0) << 8) | (data.received[1] ?? 0);
    if (data.received.length < length + 2) break;
    const message = data.received.slice(2, length + 2);
    data.received = data.received.subarray(length + 2);
    data.waiting++;
    void answerOne(socket, message, answer);
  }
  // More than one whole message beyond those in work is a client that doesn't listen.
  if (data.received.length > 2 * (TCP_BYTES + 2)) socket.terminate();
}

async function answerOne(socket: Socket<Connection>, message: Uint8Array, answer: AnswerMessage): Promise<void> {
  const reply = await answer(message);
  socket.data.waiting--;
  if (reply === undefined) {
    socket.end();
    return;
  }
  flush(socket, Buffer.concat([Uint8Array.of(reply.length >> 8, reply.length & 0xff), reply]));
  if (socket.data.received.length > 0) takeMessages(socket, answer);
}

function flush(socket: Socket<Connection>, more: Uint8Array): void {
  const { data } = socket;
  const bytes = data.unsent.length === 0 ? more : Buffer.concat([data.unsent, more]);
  const sent = socket.write(bytes);
  data.unsent = sent < 0 ? EMPTY : bytes.subarray(sent);
  if (data.unsent.length > UNSENT_BYTES) socket.terminate();
}
