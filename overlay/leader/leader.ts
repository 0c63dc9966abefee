import { messageOf, NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { assignmentOf } from "./assignment.ts";
import { forget } from "./forget.ts";
import type { OverlayNetwork } from "./network.ts";
import { type ContainerCount, reconfigure } from "./reconfigure.ts";
import { type LiveNodes, register } from "./register.ts";
import { type Change, type Draft, draftOf, type Registry, registryOf } from "./registry.ts";
import type { Term } from "./store.ts";
import { type AssignmentFact, isNodeId, type NetworkFact, type NodeFact } from "./types.ts";

/** What a leader tells the cluster. All of it is stored. */
export interface Publication {
  /** New or changed; of the leader's epoch. */
  readonly assignments: readonly AssignmentFact[];
  /** Nodes that have been forgotten. */
  readonly withdrawn: readonly string[];
  /** Present at the start of a term and when the configuration has changed. */
  readonly network: NetworkFact | undefined;
}

export interface LeaderOptions {
  readonly term: Term;
  /** Configuration that should be in force. */
  readonly network: OverlayNetwork;
  readonly live: LiveNodes;
  readonly containers: ContainerCount;
  /** Must not throw. */
  readonly publish: (publication: Publication) => void;
  readonly log: Log;
}

/** Operations of one store write: bounds its size, and how long the first of a crowd waits. */
const LARGEST_BATCH = 256;

/** Requests that may wait: more than a cluster has nodes. */
const LONGEST_QUEUE = 65_536;

interface Operation {
  readonly apply: (draft: Draft) => void;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * One term of leadership: takes requests in order, computes what they change, stores that, and only then makes it count
 * and publishes it. A request that is refused changes nothing. When the store fails, what it holds is unknown: the
 * leader takes back what it computed, refuses everything from then on, and the next term begins with what is stored.
 */
export class OverlayLeader {
  readonly #options: LeaderOptions;
  readonly #queue: Operation[] = [];
  #registry: Registry;
  #pump: Promise<void> | undefined;
  #over: NetError | undefined;
  /** Breaks off the wait for the store. */
  #interrupt: (reason: NetError) => void = () => undefined;
  /** Why the wanted configuration is not the one in force. */
  #networkProblem: string | undefined;

  /** Throws a NetError `conflict` when the stored state contradicts itself. */
  constructor(options: LeaderOptions) {
    const { term, network } = options;
    this.#options = options;
    this.#registry = registryOf(term.stored.network ?? network, term.stored.records);
    void term.lost.then((reason) => {
      this.#end(reason);
      this.#interrupt(reason);
    });
  }

  get epoch(): number {
    return this.#options.term.epoch;
  }

  /** What is stored and in force. */
  get registry(): Registry {
    return this.#registry;
  }

  /** Why the wanted configuration was refused; undefined when it is in force. */
  get networkProblem(): string | undefined {
    return this.#networkProblem;
  }

  /** Brings the wanted configuration into force if it can be, then publishes everything under the new epoch. Rejects
   *  when the store fails. */
  async start(): Promise<void> {
    const { term, network, log } = this.#options;
    const unchanged = term.stored.network !== undefined && Bun.deepEquals(term.stored.network, network);
    if (!unchanged) {
      await this.reconfigure(network).catch((error: unknown) => {
        if (this.#over !== undefined || this.#networkProblem === undefined) throw error;
        log.error("overlay configuration refused", { problem: this.#networkProblem });
      });
    }
    this.#publishAll();
  }

  /** Allocates what the node asks for and lacks. Resolves when that is stored and published, also when the node was
   *  refused something. Rejects with NetError `invalid` when its id can't be one. */
  register(node: NodeFact): Promise<void> {
    if (!isNodeId(node.id)) return Promise.reject(badId(node.id));
    return this.#ask((draft) => register(draft, node, this.#options.live));
  }

  /** Frees what these nodes hold. Rejects with NetError `busy`, freeing nothing, when one of them is alive. */
  forget(ids: readonly string[]): Promise<void> {
    return this.#ask((draft) => {
      const alive = ids.filter((id) => this.#options.live(id) !== undefined);
      if (alive.length > 0) throw aliveError(alive);
      for (const id of ids) forget(draft, id);
      this.#retryRefused(draft);
    });
  }

  /** Puts another configuration in force. Rejects with NetError `conflict`, changing nothing, when containers or
   *  allocations stand against it. */
  async reconfigure(network: OverlayNetwork): Promise<void> {
    try {
      await this.#ask((draft) => {
        reconfigure(draft, network, this.#options.containers);
        this.#serveLive(draft);
      });
      this.#networkProblem = undefined;
    } catch (error) {
      if (this.#over === undefined) this.#networkProblem = messageOf(error);
      throw error;
    }
  }

  #ask(apply: (draft: Draft) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#over !== undefined) reject(this.#over);
    else if (this.#queue.length >= LONGEST_QUEUE) reject(tooMany());
    else this.#queue.push({ apply, done: resolve, failed: reject });
    // The pump starts in a later turn, so that requests which come together are stored together.
    this.#pump ??= Promise.resolve().then(() => this.#work());
    return promise;
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0 && this.#over === undefined) await this.#step(this.#queue.splice(0, LARGEST_BATCH));
    this.#pump = undefined;
  }

  /** One batch: compute, store, make it count, publish. In this order, and nothing of the later when the earlier
   *  failed. */
  async #step(batch: readonly Operation[]): Promise<void> {
    const draft = draftOf(this.#registry);
    const accepted = batch.filter((operation) => attempt(draft, operation));
    const before = this.#registry;
    try {
      if (draft.changes.length > 0) await this.#store(draft.changes);
    } catch (error) {
      this.#end(asNetError(error));
      for (const { failed } of accepted) failed(this.#over);
      return;
    }
    const { changes, ...registry } = draft;
    this.#registry = registry;
    this.#publish(changes, before);
    for (const { done } of accepted) done();
  }

  /** Rejects as soon as the term is lost, also when the store never answers. */
  async #store(changes: readonly Change[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#interrupt = reject;
    this.#options.term.commit(changes).then(resolve, reject);
    await promise;
    if (this.#over !== undefined) throw this.#over;
  }

  #publish(changes: readonly Change[], before: Registry): void {
    const { refusals, records, network } = this.#registry;
    const touched = new Set(changes.flatMap((change) => (change.do === "put" ? [change.record.id] : [])));
    for (const [id, list] of refusals) if (!Bun.deepEquals(before.refusals.get(id), list)) touched.add(id);
    for (const id of before.refusals.keys()) if (!refusals.has(id)) touched.add(id);
    const withdrawn = changes.flatMap((change) =>
      change.do === "remove" && !records.has(change.id) ? [change.id] : [],
    );
    const networkChanged = changes.some((change) => change.do === "network");
    if (touched.size === 0 && withdrawn.length === 0 && !networkChanged) return;
    this.#options.publish({
      assignments: [...touched].flatMap((id) => this.#assignment(id)),
      withdrawn,
      network: networkChanged ? { epoch: this.epoch, network } : undefined,
    });
  }

  #publishAll(): void {
    const { records, refusals, network } = this.#registry;
    const ids = new Set([...records.keys(), ...refusals.keys()]);
    this.#options.publish({
      assignments: [...ids].flatMap((id) => this.#assignment(id)),
      withdrawn: [],
      network: { epoch: this.epoch, network },
    });
  }

  #assignment(id: string): AssignmentFact[] {
    const { records, refusals, network } = this.#registry;
    const refused = refusals.get(id) ?? [];
    const record = records.get(id);
    if (record === undefined && refused.length === 0) return [];
    return [assignmentOf(id, record, refused, network, this.epoch)];
  }

  /** Whoever was refused may have its wish now. */
  #retryRefused(draft: Draft): void {
    this.#registerAll(draft, [...draft.refusals.keys()]);
  }

  #serveLive(draft: Draft): void {
    this.#registerAll(draft, [...draft.records.keys(), ...draft.refusals.keys()]);
  }

  #registerAll(draft: Draft, ids: Iterable<string>): void {
    for (const id of new Set(ids)) {
      const node = this.#options.live(id);
      if (node !== undefined) register(draft, node, this.#options.live);
    }
  }

  #end(reason: NetError): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    for (const { failed } of this.#queue.splice(0)) failed(reason);
    void this.#options.term.resign();
  }
}

/** Runs one request on the draft. A refused one leaves the draft as it was, and is out of the batch. */
function attempt(draft: Draft, { apply, failed }: Operation): boolean {
  try {
    apply(draft);
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

function aliveError(ids: readonly string[]): NetError {
  const more = ids.length > 10 ? ` and ${ids.length - 10} more` : "";
  return new NetError("busy", {
    tried: "forget nodes",
    said: `${ids.slice(0, 10).join(", ")}${more} may be alive, and would go on using their addresses`,
    remedy: "stop the agent there and wait until it is seen as gone; nothing was forgotten",
  });
}

/** The id becomes part of a path in the store, so this is no formality. */
function badId(id: string): NetError {
  return new NetError("invalid", {
    tried: `register node ${JSON.stringify(id.slice(0, 140))}`,
    said: "an id has 1 to 128 letters, digits, '_', '.', '-', the first a letter or digit",
    remedy: "correct the node's id file",
  });
}

function tooMany(): NetError {
  return new NetError("busy", {
    tried: "take a request of the overlay leader",
    said: `${LONGEST_QUEUE} are waiting for the store`,
    remedy: "it is made again by itself; see why the store is slow",
  });
}

function asNetError(error: unknown): NetError {
  if (error instanceof NetError) return error;
  return new NetError("unavailable", { tried: "store allocations", said: messageOf(error), cause: error });
}
