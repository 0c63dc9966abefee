import type { Cancel, Clock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Change, NodeRecord } from "./registry.ts";
import type { LeaderStore, Term } from "./store.ts";
import {
  parseStored,
  readNetwork,
  readRecord,
  STORED_FORMAT,
  type StoredState,
  storedNetwork,
  storedRecord,
} from "./stored.ts";
import { type SessionOptions, type Write, ZooKeeperSession } from "./zookeeper-session.ts";

export interface ZooKeeperStoreOptions extends SessionOptions {
  /** Names this candidate to operators who look into ZooKeeper. */
  readonly name: string;
}

/** A server refuses requests of 1 MiB (jute.maxbuffer), so long lists of changes go in parts. */
const LARGEST_COMMIT = 400_000;
/** Reads under way at once. */
const PARALLEL_READS = 64;

/**
 * A store in ZooKeeper, for clusters with several masters. Below the path of the URL:
 *
 * | znode | content |
 * |---|---|
 * | `election/candidate-<number>` | ephemeral; the candidate with the lowest number leads |
 * | `epoch` | set once by each new leader: its version in ZooKeeper is the epoch |
 * | `network` | the overlays in force |
 * | `nodes/<id>` | one node's record |
 *
 * Every write is a transaction with the condition that `epoch` still has the leader's version. A leader that was
 * paused, cut off or deposed without knowing is shut out by that, whatever it believes. A new leader sets `epoch`
 * first and reads afterwards: what it reads can't change any more but by itself.
 */
export function zooKeeperStore(options: ZooKeeperStoreOptions): LeaderStore {
  return {
    async lead(signal, onWaiting = () => {}) {
      const session = await ZooKeeperSession.open(options, signal);
      try {
        const candidate = await elected(session, options, signal, onWaiting);
        return await beginTerm(session, options, candidate);
      } catch (error) {
        await session.close();
        throw error;
      }
    },
  };
}

/** Stands for election and resolves with the candidate's path when it leads. Only the candidate before this one is
 *  watched, so that the end of a leader wakes one candidate and not all. The list is looked at now and then even so,
 *  because a notice is lost with a server that hangs. */
async function elected(
  session: ZooKeeperSession,
  { url, name, clock, sessionMs }: ZooKeeperStoreOptions,
  signal: AbortSignal,
  onWaiting: () => void,
): Promise<string> {
  const election = `${url.path}/election`;
  await session.makePath(election);
  const candidate = await session.createEphemeral(`${election}/candidate-`, encode({ name }));
  const own = candidate.slice(election.length + 1);
  let wake: () => void = () => undefined;
  for (let watched = ""; ; ) {
    const names = (await session.children(election)).sort(bySequence);
    const position = names.indexOf(own);
    if (position < 0) throw lost("stand for election", `${candidate} was removed`);
    const before = names[position - 1];
    if (before === undefined) return candidate;
    const changed = new Promise<void>((resolve) => {
      wake = resolve;
    });
    // The library keeps every watch that it is given until it fires, so each candidate gets one.
    const isThere = watched === before || (await session.watch(`${election}/${before}`, () => wake()));
    watched = before;
    onWaiting();
    if (isThere) await earliest(changed, session, clock, sessionMs / 2, signal);
  }
}

/** Waits for `changed`, at most `longestMs`; rejects when the session ends or the candidacy is called off. */
async function earliest(
  changed: Promise<void>,
  session: ZooKeeperSession,
  clock: Clock,
  longestMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(lost("stand for election", "the candidacy was given up"));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  const forgetEnd = session.whenEnded(reject);
  const cancel = clock.schedule(longestMs, resolve);
  void changed.then(resolve);
  try {
    await promise;
  } finally {
    cancel();
    forgetEnd();
    signal.removeEventListener("abort", abort);
  }
}

async function beginTerm(
  session: ZooKeeperSession,
  options: ZooKeeperStoreOptions,
  candidate: string,
): Promise<ZooKeeperTerm> {
  const { path } = options.url;
  await session.makePath(`${path}/nodes`);
  await session.makePath(`${path}/epoch`);
  const present = await session.read(`${path}/epoch`);
  // It is empty while no leader has ever begun.
  if (present !== undefined && present.data.length > 0) parseStored(present.data, `${path}/epoch`);
  const epoch = await session.set(`${path}/epoch`, encode({ format: STORED_FORMAT, leader: options.name }));
  return new ZooKeeperTerm(session, options, candidate, epoch, await readState(session, path));
}

async function readState(session: ZooKeeperSession, path: string): Promise<StoredState> {
  const network = await session.read(`${path}/network`);
  const ids = (await session.children(`${path}/nodes`)).sort();
  const records: NodeRecord[] = [];
  for (let start = 0; start < ids.length; start += PARALLEL_READS) {
    const part = ids.slice(start, start + PARALLEL_READS).map((id) => readNode(session, `${path}/nodes/${id}`));
    records.push(...(await Promise.all(part)));
  }
  const value = network && parseStored(network.data, `${path}/network`);
  return { network: value && readNetwork(value["network"]), records };
}

async function readNode(session: ZooKeeperSession, path: string): Promise<NodeRecord> {
  const content = await session.read(path);
  if (content === undefined) throw lost(`read ${path}`, "it was removed by somebody else");
  return readRecord(parseStored(content.data, path)["node"]);
}

class ZooKeeperTerm implements Term {
  readonly epoch: number;
  readonly stored: StoredState;
  readonly lost: Promise<NetError>;
  readonly #session: ZooKeeperSession;
  readonly #options: ZooKeeperStoreOptions;
  readonly #candidate: string;
  readonly #lose: (reason: NetError) => void;
  /** Which znodes there are, because ZooKeeper tells making from changing. */
  readonly #present: Set<string>;
  #beat: Cancel = () => undefined;
  #over = false;

  constructor(
    session: ZooKeeperSession,
    options: ZooKeeperStoreOptions,
    candidate: string,
    epoch: number,
    stored: StoredState,
  ) {
    const { promise, resolve } = Promise.withResolvers<NetError>();
    this.lost = promise;
    this.#lose = resolve;
    this.#session = session;
    this.#options = options;
    this.#candidate = candidate;
    this.epoch = epoch;
    this.stored = stored;
    this.#present = new Set(stored.records.map(({ id }) => this.#nodePath(id)));
    if (stored.network !== undefined) this.#present.add(`${options.url.path}/network`);
    session.whenEnded((reason) => this.#end(reason));
    this.#heartbeat();
  }

  async commit(changes: readonly Change[]): Promise<void> {
    if (this.#over) throw lost("store allocations", "this leadership has ended");
    try {
      for (const part of inParts(changes.map((change) => this.#write(change)))) {
        await this.#session.commit(`${this.#options.url.path}/epoch`, this.epoch, part);
      }
    } catch (error) {
      this.#end(error instanceof NetError ? error : lost("store allocations", String(error)));
      throw error;
    }
  }

  async resign(): Promise<void> {
    this.#end(lost("lead", "leadership was given up"));
    await this.#session.close();
  }

  #write(change: Change): Write {
    const path = change.do === "network" ? `${this.#options.url.path}/network` : this.#nodePath(idOf(change));
    if (change.do === "remove") {
      this.#present.delete(path);
      return { do: "remove", path };
    }
    const value =
      change.do === "network" ? { network: storedNetwork(change.network) } : { node: storedRecord(change.record) };
    const data = encode({ format: STORED_FORMAT, ...value });
    if (this.#present.has(path)) return { do: "set", path, data };
    this.#present.add(path);
    return { do: "create", path, data };
  }

  #nodePath(id: string): string {
    return `${this.#options.url.path}/nodes/${id}`;
  }

  /** Asks now and then whether the candidacy still stands: a connection over which nothing comes any more is not told
   *  from a quiet one otherwise. */
  #heartbeat(): void {
    const { clock, sessionMs } = this.#options;
    this.#beat = clock.schedule(sessionMs / 2, async () => {
      try {
        if (!(await this.#session.exists(this.#candidate))) throw lost("lead", "the candidacy is gone");
        if (!this.#over) this.#heartbeat();
      } catch (error) {
        this.#end(error instanceof NetError ? error : lost("lead", String(error)));
      }
    });
  }

  #end(reason: NetError): void {
    this.#over = true;
    this.#beat();
    this.#lose(reason);
  }
}

function idOf(change: Exclude<Change, { readonly do: "network" }>): string {
  return change.do === "put" ? change.record.id : change.id;
}

function inParts(writes: readonly Write[]): Write[][] {
  const parts: Write[][] = [];
  let room = 0;
  for (const write of writes) {
    const size = write.path.length + 100 + (write.do === "remove" ? 0 : write.data.length);
    if (size > room || parts.length === 0) {
      parts.push([]);
      room = LARGEST_COMMIT;
    }
    parts.at(-1)?.push(write);
    room -= size;
  }
  return parts;
}

/** By the ten digits at the end, which ZooKeeper counts up for all candidates together. */
function bySequence(a: string, b: string): number {
  return Number(a.slice(-10)) - Number(b.slice(-10));
}

function encode(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function lost(tried: string, said: string): NetError {
  const remedy = "another candidate takes over, or this one stands again";
  return new NetError("conflict", { tried, said, remedy });
}
