import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf, NetError } from "../lib/error.ts";
import type { Log } from "../lib/log.ts";
import { decodePacket, encodePacket, refusalOf } from "./codec.ts";
import { Connection } from "./connection.ts";
import { formatEndpoint, parseEndpoint } from "./endpoint.ts";
import type { KeyRing } from "./key.ts";
import type { Outgoing, Via } from "./message.ts";
import type { GossipNode } from "./node.ts";
import { DatagramOpener, DatagramSealer, SESSION_BYTES } from "./seal.ts";
import { STREAM_NONCE_BYTES, StreamSeal } from "./stream-seal.ts";

export interface TransportOptions {
  readonly node: Pick<GossipNode, "receive" | "tick" | "nextWake" | "leave">;
  /** Where to listen, UDP and TCP: `0.0.0.0:62501`. */
  readonly listen: string;
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly log: Log;
  /** Unpredictable bytes. */
  readonly randomBytes: (count: number) => Uint8Array;
}

/** Counts since the start, for metrics. */
export interface TransportCounts {
  sentDatagrams: number;
  sentBytes: number;
  receivedDatagrams: number;
  receivedBytes: number;
  sentFrames: number;
  receivedFrames: number;
  /** Packets of peers with another key, identity or format. */
  foreign: number;
  forged: number;
  replayed: number;
  malformed: number;
}

/** The running network part of a node. */
export interface Transport {
  /** Carries out what the node returned to its program: of `write`, `forget`. */
  send(outgoing: readonly Outgoing[]): void;
  /** Goes over to other keys; open connections keep theirs until they end. */
  useKeys(keys: KeyRing): void;
  counts(): Readonly<TransportCounts>;
  /** Says goodbye, if `goodbye`, and closes everything. */
  stop(goodbye: boolean): void;
}

const MAX_CONNECTIONS = 256;
const IDLE_MS = 15_000;
/** Addresses whose strange packets were logged, so that each is logged once. */
const MAX_STRANGERS = 4096;

type TcpSocket = Bun.Socket<{ connection: Connection | undefined }>;

/** Starts a node on the network: one port, UDP and TCP. Throws a NetError `io` when the port can't be had. */
export async function startTransport(options: TransportOptions): Promise<Transport> {
  const running = new Running(options);
  try {
    await running.listen();
  } catch (error) {
    running.stop(false);
    throw new NetError("io", {
      tried: `listen on ${options.listen}, UDP and TCP`,
      said: messageOf(error),
      remedy: "see who has the port with: ss -lntup",
      cause: error,
    });
  }
  return running;
}

class Running implements Transport {
  readonly #options: TransportOptions;
  readonly #sealer: DatagramSealer;
  readonly #opener: DatagramOpener;
  readonly #connections = new Map<string, Connection>();
  readonly #strangers = new Set<string>();
  readonly #counts: TransportCounts = {
    sentDatagrams: 0,
    sentBytes: 0,
    receivedDatagrams: 0,
    receivedBytes: 0,
    sentFrames: 0,
    receivedFrames: 0,
    foreign: 0,
    forged: 0,
    replayed: 0,
    malformed: 0,
  };
  #keys: KeyRing;
  #udp: Bun.udp.Socket<"uint8array"> | undefined;
  #tcp: Bun.TCPSocketListener<{ connection: Connection | undefined }> | undefined;
  #cancel: Cancel | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#keys = options.keys;
    this.#sealer = new DatagramSealer(options.keys, options.randomBytes(SESSION_BYTES));
    this.#opener = new DatagramOpener(options.keys);
  }

  async listen(): Promise<void> {
    const { host: hostname, port } = parseEndpoint(this.#options.listen);
    this.#udp = await Bun.udpSocket({
      hostname,
      port,
      binaryType: "uint8array",
      socket: {
        data: (_socket, bytes, fromPort, fromHost) => this.#onDatagram(bytes, formatEndpoint(fromHost, fromPort)),
        // An unreachable peer is the failure detector's business.
        error: () => {},
      },
    });
    this.#tcp = Bun.listen<{ connection: Connection | undefined }>({ hostname, port, socket: this.#handlers() });
    this.#plan();
  }

  send(outgoing: readonly Outgoing[]): void {
    this.#sendAll(outgoing);
    this.#plan();
  }

  useKeys(keys: KeyRing): void {
    this.#keys = keys;
    this.#sealer.use(keys);
    this.#opener.use(keys);
  }

  counts(): Readonly<TransportCounts> {
    return { ...this.#counts };
  }

  stop(goodbye: boolean): void {
    if (goodbye && !this.#isStopped) this.#sendAll(this.#options.node.leave());
    this.#isStopped = true;
    this.#cancel?.();
    for (const connection of this.#connections.values()) connection.close();
    this.#tcp?.stop(true);
    this.#udp?.close();
  }

  #onDatagram(bytes: Uint8Array, from: string): void {
    this.#counts.receivedDatagrams++;
    this.#counts.receivedBytes += bytes.length;
    const opened = this.#opener.open(bytes);
    switch (opened.kind) {
      case "content":
        this.#onContent("datagram", from, opened.content);
        return;
      case "foreign":
        this.#counts.foreign++;
        this.#logStranger(from, `key ${opened.fingerprint}`);
        return;
      case "format":
        this.#counts.foreign++;
        this.#logStranger(from, `format ${opened.format}`);
        return;
      case "replayed":
        this.#counts.replayed++;
        return;
      default:
        this.#counts.forged++;
        this.#logStranger(from, opened.kind);
    }
  }

  #onContent(via: Via, from: string, content: Uint8Array): void {
    try {
      this.#sendAll(this.#options.node.receive(via, from, decodePacket(content)));
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.#counts.malformed++;
      this.#logStranger(from, refusalOf(error));
    }
    this.#plan();
  }

  /** Once for each address, so that nobody can fill the log, and a wrong secret is seen. */
  #logStranger(from: string, said: string): void {
    const { host } = parseEndpoint(from);
    if (this.#strangers.has(host) || this.#strangers.size >= MAX_STRANGERS) return;
    this.#strangers.add(host);
    const remedy = "give all nodes the same cluster secret, identity and release";
    this.#options.log.warn("gossip from a stranger was refused", { address: from, said, remedy });
  }

  #sendAll(outgoing: readonly Outgoing[]): void {
    for (const { via, to, packet } of outgoing) {
      const content = encodePacket(packet);
      if (via === "datagram") this.#sendDatagram(to, content);
      else this.#sendFrame(to, content);
    }
  }

  #sendDatagram(to: string, content: Uint8Array): void {
    const { host, port } = parseEndpoint(to);
    const bytes = this.#sealer.seal(content);
    this.#counts.sentDatagrams++;
    this.#counts.sentBytes += bytes.length;
    try {
      this.#udp?.send(bytes, port, host);
    } catch {
      // As good as lost on the way.
    }
  }

  #sendFrame(to: string, content: Uint8Array): void {
    const connection = this.#connections.get(to) ?? this.#connect(to);
    if (connection === undefined) return;
    connection.usedAt = this.#options.clock.monotonic();
    this.#counts.sentFrames++;
    this.#counts.sentBytes += content.length;
    connection.send(content);
  }

  #connect(to: string): Connection | undefined {
    if (this.#isStopped) return undefined;
    const connection = this.#add(to, "initiator");
    if (connection === undefined) return undefined;
    const { host: hostname, port } = parseEndpoint(to);
    const data = { connection };
    Bun.connect<{ connection: Connection | undefined }>({ hostname, port, data, socket: this.#handlers() }).catch(() =>
      this.#connections.delete(to),
    );
    return connection;
  }

  #add(id: string, role: "initiator" | "acceptor"): Connection | undefined {
    const now = this.#options.clock.monotonic();
    if (this.#connections.size >= MAX_CONNECTIONS) this.#closeIdle(now, IDLE_MS);
    if (this.#connections.size >= MAX_CONNECTIONS) return undefined;
    const seal = new StreamSeal(role, this.#keys, this.#options.randomBytes(STREAM_NONCE_BYTES));
    const connection = new Connection(id, role, seal, now);
    this.#connections.set(id, connection);
    return connection;
  }

  #handlers(): Bun.SocketHandler<{ connection: Connection | undefined }> {
    return {
      open: (socket) => this.#onOpen(socket),
      data: (socket, bytes) => this.#onBytes(socket, bytes),
      drain: (socket) => socket.data.connection?.drain(),
      close: (socket) => this.#onClose(socket),
      error: (socket) => this.#onClose(socket),
      connectError: (socket) => this.#onClose(socket),
    };
  }

  #onOpen(socket: TcpSocket): void {
    const known = (socket.data as { connection: Connection | undefined } | undefined)?.connection;
    const connection = known ?? this.#add(formatEndpoint(socket.remoteAddress, socket.remotePort), "acceptor");
    socket.data = { connection };
    if (connection === undefined) socket.terminate();
    else connection.open(socket);
  }

  #onBytes(socket: TcpSocket, bytes: Uint8Array): void {
    const { connection } = socket.data;
    if (connection === undefined) return;
    this.#counts.receivedBytes += bytes.length;
    connection.usedAt = this.#options.clock.monotonic();
    let contents: Uint8Array[] = [];
    try {
      contents = connection.receive(new Uint8Array(bytes));
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.#counts[error.code === "invalid" ? "forged" : "foreign"]++;
      this.#logStranger(connection.id, refusalOf(error));
      socket.terminate();
      return;
    }
    for (const content of contents) {
      this.#counts.receivedFrames++;
      this.#onContent("stream", connection.id, content);
    }
  }

  #onClose(socket: TcpSocket): void {
    const { connection } = socket.data;
    if (connection !== undefined && this.#connections.get(connection.id) === connection) {
      this.#connections.delete(connection.id);
    }
  }

  #closeIdle(now: number, idleMs: number): void {
    for (const [id, connection] of this.#connections) {
      if (now - connection.usedAt < idleMs) continue;
      connection.close();
      this.#connections.delete(id);
    }
  }

  /** Sets the one timer to when the node wants to be called. */
  #plan(): void {
    if (this.#isStopped) return;
    const { clock, node } = this.#options;
    const at = node.nextWake();
    if (this.#cancel !== undefined && at >= this.#wakeAt) return;
    this.#cancel?.();
    this.#wakeAt = at;
    this.#cancel = clock.schedule(Math.max(0, at - clock.monotonic()), () => this.#tick());
  }

  #tick(): void {
    this.#cancel = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#sendAll(this.#options.node.tick());
    this.#closeIdle(this.#options.clock.monotonic(), IDLE_MS);
    this.#plan();
  }
}
