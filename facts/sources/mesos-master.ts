import type { Cancel } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { JsonObject } from "../task-mesos-json.ts";
import { MesosCluster } from "./mesos-cluster.ts";
import { MesosEvents, type Patience } from "./mesos-events.ts";
import { Hostnames, type Resolve } from "./mesos-hostname.ts";
import type { Caller } from "./mesos-http.ts";
import type { LeaderFinder } from "./mesos-leader.ts";
import { Problems } from "./mesos-problems.ts";
import { DEFAULT_LIMITS, type SubscribeLimits, subscribe } from "./mesos-subscribe.ts";
import { isEmptyDelta, type Source, type SourceSink, type SourceVoice } from "./source.ts";

export interface MesosMasterOptions {
  readonly caller: Caller;
  readonly leader: LeaderFinder;
  readonly resolve: Resolve;
  /** 0 ≤ number < 1, as Math.random. */
  readonly random: () => number;
  readonly limits?: Partial<SubscribeLimits>;
  readonly patience?: Patience;
}

export interface MesosMasterStatus {
  /** Wall clock when the present stream's snapshot came, milliseconds since 1970; undefined while not subscribed. */
  readonly since: number | undefined;
  /** Wall clock of the last event, heartbeats included; undefined before the first. */
  readonly lastEvent: number | undefined;
  readonly events: number;
  /** Streams that ended, and attempts that got none. */
  readonly failures: number;
  /** Tasks that are served although the master doesn't mention them (yet). */
  readonly unconfirmed: number;
}

/** Waits after failures, milliseconds: the first, doubling up to the longest. The half of each is random. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

/**
 * Tasks of the whole cluster by the leading master's event stream. When the stream breaks, or another master leads, it
 * subscribes anew and goes on serving what it knows; the new snapshot changes only what differs (see MesosEvents).
 */
export class MesosMasterSource implements Source {
  readonly name = "mesos-master";
  readonly #options: MesosMasterOptions;
  readonly #cluster: MesosCluster;
  readonly #events: MesosEvents;
  readonly #hostnames: Hostnames;
  #sink: SourceSink | undefined;
  readonly #problems = new Problems((error) => this.#sink?.problem(error));
  #stream = new AbortController();
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;
  #since: number | undefined;
  /** When the last snapshot came, whether its stream still runs or not. */
  #snapshotAt: number | undefined;
  #lastEvent: number | undefined;
  #eventCount = 0;
  #failures = 0;
  /** The first snapshot came. */
  #known = false;
  /** The whole set was told to the sink. */
  #complete = false;

  constructor(options: MesosMasterOptions) {
    this.#options = options;
    const { clock } = options.caller;
    this.#hostnames = new Hostnames({
      resolve: options.resolve,
      clock,
      onChange: (hostname) => {
        this.#cluster.hostnameChanged(hostname);
        this.#publish();
      },
      onProblem: (hostname, error) => this.#problems.set(`host ${hostname}`, error),
    });
    this.#cluster = new MesosCluster({
      observer: "master",
      lookup: (hostname) => this.#hostnames.lookup(hostname),
      onProblem: (key, error) => this.#problems.set(`task ${key}`, error),
    });
    this.#events = new MesosEvents(this.#cluster, clock, () => this.#publish(), options.patience);
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.#options.leader.watch(() => this.#leaderChanged());
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    this.#stream.abort(new Error("stopped"));
    this.#wake();
    this.#events.stop();
    this.#hostnames.stop();
    await this.#options.leader.stop();
    await this.#running;
  }

  /** Kept while the stream is away: until somebody else has a newer snapshot, ours is the master's last word. */
  voice(): SourceVoice {
    return { masterSince: this.#complete ? this.#snapshotAt : undefined };
  }

  status(): MesosMasterStatus {
    return {
      since: this.#since,
      lastEvent: this.#lastEvent,
      events: this.#eventCount,
      failures: this.#failures,
      unconfirmed: this.#events.unconfirmed,
    };
  }

  /** Not a loop of lib/loop.ts: news of another leader must cut a wait short. */
  async #run(): Promise<void> {
    let failuresInARow = 0;
    while (this.#sink !== undefined) {
      this.#stream = new AbortController();
      const subscribed = await this.#session(this.#stream.signal);
      failuresInARow = subscribed ? 1 : failuresInARow + 1;
      if (this.#sink !== undefined && !this.#stream.signal.aborted) await this.#wait(failuresInARow);
    }
  }

  /** One subscription from beginning to end; true when its snapshot came. */
  async #session(signal: AbortSignal): Promise<boolean> {
    const { caller, leader, limits } = this.#options;
    try {
      await subscribe({
        caller,
        base: await leader.find(signal),
        signal,
        limits: { ...DEFAULT_LIMITS, ...limits },
        onEvent: (event) => this.#onEvent(event),
        onPause: () => this.#publish(),
      });
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
    const subscribed = this.#since !== undefined;
    this.#since = undefined;
    return subscribed;
  }

  #onEvent(event: JsonObject): void {
    const now = this.#options.caller.clock.now();
    this.#eventCount += 1;
    this.#lastEvent = now;
    this.#events.apply(event);
    if (event["type"] !== "SUBSCRIBED") return;
    this.#since = now;
    this.#snapshotAt = now;
    this.#known = true;
    this.#problems.clear("subscribe");
    this.#hostnames.retain(this.#cluster.hostnames());
  }

  /** The first set waits for the addresses of all agents: a set without their tasks would say that they are gone. */
  #publish(): void {
    if (!this.#known || (!this.#complete && !this.#cluster.allResolved())) return;
    const delta = this.#cluster.publish();
    if (!this.#complete) this.#sink?.replace(this.#cluster.published());
    else if (!isEmptyDelta(delta)) this.#sink?.change(delta);
    this.#complete = true;
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    const named =
      error instanceof NetError
        ? error
        : new NetError("internal", { tried: "follow the Mesos master", said: messageOf(error), cause: error });
    this.#problems.report("subscribe", named);
  }

  #leaderChanged(): void {
    this.#stream.abort(new Error("another master leads"));
    this.#wake();
  }

  #wait(failuresInARow: number): Promise<void> {
    const { random, caller } = this.#options;
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failuresInARow - 1));
    return new Promise((resolve) => {
      let cancel: Cancel = () => {};
      this.#wake = () => {
        cancel();
        resolve();
      };
      cancel = caller.clock.schedule(longest * (0.5 + random() / 2), resolve);
    });
  }
}
