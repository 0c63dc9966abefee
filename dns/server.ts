import { addressIn, sendDatagram } from "../kernel/datagram.ts";
import { formatIp, type Ip, ipFromBytes } from "../lib/address.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Log } from "../lib/log.ts";
import { EXTENDED_ERROR, RCODE } from "./codes.ts";
import type { Endpoint } from "./endpoint.ts";
import { SharedTable } from "./fast/table.ts";
import type { Handed } from "./fast/worker.ts";
import { Workers } from "./fast/workers.ts";
import type { Forwarding } from "./forward/forwarder.ts";
import type { Query } from "./message.ts";
import type { Name } from "./name.ts";
import { emptyReply, type Reply } from "./reply.ts";
import { type Authority, encode, respond, type Transport } from "./respond.ts";
import { listenTcp } from "./tcp.ts";
import type { Zones } from "./zones.ts";

/** Time between two tries to have an address that somebody else has, or that isn't there yet, milliseconds. */
const RETRY_MS = 2000;
/** Time between two times that workers are told the time, milliseconds. */
const TIME_MS = 250;
/** Names that one turn of the event loop publishes; queries are answered in between. */
const PUBLISHED_AT_ONCE = 2000;

export type { Endpoint } from "./endpoint.ts";

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
  readonly #stops: (() => void)[] = [];
  readonly #cancels = new Set<Cancel>();
  readonly #bound: Bound[] = [];
  /** Names to publish, in the order in which they changed. */
  readonly #due = new Set<Name>();
  #stopped = false;

  constructor(options: DnsServerOptions) {
    const { zones, authority, forward, workers, log } = options;
    const recursion = forward !== undefined;
    this.#options = options;
    this.#authority = { ...authority, zones, recursion };
    this.#table = new SharedTable(options.tableBytes);
    this.#workers = new Workers({
      table: this.#table,
      count: workers,
      recursion,
      onHanded: (handed) => void this.#answerHanded(handed),
      onFailure: (error) => log.error("worker failed", { error }),
    });
    forward?.publishTo(this.#table);
    if (recursion) this.#tellTime();
    this.publish();
    for (const endpoint of options.listen) this.#listen(endpoint, false);
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
   *  loop; until a name's turn has come, it is answered as it was. */
  publish(): void {
    for (const name of this.#options.zones.settle()) this.#due.add(name);
    this.#publishSome();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#cancels) cancel();
    for (const stop of this.#stops) stop();
    await this.#workers.stop();
  }

  /** Workers tell from it how old answers are. */
  #tellTime(): void {
    this.#table.setSeconds(Math.floor(this.#options.clock.monotonic() / 1000));
    this.#later(TIME_MS, () => this.#tellTime());
  }

  #publishSome(): void {
    let left = PUBLISHED_AT_ONCE;
    for (const name of this.#due) {
      if (left-- === 0) break;
      this.#due.delete(name);
      this.#table.put(name, this.#options.zones.get(name));
    }
    if (this.#due.size > 0) this.#later(0, () => this.#publishSome());
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
      const { port, stop } = listenTcp(formatIp(ip), udpPort, (message) => this.#answer(message, "tcp"));
      this.#stops.push(stop);
      this.#bound.push({ ip, udpPort, tcpPort: port });
    } catch (error) {
      const at = { address: formatIp(ip), port: udpPort };
      this.#options.log.warn("cannot listen to TCP yet", { ...at, error: messageOf(error), retry_ms: RETRY_MS });
      this.#later(RETRY_MS, () => this.#listenTcp(ip, udpPort));
    }
  }

  #later(delayMs: number, action: () => void): void {
    if (this.#stopped) return;
    const cancel = this.#options.clock.schedule(delayMs, () => {
      this.#cancels.delete(cancel);
      if (!this.#stopped) action();
    });
    this.#cancels.add(cancel);
  }

  async #answerHanded({ fd, message, source }: Handed): Promise<void> {
    const reply = await this.#answer(message, "udp");
    this.#workers.finished();
    if (reply === undefined || this.#stopped) return;
    if (!sendDatagram(fd, reply, source)) {
      this.#options.log.debug("cannot send an answer", { to: formatIp(ipFromBytes(addressIn(source))) });
    }
  }

  async #answer(message: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    try {
      const outcome = respond(message, transport, this.#authority);
      if (outcome.outcome === "reply") return outcome.message;
      if (outcome.outcome === "dropped") return undefined;
      const reply = await this.#forward(outcome.query, transport);
      return reply instanceof Uint8Array ? reply : encode(outcome.query, reply, transport, this.#authority);
    } catch (error) {
      this.#options.log.error("answering failed", { error: messageOf(error) });
      return undefined;
    }
  }

  async #forward(query: Query, transport: Transport): Promise<Uint8Array | Reply> {
    const text = "nobody to ask for this name";
    const unable = emptyReply(RCODE.REFUSED, { code: EXTENDED_ERROR.NOT_AUTHORITATIVE, text });
    return (await this.#options.forward?.forward(query, transport)) ?? unable;
  }
}
