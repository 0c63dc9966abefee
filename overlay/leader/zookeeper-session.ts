import { ACL, type Client, CreateMode, createClient, Exception, Id, Permission, State } from "node-zookeeper-client";
import type { Cancel, Clock } from "../../lib/clock.ts";
import { type ErrorCode, messageOf, NetError } from "../../lib/error.ts";
import type { ZooKeeperUrl } from "../../lib/zookeeper-url.ts";

export interface SessionOptions {
  readonly url: ZooKeeperUrl;
  readonly clock: Clock;
  /** Milliseconds of silence after which ZooKeeper ends the session and removes its ephemeral znodes; also the longest
   *  wait for any answer. */
  readonly sessionMs: number;
}

/** One write of a transaction. */
export type Write =
  | { readonly do: "create"; readonly path: string; readonly data: Uint8Array }
  | { readonly do: "set"; readonly path: string; readonly data: Uint8Array }
  | { readonly do: "remove"; readonly path: string };

/** A znode's content and how often it was set. */
export interface Content {
  readonly data: Uint8Array;
  readonly version: number;
}

type Callback<T> = (error: Error | Exception | null, result: T) => void;

/** What ZooKeeper's answers mean to us (KeeperException.Code). */
const MEANING: Readonly<Record<number, ErrorCode>> = {
  [Exception.CONNECTION_LOSS]: "unavailable",
  [Exception.OPERATION_TIMEOUT]: "timeout",
  [Exception.NO_NODE]: "not-found",
  [Exception.NO_AUTH]: "permission",
  [Exception.BAD_VERSION]: "conflict",
  [Exception.NODE_EXISTS]: "already-exists",
  [Exception.SESSION_EXPIRED]: "unavailable",
  [Exception.AUTH_FAILED]: "permission",
};

/**
 * One ZooKeeper session with promises and time limits. The client library itself waits for ever for a server that
 * accepts connections and doesn't answer, and takes version 0 in a condition for "any"; so every request here has a
 * limit, and callers make no condition on version 0.
 */
export class ZooKeeperSession {
  readonly #client: Client;
  readonly #options: SessionOptions;
  readonly #acl: ACL[];
  /** Who waits for an answer, or wants to know. A promise would collect the reactions of every request of months. */
  readonly #listeners = new Set<(reason: NetError) => void>();
  #ended: NetError | undefined;
  #disconnected: Cancel | undefined;

  private constructor(options: SessionOptions) {
    const { url, sessionMs } = options;
    this.#options = options;
    const whom = url.credentials === undefined ? new Id("world", "anyone") : new Id("auth", "");
    this.#acl = [new ACL(Permission.ALL, whom)];
    this.#client = createClient(url.servers.join(","), { sessionTimeout: sessionMs, spinDelay: 500, retries: 0 });
    if (url.credentials !== undefined) this.#client.addAuthInfo("digest", Buffer.from(url.credentials));
  }

  /** Connects to any server of the ensemble. Rejects with NetError `unavailable` when none answers in time, and as soon
   *  as `signal` aborts. */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<ZooKeeperSession> {
    const session = new ZooKeeperSession(options);
    const connected = Promise.withResolvers<void>();
    session.#client.on("state", (state: State) => session.#onState(state));
    session.#client.once("connected", () => connected.resolve());
    session.#client.connect();
    try {
      await session.#within(`reach ZooKeeper at ${options.url.servers.join(", ")}`, connected.promise, signal);
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** Calls `listener` once when the session is over: expired, not admitted, closed, or without a connection for its
   *  whole time. At once when it is over already. Returns what calls that off. */
  whenEnded(listener: (reason: NetError) => void): Cancel {
    if (this.#ended !== undefined) listener(this.#ended);
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Makes a persistent znode and its parents; fine when it is there. */
  async makePath(path: string): Promise<void> {
    await this.#call<string>(`make ${path}`, (done) => this.#client.mkdirp(path, this.#acl, done));
  }

  /** Makes a znode that vanishes with the session; its name is `prefix` and ten digits that grow. Returns the path. */
  createEphemeral(prefix: string, data: Uint8Array): Promise<string> {
    return this.#call(`make ${prefix}`, (done) =>
      this.#client.create(prefix, Buffer.from(data), this.#acl, CreateMode.EPHEMERAL_SEQUENTIAL, done),
    );
  }

  children(path: string): Promise<string[]> {
    return this.#call(`list ${path}`, (done) => this.#client.getChildren(path, done));
  }

  /** Undefined when there is no such znode. */
  async read(path: string): Promise<Content | undefined> {
    try {
      return await this.#call<Content>(`read ${path}`, (done) =>
        this.#client.getData(path, (error, data, stat) =>
          done(error, { data: data ?? new Uint8Array(), version: stat?.version ?? 0 }),
        ),
      );
    } catch (error) {
      if (error instanceof NetError && error.code === "not-found") return undefined;
      throw error;
    }
  }

  /** Overwrites a znode and returns its new version: 1 for the first time, one more for each. */
  async set(path: string, data: Uint8Array): Promise<number> {
    const stat = await this.#call<{ readonly version: number }>(`write ${path}`, (done) =>
      this.#client.setData(path, Buffer.from(data), done),
    );
    return stat.version;
  }

  /** Carries out all writes or none, and none unless `path` has `version`, which must not be 0: NetError `conflict`. */
  async commit(path: string, version: number, writes: readonly Write[]): Promise<void> {
    if (version === 0) throw new Error("the library takes version 0 for any version");
    const transaction = this.#client.transaction().check(path, version);
    for (const write of writes) {
      if (write.do === "create") transaction.create(write.path, Buffer.from(write.data), this.#acl);
      else if (write.do === "set") transaction.setData(write.path, Buffer.from(write.data));
      else transaction.remove(write.path);
    }
    await this.#call<unknown>(`write ${writes.length} znodes`, (done) => transaction.commit(done));
  }

  exists(path: string): Promise<boolean> {
    return this.#call(`look for ${path}`, (done) =>
      this.#client.exists(path, (error, stat) => done(error, stat !== null && stat !== undefined)),
    );
  }

  /** True when the znode is there; `gone` is then called once when that may have changed. */
  watch(path: string, gone: () => void): Promise<boolean> {
    return this.#call(`watch ${path}`, (done) =>
      this.#client.exists(path, gone, (error, stat) => done(error, stat !== null && stat !== undefined)),
    );
  }

  /** Ends the session, so that its ephemeral znodes go at once. Resolves when the server has confirmed, or after the
   *  time limit; harmless when it is over. */
  async close(): Promise<void> {
    this.#disconnected?.();
    this.#end(failure("unavailable", "use the ZooKeeper session", "it was closed"));
    const closed = Promise.withResolvers<void>();
    this.#client.once("disconnected", () => closed.resolve());
    if (this.#client.getState() !== State.SYNC_CONNECTED) closed.resolve();
    this.#client.close();
    const cancel = this.#options.clock.schedule(this.#options.sessionMs, closed.resolve);
    await closed.promise;
    cancel();
    destroySocket(this.#client);
  }

  #onState(state: State): void {
    this.#disconnected?.();
    this.#disconnected = undefined;
    if (this.#ended !== undefined) return;
    if (state === State.EXPIRED) this.#end(failure("unavailable", "use the ZooKeeper session", "it has expired"));
    if (state === State.AUTH_FAILED) {
      this.#end(failure("permission", "use ZooKeeper", "it refused user or password"));
    }
    if (state !== State.DISCONNECTED) return;
    // The servers end a session that is silent for its time; without a connection nobody tells us.
    this.#disconnected = this.#options.clock.schedule(this.#options.sessionMs, () => {
      this.#end(failure("unavailable", "use the ZooKeeper session", "the connection was lost for too long"));
    });
  }

  #end(reason: NetError): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    for (const listener of this.#listeners) listener(reason);
    this.#listeners.clear();
  }

  #call<T>(tried: string, request: (done: Callback<T>) => void): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    request((error, result) => {
      if (error === null || error === undefined) resolve(result);
      else reject(zooKeeperError(tried, error));
    });
    return this.#within(tried, promise);
  }

  /** Fails after the time limit, and as soon as the session is over. */
  async #within<T>(tried: string, promise: Promise<T>, signal?: AbortSignal): Promise<T> {
    const { clock, sessionMs } = this.#options;
    const limit = Promise.withResolvers<never>();
    const cancel = clock.schedule(sessionMs, () => {
      limit.reject(failure("unavailable", tried, `no answer within ${sessionMs} ms`));
    });
    const abort = () => limit.reject(failure("unavailable", tried, "it was called off"));
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    const forgetEnd = this.whenEnded(limit.reject);
    // Whichever loses the race must not become an unhandled rejection.
    promise.catch(() => undefined);
    try {
      return await Promise.race([promise, limit.promise]);
    } finally {
      cancel();
      forgetEnd();
      signal?.removeEventListener("abort", abort);
    }
  }
}

function zooKeeperError(tried: string, error: Error | Exception): NetError {
  const code = error instanceof Exception ? error.getCode() : undefined;
  return failure(
    (code === undefined ? undefined : MEANING[code]) ?? "io",
    tried,
    error instanceof Exception ? error.toString() : messageOf(error),
    error,
  );
}

function failure(code: ErrorCode, tried: string, said: string, cause?: unknown): NetError {
  const remedy = "see that the ZooKeeper servers run, have a quorum, and know this user";
  return new NetError(code, { tried, said, remedy, cause });
}

/** The library keeps a socket open for ever when its server doesn't answer the request to close. */
function destroySocket(client: object): void {
  const socket = property(property(client, "connectionManager"), "socket");
  const destroy = property(socket, "destroy");
  if (typeof destroy === "function") destroy.call(socket);
}

function property(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
