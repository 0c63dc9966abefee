import { type Fact, factName } from "../../facts/fact.ts";
import { changesFromGossip, type GossipedValue } from "../../facts/gossiped.ts";
import { Publisher } from "../../facts/publisher.ts";
import { type FactChange, FactView } from "../../facts/view.ts";
import { parseEndpoint } from "../../gossip/endpoint.ts";
import type { KeyRing } from "../../gossip/key.ts";
import type { MemberRecord } from "../../gossip/member.ts";
import type { Status } from "../../gossip/membership.ts";
import { type GossipEvent, GossipNode } from "../../gossip/node.ts";
import type { NodeState } from "../../gossip/state.ts";
import { startTransport, type Transport } from "../../gossip/transport.ts";
import type { Clock } from "../../lib/clock.ts";
import { messageOf, type NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";

export interface MemberOptions {
  readonly id: string;
  /** Where the others reach it: `10.0.0.1:62501`. */
  readonly address: string;
  /** Where to listen: `0.0.0.0:62501`. */
  readonly listen: string;
  readonly seeds: readonly string[];
  readonly keys: KeyRing;
  /** What its former self knew. */
  readonly state: NodeState | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Told, in the middle of a step, of every change of members and facts: notes it and returns. */
  readonly onChange: () => void;
}

/** A member as this node sees it now. */
export interface KnownMember {
  readonly id: string;
  readonly address: string;
  readonly status: Status;
  /** Wall clock since when, milliseconds since 1970; for a remembered one, when the snapshot was saved. */
  readonly since: number;
}

/** Counts since the start, for metrics. */
export interface MemberCounts {
  refusedFacts: number;
  overLimit: number;
  nameConflicts: number;
}

/** This node as a member of the cluster: gossip on one side, the merged view of all facts and the publisher of its own
 *  ones on the other. */
export class ClusterMember {
  readonly id: string;
  readonly view = new FactView();
  readonly publisher: Publisher;
  readonly gossip: GossipNode;
  readonly counts: MemberCounts = { refusedFacts: 0, overLimit: 0, nameConflicts: 0 };
  readonly #options: MemberOptions;
  readonly #members = new Map<string, KnownMember>();
  #transport: Transport | undefined;
  #conflict: string | undefined;

  private constructor(options: MemberOptions) {
    const { id, address, seeds, clock, random, state } = options;
    this.id = id;
    this.#options = options;
    this.#members.set(id, { id, address, status: "alive", since: clock.now() });
    // Before gossip, which shows what the former self knew while it is made.
    this.publisher = new Publisher({
      owner: id,
      now: () => clock.now(),
      write: (values) => this.#write(values),
    });
    this.gossip = new GossipNode({
      name: id,
      address,
      seeds,
      clock,
      random,
      emit: (event) => this.#onEvent(event),
      ...(state === undefined ? {} : { state }),
    });
  }

  /** Shows what the former self knew, then listens and joins. Throws a NetError when the port can't be had. */
  static async start(options: MemberOptions): Promise<ClusterMember> {
    const member = new ClusterMember(options);
    const { listen, keys, clock, log } = options;
    const randomBytes = (count: number): Uint8Array => crypto.getRandomValues(new Uint8Array(count));
    member.#transport = await startTransport({ node: member.gossip, listen, keys, clock, log, randomBytes });
    return member;
  }

  get transport(): Transport {
    if (this.#transport === undefined) throw new Error("a member is handed out after its transport has started");
    return this.#transport;
  }

  /** Where another node was seen that uses this node's id; undefined when none was. */
  get conflict(): string | undefined {
    return this.#conflict;
  }

  members(): Iterable<KnownMember> {
    return this.#members.values();
  }

  isAlive(id: string): boolean {
    return this.#members.get(id)?.status === "alive";
  }

  /** True when another node was heard since the start. */
  hasHeard(): boolean {
    return [...this.#members.values()].some(({ id, status }) => id !== this.id && status !== "remembered");
  }

  /** True when others should be there: seeds beside this node itself, or members of the snapshot. */
  expectsOthers(): boolean {
    const { seeds, address } = this.#options;
    return this.#members.size > 1 || seeds.some((seed) => seed !== address);
  }

  /** Takes back what the former self said of these kinds and nobody has said again. */
  forgetUnsaid(kinds: readonly Fact["kind"][]): void {
    const prefixes = kinds.map((kind) => factName({ kind, key: "" }));
    const unsaid = this.gossip.replica.facts(this.id).filter(({ key }) => {
      return prefixes.some((prefix) => key.startsWith(prefix)) && !this.publisher.says(key);
    });
    if (unsaid.length === 0) return;
    this.#write(unsaid.map(({ key }) => ({ key, value: undefined })));
  }

  /** Takes a node that is gone for good out of the whole cluster's store; unknown ones are ignored. Throws a NetError
   *  while it may be alive. */
  forget(id: string): void {
    if (this.#members.has(id)) this.transport.send(this.gossip.forget(id));
  }

  /** Leaves the network. With `goodbye` the others count this node as gone at once. */
  stop(goodbye: boolean): void {
    this.transport.stop(goodbye);
  }

  #write(values: readonly GossipedValue[]): void {
    try {
      this.transport.send(this.gossip.write(values));
    } catch (error) {
      // More than a node may publish: what it published before stays.
      this.#options.log.error("facts not published", { problem: messageOf(error) });
    }
  }

  #onEvent(event: GossipEvent): void {
    switch (event.type) {
      case "facts":
        this.#onFacts(event.owner, event.changes);
        break;
      case "member":
        this.#onMember(event.record, event.status);
        break;
      case "refused":
        this.counts.overLimit += 1;
        this.#options.log.error("facts of a node not taken", { node: event.owner, problem: event.reason });
        break;
      case "conflict":
        this.#onConflict(event.address);
        break;
    }
    this.#options.onChange();
  }

  #onFacts(owner: string, values: readonly GossipedValue[]): void {
    const onRefused = (error: NetError): void => this.#refused(error.message);
    const known = (bytes: Uint8Array) => this.publisher.writes(bytes);
    this.view.apply(changesFromGossip(owner, values, onRefused, known));
  }

  #onMember({ name: id, address }: MemberRecord, status: Status): void {
    const { clock, state, log } = this.#options;
    const since = status === "remembered" ? (state?.savedAt ?? clock.now()) : clock.now();
    const before = this.#members.get(id)?.status;
    if (status === "forgotten") this.#members.delete(id);
    else this.#members.set(id, { id, address, status, since });
    if (status !== before) log.info("member", { node: id, address: parseEndpoint(address).host, status });
    this.view.apply(judgement(id, status));
  }

  #onConflict(address: string): void {
    this.counts.nameConflicts += 1;
    if (this.#conflict === address) return;
    this.#conflict = address;
    const remedy = "remove the file node-id in its state_dir there: it was copied from here";
    this.#options.log.error("another node has the id of this one", { address, remedy });
  }

  #refused(problem: string): void {
    this.counts.refusedFacts += 1;
    this.#options.log.warn("fact refused", { problem });
  }
}

/** What the view is told of an owner. Nothing of one that is only remembered: its facts are shown as they were. */
function judgement(owner: string, status: Status): FactChange[] {
  switch (status) {
    case "remembered":
      return [];
    case "alive":
      return [{ type: "owner", owner, liveness: "alive" }];
    case "forgotten":
      return [{ type: "owner", owner, liveness: "forgotten" }];
    default:
      return [{ type: "owner", owner, liveness: "unreachable" }];
  }
}
