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

export interface TcpServer {
  readonly port: number;
  /** Takes no more connections, and ends each of those that are there once it waits for no answer. */
  end(): void;
  /** Ends everything at once. */
  stop(): void;
}

/** A TCP server for DNS (RFC 7766): each message behind its length in two bytes, any number on a connection, answered
 *  as the answers come. Another process may serve the same address, as one that takes over from this does
 *  (SO_REUSEPORT). Throws when the address can't be had. */
export function listenTcp(hostname: string, port: number, answer: AnswerMessage): TcpServer {
  const connections = new Set<Socket<Connection>>();
  let isEnding = false;
  const answerOrEnd = (socket: Socket<Connection>): void => {
    takeMessages(socket, answer, () => {
      if (isEnding && socket.data.waiting === 0) socket.end();
    });
  };
  const options = {
    hostname,
    port,
    // Not among Bun's types of a listener, though it is heeded there.
    reusePort: true,
    socket: {
      open(socket: Socket<Connection>) {
        socket.data = { received: EMPTY, unsent: EMPTY, waiting: 0 };
        socket.timeout(IDLE_SECONDS);
        connections.add(socket);
        if (connections.size > CONNECTIONS_MOST) socket.terminate();
      },
      close(socket: Socket<Connection>) {
        connections.delete(socket);
      },
      timeout(socket: Socket<Connection>) {
        socket.end();
      },
      data(socket: Socket<Connection>, bytes: Uint8Array) {
        socket.timeout(IDLE_SECONDS);
        socket.data.received = Buffer.concat([socket.data.received, bytes]);
        answerOrEnd(socket);
      },
      drain(socket: Socket<Connection>) {
        flush(socket, EMPTY);
      },
      error(socket: Socket<Connection>) {
        socket.terminate();
      },
    },
  };
  const listener: TCPSocketListener<Connection> = Bun.listen<Connection>(options);
  return {
    port: listener.port,
    end() {
      isEnding = true;
      listener.stop();
      for (const socket of connections) if (socket.data.waiting === 0) socket.end();
    },
    stop: () => listener.stop(true),
  };
}

const EMPTY = new Uint8Array(0);

/** Answers the complete messages; what is left over waits for the rest. A client that pipelines more than we take waits
 *  until answers have gone. */
function takeMessages(socket: Socket<Connection>, answer: AnswerMessage, onAnswered: () => void): void {
  const { data } = socket;
  while (data.received.length >= 2 && data.waiting < PIPELINED_MOST) {
    const length = ((data.received[0] ?? 0) << 8) | (data.received[1] ?? 0);
    if (data.received.length < length + 2) break;
    const message = data.received.slice(2, length + 2);
    data.received = data.received.subarray(length + 2);
    data.waiting++;
    void answerOne(socket, message, answer, onAnswered);
  }
  // More than one whole message beyond those in work is a client that doesn't listen.
  if (data.received.length > 2 * (TCP_BYTES + 2)) socket.terminate();
}

async function answerOne(
  socket: Socket<Connection>,
  message: Uint8Array,
  answer: AnswerMessage,
  onAnswered: () => void,
): Promise<void> {
  const reply = await answer(message);
  socket.data.waiting--;
  if (reply === undefined) {
    socket.end();
    return;
  }
  flush(socket, Buffer.concat([Uint8Array.of(reply.length >> 8, reply.length & 0xff), reply]));
  if (socket.data.received.length > 0) takeMessages(socket, answer, onAnswered);
  onAnswered();
}

function flush(socket: Socket<Connection>, more: Uint8Array): void {
  const { data } = socket;
  const bytes = data.unsent.length === 0 ? more : Buffer.concat([data.unsent, more]);
  const sent = socket.write(bytes);
  data.unsent = sent < 0 ? EMPTY : bytes.subarray(sent);
  if (data.unsent.length > UNSENT_BYTES) socket.terminate();
}
