import type { Cancel, Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { EXTENDED_ERROR, FLAG, RCODE, TYPE } from "../codes.ts";
import { type Endpoint, endpointText } from "../endpoint.ts";
import type { Query } from "../message.ts";
import type { Name } from "../name.ts";
import { type ExtendedError, emptyReply, type Reply } from "../reply.ts";
import { limitOf, type Transport } from "../respond.ts";
import { type Answer, type RelayOptions, relay } from "./answer.ts";
import { type Asked, ask } from "./ask.ts";
import { AnswerCache, type AnswerTable, type CacheStatus, type Found } from "./cache.ts";
import type { UpstreamNetwork } from "./network.ts";
import { Probes } from "./probe.ts";
import { type Question, questionKey, questionOf } from "./question.ts";
import { type ForwardZone, Routes, refuseOwn } from "./route.ts";
import { Upstream, type UpstreamStatus } from "./upstream.ts";

/** What a server needs of one who asks others. */
export interface Forwarding {
  /** The answer to a query about a name outside the local zones: a message, or a reply to encode. Doesn't reject. */
  forward(query: Query, transport: Transport): Promise<Uint8Array | Reply>;
  /** Puts answers where workers find them too. To be called before the first query. */
  publishTo(table: AnswerTable): void;
}

/** When an asker must have an answer, milliseconds: before resolvers with short patience ask again (2 s and more). What
 *  an upstream answers later is there for the next asker. */
const DEADLINE_MS = 1800;
/** When an asker gets an answer that is too old while upstreams are still silent, milliseconds. */
const STALE_AFTER_MS = 700;
/** TTL of an answer that is too old, seconds (RFC 8767 section 4). */
const STALE_TTL = 30;
/** How long nobody is asked again for a name that nobody answered, while a too old answer serves, seconds (RFC 8767
 *  section 5). It ends early when an upstream comes back. */
const RECHECK_SECONDS = 30;
/** Least time between two lines of the log about one upstream, milliseconds. */
const LOG_GAP_MS = 1000;
/** Questions in work at a time. */
const FLIGHTS_MOST = 1000;

export interface ForwarderOptions {
  /** Who is asked about names, by zone; the root zone, empty, for all the rest. */
  readonly zones: readonly ForwardZone[];
  /** Where this server listens, each address of the machine in place of "any address": upstreams there are refused. */
  readonly own: readonly Endpoint[];
  /** Memory for answers, bytes; 0 for none. */
  readonly cacheBytes: number;
  readonly network: UpstreamNetwork;
  readonly clock: Clock;
  /** Numbers from 0 to 1 that can't be predicted: ids, letters and ports rest on them. */
  readonly random: () => number;
  readonly log: Log;
  /** Milliseconds until an asker is told that nobody answered. */
  readonly deadlineMs?: number;
}

/** How forwarding goes, for operators and metrics. */
export interface ForwarderStatus {
  readonly zones: readonly { readonly zone: Name; readonly upstreams: readonly UpstreamStatus[] }[];
  readonly cache: CacheStatus;
  /** Questions in work. */
  readonly flights: number;
  readonly counters: Readonly<Record<ForwardCounter, number>>;
}

/** `hits`: answers from what is kept, by the main thread; `joined`: askers who waited for another one's question;
 *  `stale`: answers that were too old; `failed`: askers who got none. */
export type ForwardCounter = "queries" | "hits" | "asked" | "joined" | "prefetched" | "stale" | "failed";

/** What is known of a name that others answer for. */
export interface Explained {
  readonly zone: Name;
  readonly upstreams: readonly UpstreamStatus[];
  /** The kept answer, if there is one. */
  readonly kept:
    | {
        readonly from: string;
        readonly ageSeconds: number;
        readonly lifetimeSeconds: number;
        readonly expired: boolean;
      }
    | undefined;
}

/** Answers queries about names outside the local zones by asking others. */
export class Forwarder implements Forwarding {
  readonly #options: ForwarderOptions;
  readonly #deadlineMs: number;
  readonly #upstreams = new Map<string, Upstream>();
  readonly #probes: Probes;
  readonly #flights = new Map<string, Promise<Asked>>();
  /** By question: the second from which somebody may be asked again. */
  readonly #recheck = new Map<string, number>();
  /** When each upstream was last written about, milliseconds. */
  readonly #logged = new Map<string, number>();
  readonly #counters: Record<ForwardCounter, number> = {
    queries: 0,
    hits: 0,
    asked: 0,
    joined: 0,
    prefetched: 0,
    stale: 0,
    failed: 0,
  };
  #routes: Routes;
  #cache: AnswerCache;
  #tick: Cancel = () => {};
  #stopped = false;

  /** Throws a NetError `invalid` for an upstream that is this server itself. */
  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#cache = new AnswerCache(options.cacheBytes, NO_TABLE);
    const { network, clock, random } = options;
    this.#probes = new Probes({ network, clock, random, onChange: this.#onChange });
    this.#routes = this.#routesFor(options.zones);
    this.#beat();
  }

  publishTo(table: AnswerTable): void {
    this.#cache = new AnswerCache(this.#options.cacheBytes, table);
  }

  /** Asks others from now on. What is known of upstreams that stay is kept, answers are not. Throws a NetError
   *  `invalid`, and changes nothing, for an upstream that is this server itself. */
  setZones(zones: readonly ForwardZone[]): void {
    if (JSON.stringify(textOf(zones)) === JSON.stringify(textOf(this.#routes.zones()))) return;
    this.#routes = this.#routesFor(zones);
    this.#cache.clear();
    this.#recheck.clear();
  }

  async forward(query: Query, transport: Transport): Promise<Uint8Array | Reply> {
    const refusal = this.#refusalOf(query, transport);
    if (refusal !== undefined) return refusal;
    const route = this.#routes.routeOf(query.name);
    if (route === undefined) return refused(EXTENDED_ERROR.NOT_AUTHORITATIVE, "nobody to ask for this name");
    this.#counters.queries++;
    const question = questionOf(query);
    const found = this.#cache.get(question, this.#seconds());
    const give = (answer: Answer, options: Omit<RelayOptions, "limit">): Uint8Array =>
      relay(query, answer, { limit: limitOf(query, transport), ...options });
    if (found !== undefined && !found.expired) {
      this.#counters.hits++;
      return give(found.kept.answer, { ageSeconds: found.ageSeconds });
    }
    const asked = await this.#askUnlessStale(question, route, found);
    if (asked !== undefined && asked !== "busy" && asked.outcome === "answer")
      return give(asked.answer, { ageSeconds: 0 });
    if (found !== undefined) return give(found.kept.answer, this.#staleOptions(found));
    this.#counters.failed++;
    if (asked === undefined || asked === "busy")
      return servfail(EXTENDED_ERROR.NOT_READY, "too many questions at once");
    const error = { code: EXTENDED_ERROR.NO_REACHABLE_AUTHORITY, text: asked.said };
    if (asked.unwanted === undefined) return emptyReply(RCODE.SERVFAIL, error);
    return give(asked.unwanted, { ageSeconds: 0, extendedError: asked.unwanted.extendedError ?? error });
  }

  status(): ForwarderStatus {
    return {
      zones: this.#routes.zones().map((zone) => ({ zone: zone.zone, upstreams: this.#statusOf(zone) })),
      cache: this.#cache.status(),
      flights: this.#flights.size,
      counters: { ...this.#counters },
    };
  }

  /** Who answers for a name, and what is kept of it; undefined when nobody is asked about it. */
  explain(name: Name, type: number): Explained | undefined {
    const route = this.#routes.routeOf(name);
    if (route === undefined) return undefined;
    const question = { name, type, dnssecOk: false, checkingDisabled: false };
    const found = this.#cache.get(question, this.#seconds());
    const kept = found && {
      from: found.kept.from,
      ageSeconds: found.ageSeconds,
      lifetimeSeconds: found.kept.answer.lifetime,
      expired: found.expired,
    };
    return { zone: route.zone, upstreams: this.#statusOf(route), kept };
  }

  stop(): void {
    this.#stopped = true;
    this.#tick();
    this.#probes.stop();
  }

  /** What is asked of nobody: transfers and other meta types, questions that don't want recursion, and over UDP those
   *  for everything, whose answers are large (RFC 8482). */
  #refusalOf({ name, type, flags }: Query, transport: Transport): Reply | undefined {
    if (this.#probes.hasComeBack(name))
      return refused(EXTENDED_ERROR.PROHIBITED, "this question has come back to its asker");
    if (type === TYPE.OPT || (type >= 128 && type <= 254))
      return refused(EXTENDED_ERROR.NOT_SUPPORTED, "this type is not asked of others");
    if ((flags & FLAG.RD) === 0) return refused(EXTENDED_ERROR.NOT_AUTHORITATIVE, "recursion is not desired");
    if (type === TYPE.ANY && transport === "udp") return { ...emptyReply(RCODE.NOERROR), truncated: true };
    return undefined;
  }

  /** Asks, unless a too old answer is there and nobody answered a moment ago. With one, waits for a while; not at all
   *  when nobody answered the last time. */
  async #askUnlessStale(
    question: Question,
    route: ForwardZone,
    found: Found | undefined,
  ): Promise<Asked | "busy" | undefined> {
    if (found === undefined) return await this.#asked(question, route);
    const recheck = this.#recheck.get(questionKey(question));
    if (recheck !== undefined && recheck > this.#seconds()) return undefined;
    const asking = this.#asked(question, route);
    if (recheck !== undefined) return undefined;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.schedule(STALE_AFTER_MS, () => resolve(undefined));
    const first = await Promise.race([asking, promise]);
    cancel();
    return first;
  }

  /** One exchange for all who ask the same at the same time. */
  #asked(question: Question, route: ForwardZone): Promise<Asked> | "busy" {
    const key = questionKey(question);
    const flying = this.#flights.get(key);
    if (flying !== undefined) {
      this.#counters.joined++;
      return flying;
    }
    if (this.#flights.size >= FLIGHTS_MOST || this.#stopped) return "busy";
    this.#counters.asked++;
    const { network, clock, random } = this.#options;
    const flight = ask(question, this.#upstreamsOf(route), {
      network,
      clock,
      random,
      deadlineMs: this.#deadlineMs,
      onChange: this.#onChange,
    }).then((asked) => {
      this.#flights.delete(key);
      this.#keep(question, route, asked);
      return asked;
    });
    this.#flights.set(key, flight);
    return flight;
  }

  #keep(question: Question, route: ForwardZone, asked: Asked): void {
    const now = this.#seconds();
    const key = questionKey(question);
    if (asked.outcome === "failed") {
      // Only those who have a too old answer look here.
      if (this.#recheck.size >= FLIGHTS_MOST) this.#recheck.clear();
      this.#recheck.set(key, now + RECHECK_SECONDS);
      this.#options.log.debug("nobody answered", { name: question.name, said: asked.said });
      return;
    }
    this.#recheck.delete(key);
    // Routes that changed meanwhile may lead elsewhere.
    if (this.#routes.routeOf(question.name) !== route) return;
    this.#cache.put(question, asked.answer, endpointText(asked.upstream.endpoint), now);
  }

  #staleOptions({ kept, ageSeconds }: Found): Omit<RelayOptions, "limit"> {
    this.#counters.stale++;
    const code = kept.answer.rcode === RCODE.NXDOMAIN ? EXTENDED_ERROR.STALE_NXDOMAIN : EXTENDED_ERROR.STALE_ANSWER;
    const text = `no upstream answers; ${kept.from} said this ${ageSeconds} s ago, for ${kept.answer.lifetime} s`;
    return { ageSeconds, ttl: STALE_TTL, extendedError: { code, text } };
  }

  #beat(): void {
    this.#tick = this.#options.clock.schedule(1000, () => {
      for (const question of this.#cache.takeDue(this.#seconds())) {
        const route = this.#routes.routeOf(question.name);
        if (route === undefined) continue;
        this.#counters.prefetched++;
        void this.#asked(question, route);
      }
      this.#beat();
    });
  }

  #routesFor(zones: readonly ForwardZone[]): Routes {
    refuseOwn(zones, this.#options.own);
    const routes = new Routes(zones);
    const wanted = new Map(zones.flatMap(({ upstreams }) => upstreams.map((each) => [endpointText(each), each])));
    for (const [text, upstream] of this.#upstreams) {
      if (wanted.has(text)) continue;
      this.#probes.forget(upstream);
      this.#upstreams.delete(text);
    }
    for (const [text, endpoint] of wanted) {
      if (this.#upstreams.has(text)) continue;
      const upstream = new Upstream(endpoint);
      this.#upstreams.set(text, upstream);
      this.#probes.look(upstream);
    }
    return routes;
  }

  #upstreamsOf({ upstreams }: ForwardZone): Upstream[] {
    return upstreams.flatMap((endpoint) => this.#upstreams.get(endpointText(endpoint)) ?? []);
  }

  #statusOf(zone: ForwardZone): UpstreamStatus[] {
    return this.#upstreamsOf(zone).map((upstream) => upstream.status());
  }

  readonly #onChange = (upstream: Upstream, up: boolean): void => {
    const { upstream: name, lastFailure } = upstream.status();
    const log = this.#logFor(name);
    if (up) {
      this.#recheck.clear();
      log("upstream answers again", { upstream: name });
    } else {
      log("upstream is down", { upstream: name, said: lastFailure });
      if (this.#upstreams.get(name) === upstream && !this.#stopped) this.#probes.later(upstream);
    }
  };

  /** One that goes up and down many times a second fills nobody's log. */
  #logFor(upstream: string): Log["warn"] {
    const { log, clock } = this.#options;
    const now = clock.monotonic();
    const soon = now < (this.#logged.get(upstream) ?? Number.NEGATIVE_INFINITY) + LOG_GAP_MS;
    if (soon) return (event, fields) => log.debug(event, fields);
    this.#logged.set(upstream, now);
    return (event, fields) => log.warn(event, fields);
  }

  #seconds(): number {
    return Math.floor(this.#options.clock.monotonic() / 1000);
  }
}

const NO_TABLE: AnswerTable = { putAnswer() {}, removeAnswer() {}, takeUses: () => 0 };

function refused(code: number, text: string): Reply {
  return emptyReply(RCODE.REFUSED, { code, text });
}

function servfail(code: number, text: string): Reply {
  const error: ExtendedError = { code, text };
  return emptyReply(RCODE.SERVFAIL, error);
}

function textOf(zones: readonly ForwardZone[]): unknown {
  return zones.map(({ zone, upstreams }) => [zone, upstreams.map(endpointText)]);
}
