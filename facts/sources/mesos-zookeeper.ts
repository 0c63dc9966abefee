import { type Client, createClient } from "node-zookeeper-client";
import type { Cancel, Clock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { ZooKeeperUrl } from "../../lib/zookeeper-url.ts";
import type { LeaderFinder } from "./mesos-leader.ts";
import { candidatesAmong, leadingCandidate, masterBase, onlyOldCandidates } from "./mesos-zookeeper-url.ts";

export interface ZooKeeperLeaderOptions {
  readonly place: ZooKeeperUrl;
  /** Of the masters' HTTP servers. */
  readonly scheme: "http" | "https";
  readonly clock: Clock;
  /** Told the base URLs of all masters, the leader's first, whenever they are others than before. */
  readonly onMasters?: (bases: readonly string[]) => void;
}

const SESSION_MS = 10_000;
/** Longest wait between the client's attempts to connect, milliseconds. */
const SPIN_MS = 500;
/** How long a connection may take. The client library doesn't try again under Bun once a server has refused it (the
 *  socket never reports its end), so that each attempt gets a client of its own. */
const CONNECT_MS = 3_000;
/** How long an answer may take before the connection counts as dead: the client library doesn't notice by itself. */
const ANSWER_MS = 8_000;
/** Time between looks without being told of a change, milliseconds, with and without a known leader. */
const LOOK_MS = { known: 20_000, unknown: 1_000 };
/** How long {@link LeaderFinder.find} waits for a first leader, milliseconds. */
const FIND_MS = 5_000;

/** The leading master by the znodes that Mesos masters write. A leader stays known while ZooKeeper is away: the
 *  masters may well go on without it for us. */
export function zooKeeperLeader(options: ZooKeeperLeaderOptions): LeaderFinder {
  return new ZooKeeperLeader(options);
}

class ZooKeeperLeader implements LeaderFinder {
  readonly #options: ZooKeeperLeaderOptions;
  /** Base URL of the leader. */
  #leader: string | undefined;
  /** Base URLs of all masters, as they were last told. */
  #masters = "";
  /** Why there is none. */
  #said = "no connection yet";
  #changed: () => void = () => {};
  #client: Client | undefined;
  #look: Cancel = () => {};
  #waiting = new Set<() => void>();
  #stopped = false;

  constructor(options: ZooKeeperLeaderOptions) {
    this.#options = options;
  }

  watch(changed: () => void): void {
    this.#changed = changed;
    this.#connect();
  }

  async find(signal: AbortSignal): Promise<string> {
    this.#connect();
    if (this.#leader === undefined) await this.#wait(signal);
    if (this.#leader !== undefined) return this.#leader;
    const { servers, path } = this.#options.place;
    throw new NetError("unavailable", {
      tried: `find the leading Mesos master at ${path} of ZooKeeper ${servers.join(",")}`,
      said: this.#said,
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#disconnect();
    this.#wakeAll();
  }

  #connect(): void {
    if (this.#stopped || this.#client !== undefined) return;
    const { servers, credentials } = this.#options.place;
    const client = createClient(servers.join(","), { sessionTimeout: SESSION_MS, spinDelay: SPIN_MS, retries: 0 });
    this.#client = client;
    if (credentials !== undefined) client.addAuthInfo("digest", Buffer.from(credentials));
    const ifCurrent = (action: () => void) => () => {
      if (this.#client === client) action();
    };
    client.on(
      "connected",
      ifCurrent(() => this.#read(client)),
    );
    client.on(
      "disconnected",
      ifCurrent(() => this.#recycleUnlessConnected("the connection was lost")),
    );
    client.on(
      "expired",
      ifCurrent(() => this.#recycle("the session expired")),
    );
    client.on(
      "authenticationFailed",
      ifCurrent(() => this.#recycle("authentication failed")),
    );
    this.#recycleUnlessConnected("no connection");
    client.connect();
  }

  #disconnect(): void {
    this.#look();
    const client = this.#client;
    this.#client = undefined;
    client?.close();
  }

  #recycleUnlessConnected(said: string): void {
    this.#said = said;
    this.#look();
    this.#look = this.#options.clock.schedule(CONNECT_MS, () => this.#recycle(said));
  }

  /** A session that ended can't be used again; neither can a connection that doesn't answer. */
  #recycle(said: string): void {
    this.#said = said;
    this.#disconnect();
    this.#look = this.#options.clock.schedule(LOOK_MS.unknown, () => this.#connect());
  }

  #lookIn(ms: number, client: Client): void {
    this.#look();
    this.#look = this.#options.clock.schedule(ms, () => this.#read(client));
  }

  /** Reads the candidates, leaving a watch, and the leader's data. */
  #read(client: Client): void {
    if (this.#client !== client) return;
    this.#look();
    this.#look = this.#options.clock.schedule(ANSWER_MS, () => this.#recycle(`no answer within ${ANSWER_MS} ms`));
    const { path } = this.#options.place;
    client.getChildren(path, this.#onWatch, (error, children) => {
      if (this.#client !== client) return;
      if (error) this.#found(client, undefined, messageOf(error));
      else this.#readCandidate(client, children);
    });
  }

  /** One function for all watches, so that looking again doesn't add another one. */
  readonly #onWatch = (): void => {
    if (this.#client !== undefined) this.#read(this.#client);
  };

  #readCandidate(client: Client, children: readonly string[]): void {
    const candidate = leadingCandidate(children);
    if (candidate === undefined) {
      const old = onlyOldCandidates(children)
        ? "only masters older than Mesos 0.24, whose znodes aren't JSON"
        : undefined;
      this.#found(client, undefined, old ?? "no master has registered there");
      return;
    }
    client.getData(`${this.#options.place.path}/${candidate}`, (error, data) => {
      if (this.#client !== client) return;
      if (error) this.#found(client, undefined, messageOf(error));
      else this.#found(client, this.#baseOf(data), `${candidate} names no address of a master`);
    });
    if (this.#options.onMasters !== undefined) void this.#readAll(client, candidatesAmong(children));
  }

  /** One that went away meanwhile, or names no address, is left out. */
  async #readAll(client: Client, candidates: readonly string[]): Promise<void> {
    const reads = candidates.map((candidate) => {
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      client.getData(`${this.#options.place.path}/${candidate}`, (error, data) =>
        resolve(error ? undefined : this.#baseOf(data)),
      );
      return promise;
    });
    const bases = (await Promise.all(reads)).filter((base) => base !== undefined);
    if (this.#client !== client || bases.length === 0 || bases.join(" ") === this.#masters) return;
    this.#masters = bases.join(" ");
    this.#options.onMasters?.(bases);
  }

  #baseOf(data: Uint8Array): string | undefined {
    try {
      return masterBase(JSON.parse(new TextDecoder().decode(data)), this.#options.scheme);
    } catch {
      // What isn't JSON names no address: told by the caller.
      return undefined;
    }
  }

  /** Without a leader now the last one stays in use: a subscription to it is better than none. */
  #found(client: Client, leader: string | undefined, said: string): void {
    this.#lookIn(leader === undefined ? LOOK_MS.unknown : LOOK_MS.known, client);
    this.#said = said;
    if (leader === undefined || leader === this.#leader) return;
    const first = this.#leader === undefined;
    this.#leader = leader;
    this.#wakeAll();
    if (!first) this.#changed();
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
  }

  async #wait(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        cancel();
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const cancel = this.#options.clock.schedule(FIND_MS, wake);
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted || this.#stopped) wake();
    });
  }
}
