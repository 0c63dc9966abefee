import { addressIn, sendDatagram } from "../kernel/datagram.ts";
import { formatIp, type Ip, ipFromBytes } from "../lib/address.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Log } from "../lib/log.ts";
import { EXTENDED_ERROR, RCODE } from "./codes.ts";
import { ServerCookies } from "./cookie.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Handed } from "./fast/handed.ts";
import { SharedTable } from "./fast/table.ts";
import { Workers } from "./fast/workers.ts";
import type { Forwarding } from "./forward/forwarder.ts";
import type { Query } from "./message.ts";
import type { Name } from "./name.ts";
import { LARGE_BYTES, RateLimit } from "./rate.ts";
import { emptyReply, type Reply } from "./reply.ts";
import { type Authority, encode, respond, type Transport } from "./respond.ts";
import { listenTcp, type TcpServer } from "./tcp.ts";
import type { Zones } from "./zones.ts";

/** Time between two tries to have an address that somebody else has, or that isn't there yet, milliseconds. */
const RETRY_MS = 2000;
/** Time between two times that workers are told the time, milliseconds. */
const TIME_MS = 250;
/** Names that one turn of the event loop publishes; queries are answered in between. */
const PUBLISHED_AT_ONCE = 1000;

export type { Endpoint } from "./endpoint.ts";

const OVER_TCP: Reply = { ...emptyReply(RCODE.NOERROR), truncated: true };

/** How long a server that ends waits for the answers of others, at which intervals it looks, milliseconds. */
const LAST_ANSWERS_MS = 2000;
const LAST_LOOK_MS = 10;

export interface DnsServerOptions {
  readonly listen: readonly Endpoint[];
  readonly zones: Zones;
  readonly authority: Omit<Authority, "zones" | "recursion">;
  /** Undefined: names outside the zones are refused. */
  readonly forward: Forwarding | undefined;
  /** Threads that answer over UDP. */
  readonly workers: number;
  /** Memory reserved for what they answer from, bytes. */
  readonly tableBytes: number;
  /** 16 bytes of which cookies are made; servers that share it take each other's. Undefined: some of its own. */
  readonly cookieSecret?: Uint8Array;
  readonly clock: Clock;
  readonly log: Log;
}

/** Where an endpoint is served. */
export interface Bound {
  readonly ip: Ip;
  readonly udpPort: number;
  readonly tcpPort: number;
}

/** Serves the zones over UDP and TCP. */
export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #authority: Authority;
  readonly #table: SharedTable;
  readonly #workers: Workers;
  readonly #tcp: TcpServer[] = [];
  readonly #cancels = new Set<Cancel>();
  readonly #bound: Bound[] = [];
  /** Names to publish, by change. */
  readonly #due: Generator<Name>[] = [];
  #publishing = false;
  readonly #cookies: ServerCookies;
  readonly #limit: RateLimit;
  /** `ending`: takes no more queries, and answers those that it has. */
  #state: "serving" | "ending" | "stopped" = "serving";

  constructor(options: DnsServerOptions) {
    const { zones, authority, forward, workers, log } = options;
    const recursion = forward !== undefined;
    this.#options = options;
    this.#authority = { ...authority, zones, recursion };
    this.#table = new SharedTable(options.tableBytes);
    this.#cookies = new ServerCookies(options.cookieSecret ?? crypto.getRandomValues(new Uint8Array(16)));
    this.#limit = new RateLimit(crypto.getRandomValues(new Int32Array(1))[0] ?? 0);
    this.#workers = new Workers({
      table: this.#table,
      count: workers,
      recursion,
      onHanded: (handed) => this.#answerHanded(handed),
      onFailure: (error) => log.error("worker failed", { error }),
    });
    forward?.publishTo(this.#table);
    if (recursion) this.#tellTime();
    this.publish();
    this.listen(options.listen);
  }

  /** Serves these endpoints, too; what can't be had is tried again. */
  listen(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) this.#listen(endpoint, false);
  }

  /** Endpoints that are served by now. */
  bound(): readonly Bound[] {
    return this.#bound;
  }

  /** Names that the workers answer by themselves, and queries that they have. */
  fastPath(): { readonly names: number; readonly answered: number; readonly bytes: number } {
    return { names: this.#table.size, answered: this.#workers.answered(), bytes: this.#table.bytesUsed };
  }

  /** Makes what changed in the zones visible to the workers. Few names at once, many a part in each turn of the event
   *  loop; until a name's turn has come, it is answered as it was. What changes meanwhile goes first. */
  publish(): void {
    this.#due.push(this.#options.zones.settle());
    this.#publishSome();
  }

  /** Takes no more queries, answers those that it has, for a while, and ends. Where another process serves the same
   *  addresses by now, no query is lost. */
  async stop(): Promise<void> {
    this.#state = "ending";
    for (const cancel of this.#cancels) cancel();
    for (const tcp of this.#tcp) tcp.end();
    await this.#workers.end();
    const { clock } = this.#options;
    for (const end = clock.monotonic() + LAST_ANSWERS_MS; this.#workers.waiting() > 0 && clock.monotonic() < end; ) {
      const { promise, resolve } = Promise.withResolvers<void>();
      clock.schedule(LAST_LOOK_MS, resolve);
      await promise;
    }
    this.#state = "stopped";
    for (const tcp of this.#tcp) tcp.stop();
    this.#workers.close();
  }

  /** Workers tell from it how old answers are. */
  #tellTime(): void {
    this.#table.setSeconds(Math.floor(this.#options.clock.monotonic() / 1000));
    this.#later(TIME_MS, () => this.#tellTime());
  }

  #publishSome(): void {
    for (let left = PUBLISHED_AT_ONCE; left > 0; left--) {
      const name = this.#nextDue();
      if (name === undefined) return;
      this.#table.put(name, this.#options.zones.get(name));
    }
    if (this.#publishing) return;
    this.#publishing = true;
    this.#later(0, () => {
      this.#publishing = false;
      this.#publishSome();
    });
  }

  #nextDue(): Name | undefined {
    for (;;) {
      const next = this.#due.at(-1)?.next();
      if (next?.done !== true) return next?.value;
      this.#due.pop();
    }
  }

  #listen(endpoint: Endpoint, again: boolean): void {
    const { log } = this.#options;
    const at = { address: formatIp(endpoint.ip), port: endpoint.port };
    try {
      const udpPort = this.#workers.listen(endpoint.ip, endpoint.port);
      this.#listenTcp(endpoint.ip, udpPort);
      log.info("listening", { ...at, port: udpPort });
    } catch (error) {
      if (!again) log.warn("cannot listen yet", { ...at, error: messageOf(error), retry_ms: RETRY_MS });
      this.#later(RETRY_MS, () => this.#listen(endpoint, true));
    }
  }

  /** TCP has the port of UDP; it is tried again by itself when somebody else has it. */
  #listenTcp(ip: Ip, udpPort: number): void {
    try {
      const tcp = listenTcp(formatIp(ip), udpPort, (message) => this.#answer(message, "tcp"));
      this.#tcp.push(tcp);
      this.#bound.push({ ip, udpPort, tcpPort: tcp.port });
    } catch (error) {
      const at = { address: formatIp(ip), port: udpPort };
      this.#options.log.warn("cannot listen to TCP yet", { ...at, error: messageOf(error), retry_ms: RETRY_MS });
      this.#later(RETRY_MS, () => this.#listenTcp(ip, udpPort));
    }
  }

  #later(delayMs: number, action: () => void): void {
    if (this.#state !== "serving") return;
    const cancel = this.#options.clock.schedule(delayMs, () => {
      this.#cancels.delete(cancel);
      if (this.#state === "serving") action();
    });
    this.#cancels.add(cancel);
  }

  /** At once where that can be: a promise for each query is much of what unknown names cost. */
  #answerHanded(handed: Handed): void {
    const reply = this.#answer(handed.message, "udp", handed.source);
    if (reply instanceof Promise) void reply.then((late) => this.#sendHanded(handed, late));
    else this.#sendHanded(handed, reply);
  }

  #sendHanded({ fd, source }: Handed, reply: Uint8Array | undefined): void {
    this.#workers.finished();
    if (reply === undefined || this.#state === "stopped") return;
    if (!sendDatagram(fd, reply, source)) {
      this.#options.log.debug("cannot send an answer", { to: formatIp(ipFromBytes(addressIn(source))) });
    }
  }

  /** `source`: over UDP, who asks, as a struct sockaddr. Undefined for silence. Neither throws nor rejects. */
  #answer(
    message: Uint8Array,
    transport: Transport,
    source?: Uint8Array,
  ): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    try {
      const makeCookie =
        source && ((cookie: Uint8Array) => this.#cookies.option(cookie, addressIn(source), this.#now()));
      const outcome = respond(message, transport, this.#authority, makeCookie);
      if (outcome.outcome === "dropped") return undefined;
      const { query } = outcome;
      if (outcome.outcome === "reply") return this.#limited(outcome.message, query, source);
      const forwarded = this.#forwarded(query, transport).then((reply) => this.#limited(reply, query, source));
      return forwarded.catch((error: unknown) => this.#failed(error));
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): undefined {
    this.#options.log.error("answering failed", { error: messageOf(error) });
  }

  async #forwarded(query: Query, transport: Transport): Promise<Uint8Array> {
    const reply = await this.#forward(query, transport);
    return reply instanceof Uint8Array ? reply : encode(query, reply, transport, this.#authority);
  }

  /** The reply, or over UDP, where it is large and the asker may not have it, one that says to come over TCP. */
  #limited(reply: Uint8Array, query: Query, source: Uint8Array | undefined): Uint8Array {
    if (source === undefined || reply.length <= LARGE_BYTES || this.#mayHaveLarge(query, source)) return reply;
    return encode(query, OVER_TCP, "udp", this.#authority);
  }

  /** A cookie shows that the address is not faked. */
  #mayHaveLarge({ edns }: Query, source: Uint8Array): boolean {
    if (edns?.cookie !== undefined && this.#cookies.isGood(edns.cookie, addressIn(source), this.#now())) return true;
    return this.#limit.allows(source, 0, this.#options.clock.monotonic());
  }

  /** Seconds since 1970. */
  #now(): number {
    return Math.floor(this.#options.clock.now() / 1000);
  }

  async #forward(query: Query, transport: Transport): Promise<Uint8Array | Reply> {
    const text = "nobody to ask for this name";
    const unable = emptyReply(RCODE.REFUSED, { code: EXTENDED_ERROR.NOT_AUTHORITATIVE, text });
    return (await this.#options.forward?.forward(query, transport)) ?? unable;
  }
}
