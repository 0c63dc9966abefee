import type { Clock } from "../lib/clock.ts";
import { checkAddress, checkName, sizeOfEmpty, sizeOfMessage } from "./codec.ts";
import { Detector } from "./detector.ts";
import { isPresent, type MemberRecord, memberRecord } from "./member.ts";
import { Members } from "./members.ts";
import { Membership, type Source, type Status } from "./membership.ts";
import type { Message, Outgoing, Packet, Position, Via } from "./message.ts";
import { Names } from "./names.ts";
import type { Delta } from "./owner-log.ts";
import { Reconciler } from "./reconcile.ts";
import { type FactChange, Replica } from "./replica.ts";
import { Rumors, timesToSend } from "./rumors.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";
import type { NodeState } from "./state.ts";
import { type Root, Summary } from "./summary.ts";

/** What a node tells its program. */
export type GossipEvent =
  | { readonly type: "member"; readonly record: MemberRecord; readonly status: Status }
  | { readonly type: "facts"; readonly owner: string; readonly changes: readonly FactChange[] }
  /** An owner's facts, or a member (`owner`), exceed a bound and are not taken. */
  | { readonly type: "refused"; readonly owner: string; readonly reason: string }
  /** Another node uses this node's name. */
  | { readonly type: "conflict"; readonly address: string };

export interface NodeOptions {
  /** Name of the node, unique in the cluster: 1 to 253 letters, digits, `.`, `_`, `-`, `@`, `:`. */
  readonly name: string;
  /** Where the others reach it: `10.0.0.1:62501`. */
  readonly address: string;
  /** Addresses of nodes to join through; this node's own is ignored. */
  readonly seeds: readonly string[];
  readonly clock: Pick<Clock, "now" | "monotonic">;
  /** 0 ≤ number < 1. */
  readonly random: () => number;
  readonly emit: (event: GossipEvent) => void;
  readonly settings?: Settings;
  /** Shared between the nodes of a simulation. */
  readonly names?: Names;
  /** What the node's former self left behind. */
  readonly state?: NodeState;
}

/** Lateness from which a node counts as having stood still, milliseconds. */
const STANDSTILL_MS = 400;
const HOUSEKEEPING_MS = 10_000;
/** Pieces of one write that are pushed; a larger write is announced and fetched. */
const PUSHED_PIECES = 6;
/** Peers with equal content, one after the other, after which rumors are not sent any more. */
const SETTLED_AFTER = 3;
/** Datagrams to one member in one round while there are rumors that were never sent. */
const ROUND_DATAGRAMS = 4;

/**
 * One node of the cluster, as a machine without clock, network and chance of its own: each step takes what happened and
 * returns the packets to be sent. Its program calls {@link tick} at {@link nextWake}, and {@link receive} for each
 * packet.
 */
export class GossipNode {
  readonly #options: NodeOptions;
  readonly #settings: Settings;
  readonly #summary = new Summary();
  readonly #rumors = new Rumors();
  readonly #members: Members;
  readonly #membership: Membership;
  readonly #replica: Replica;
  readonly #detector: Detector;
  readonly #reconciler: Reconciler;
  #queue = new Map<string, Message[]>();
  #streams = new Map<string, Message[]>();
  readonly #seedNames = new Map<string, string>();
  #headSize: number;
  #flushAt = Number.POSITIVE_INFINITY;
  #reconnectAt: number;
  #joinAt: number;
  #housekeepingAt: number;
  #lastStepAt: number;
  #isJoiner = false;
  #equalInARow = 0;
  #hasCaughtUp = false;

  constructor(options: NodeOptions) {
    checkName(options.name);
    for (const address of [options.address, ...options.seeds]) checkAddress(address);
    this.#options = options;
    const { name: self, clock, random, state, emit, names = new Names(), settings = DEFAULT_SETTINGS } = options;
    const now = (): number => clock.monotonic();
    const summary = this.#summary;
    this.#settings = settings;
    const generation = Math.max(clock.now(), (state?.generation ?? 0) + 1);
    this.#members = new Members(names, summary);
    this.#replica = new Replica({
      self,
      names,
      summary,
      settings,
      now,
      onChange: (owner, changes) => emit({ type: "facts", owner, changes }),
      onRefused: (owner, reason) => emit({ type: "refused", owner, reason }),
    });
    this.#membership = new Membership({
      self: memberRecord(self, options.address, generation, 0, "alive"),
      members: this.#members,
      settings,
      now,
      random,
      spread: (record, by) => this.#spreadMember(record, by),
      tell: (address, record) => this.#send("datagram", address, { type: "member", record, by: "" }),
      probe: (record) => this.#question(record),
      onStatus: (record, status) => this.#onStatus(record, status),
      onRenewal: (record, isSuspected) => this.#onRenewal(record, isSuspected),
      onConflict: (address) => emit({ type: "conflict", address }),
      onFull: (owner) => emit({ type: "refused", owner, reason: `more than ${settings.maxMembers} members` }),
    });
    const root = () => summary.root();
    const send = (to: string, message: Message): void => this.#send("datagram", to, message);
    const members = this.#members;
    const replica = this.#replica;
    const onFailure = (record: MemberRecord): void => this.#membership.suspect(record);
    this.#detector = new Detector({ self, names, members, settings, random, root, send, onFailure }, now());
    this.#reconciler = new Reconciler({
      self,
      names,
      members,
      replica,
      summary,
      settings,
      now,
      send: (via, to, message) => this.#send(via, to, message),
      learn: (record, absentSeconds) => this.#membership.learn(record, "digest", "", absentSeconds),
      onFormerSelf: (former) => this.#membership.renewAbove(former),
    });
    this.#restore(state, generation);
    this.#headSize = sizeOfEmpty(this.#membership.self);
    this.#lastStepAt = now();
    this.#joinAt = now();
    this.#reconnectAt = now() + random() * settings.reconnectIntervalMs;
    this.#housekeepingAt = now() + HOUSEKEEPING_MS;
  }

  /** The node's present statement about itself. */
  get self(): MemberRecord {
    return this.#membership.self;
  }

  /** The members, to read. */
  get members(): Members {
    return this.#members;
  }

  /** The facts, to read; {@link write} writes. */
  get replica(): Replica {
    return this.#replica;
  }

  /** The hash of all content, to compare nodes. */
  get summary(): Summary {
    return this.#summary;
  }

  /** True once another node held the same content as this one: since then nothing is missing here that others know. */
  get hasCaughtUp(): boolean {
    return this.#hasCaughtUp;
  }

  /** Factor by which the node stretches its own timeouts, 1 to 9: above 1 it has reason to doubt itself. */
  get slowness(): number {
    return this.#detector.slowness;
  }

  /** Rumors under way. */
  get pendingRumors(): number {
    return this.#rumors.size;
  }

  /** Monotonic time at which {@link tick} has something to do. */
  nextWake(): number {
    return Math.min(
      this.#detector.due(),
      this.#membership.due(),
      this.#flushAt,
      this.#reconnectAt,
      this.#joinAt,
      this.#housekeepingAt,
    );
  }

  /** Does what is due. */
  tick(): Outgoing[] {
    const now = this.#step();
    this.#detector.tick(now);
    this.#membership.tick(now);
    this.#join(now);
    this.#reconnect(now);
    this.#housekeep(now);
    const outgoing = this.#finish();
    if (now >= this.#flushAt) this.#flush(now, outgoing);
    return outgoing;
  }

  /** Takes a packet. `from` is the address that a datagram came from, or the name of the stream. */
  receive(via: Via, from: string, packet: Packet): Outgoing[] {
    this.#step();
    if (packet.sender.name === this.self.name && packet.sender.address === this.self.address) return [];
    // A node that knew nobody has no news for anybody, so what it learns first isn't spread.
    this.#isJoiner = this.#members.present === 1;
    this.#membership.startPacket();
    this.#learn(packet.sender, "self", "");
    for (const message of packet.messages) this.#take(via, from, packet.sender, message);
    this.#isJoiner = false;
    return this.#finish();
  }

  /** Writes facts of this node. Throws a NetError, changing nothing, when they can't be: see {@link Replica.write}. */
  write(changes: readonly FactChange[]): Outgoing[] {
    const before = this.#replica.write(changes);
    if (before !== undefined) this.#spreadWrite(before);
    return this.#finish();
  }

  /** Says goodbye to the others. The node takes no further part afterwards. */
  leave(): Outgoing[] {
    const record = this.#membership.leave();
    const outgoing: Outgoing[] = [];
    const asked = new Set([this.self.name]);
    for (let count = 0; count < timesToSend(this.#members.present); count++) {
      const member = this.#members.pick(this.#options.random, ({ name }) => !asked.has(name));
      if (member === undefined) break;
      asked.add(member.name);
      this.#send("datagram", member.address, { type: "member", record, by: "" });
    }
    outgoing.push(...this.#finish());
    return outgoing;
  }

  /** Takes a node that is gone for good out of the whole cluster's store. Throws a NetError while it may be alive. */
  forget(name: string): Outgoing[] {
    this.#membership.forget(name);
    return this.#finish();
  }

  /** What to keep for the node's next self. */
  state(): NodeState {
    const logs = [...this.#replica.owners()].map((owner) => {
      const { generation, version } = this.#replica.shown(owner);
      return { owner, generation, version, entries: this.#replica.facts(owner) };
    });
    const present = [...this.#members.all()].filter((record) => isPresent(record) && record.name !== this.self.name);
    const members = [...present, ...this.#members.remembered().values()];
    return { savedAt: this.#options.clock.now(), generation: this.self.generation, members, logs };
  }

  #restore(state: NodeState | undefined, generation: number): void {
    for (const { owner, generation: former, version, entries } of state?.logs ?? []) {
      this.#replica.restore(owner, former, version, entries);
    }
    for (const record of state?.members ?? []) {
      if (record.name === this.#options.name) continue;
      this.#members.remember(record);
      this.#options.emit({ type: "member", record, status: "remembered" });
    }
    this.#replica.begin(generation);
  }

  #take(via: Via, from: string, sender: MemberRecord, message: Message): void {
    switch (message.type) {
      case "ping":
        this.#onPing(from, message.sequence, message.target);
        this.#compare(from, message.root);
        return;
      case "ack":
        this.#detector.onAck(message.sequence);
        this.#compare(from, message.root);
        return;
      case "ping-request":
        this.#detector.onPingRequest(from, message.sequence, message.target, message.address, this.#lastStepAt);
        return;
      case "nack":
        this.#detector.onNack(message.sequence);
        return;
      case "member":
        this.#learn(message.record, "rumor", message.by);
        return;
      case "delta":
        this.#onDelta(via, from, message.delta);
        return;
      case "news":
        this.#reconciler.onNews(via, from, message.position, true);
        return;
      case "buckets":
        this.#reconciler.onBuckets(via, from, message.hashes);
        return;
      case "digest":
        this.#reconciler.onDigest(via, from, message.cover, message.entries, message.reply);
        return;
      case "request":
        if (isPresent(this.#members.get(sender.name) ?? sender)) this.#reconciler.onRequest(via, from, message.wants);
        return;
      case "end":
        this.#reconciler.onEnd(via, from, message.more);
        return;
    }
  }

  #learn(record: MemberRecord, source: Source, by: string): void {
    this.#membership.learn(record, source, by);
  }

  /** Compares contents. Several random peers in a row that have the same show that the rumors have done their work. */
  #compare(from: string, root: Root): void {
    const isEqual = this.#summary.isEqual(root);
    this.#equalInARow = isEqual ? this.#equalInARow + 1 : 0;
    this.#hasCaughtUp ||= isEqual;
    if (this.#equalInARow >= SETTLED_AFTER) this.#rumors.settle();
    this.#reconciler.compare(from, root);
  }

  /** Probes a suspected member, and tells it of the suspicion in the same datagram. */
  #question(record: MemberRecord): void {
    this.#detector.probe(record, this.#lastStepAt);
    this.#send("datagram", record.address, { type: "member", record, by: "" });
  }

  /** Answers a ping that is meant for this node; one for a former user of its address stays unanswered. */
  #onPing(from: string, sequence: number, target: string): void {
    if (target !== "" && target !== this.self.name) return;
    this.#send("datagram", from, { type: "ack", sequence, root: this.#summary.root() });
  }

  #onDelta(via: Via, from: string, delta: Delta): void {
    if (delta.owner === this.self.name || this.#members.get(delta.owner) === undefined) return;
    const outcome = this.#replica.apply(delta);
    const { owner, generation, latest: version } = delta;
    if (outcome === "gap") this.#reconciler.onNews(via, from, { owner, generation, version, base: 0 }, false);
    if (outcome === "staged") this.#reconciler.onNews(via, from, { owner, generation, version, base: 0 }, true);
    if (outcome !== "applied") return;
    const { asked, news } = this.#reconciler.onTaken(owner);
    if (news !== undefined) this.#spreadNews(news);
    else if (!asked) this.#spreadDelta(delta);
  }

  #onStatus(record: MemberRecord, status: Status): void {
    if (this.#options.seeds.includes(record.address)) this.#seedNames.set(record.address, record.name);
    if (status === "forgotten") this.#replica.drop(record.name);
    else if (this.#members.get(record.name) !== undefined) this.#replica.confirm(record.name);
    this.#options.emit({ type: "member", record, status });
  }

  #onRenewal(self: MemberRecord, isSuspected: boolean): void {
    this.#headSize = sizeOfEmpty(self);
    if (this.#replica.position(self.name).generation !== self.generation) this.#replica.begin(self.generation);
    if (isSuspected) this.#detector.worsen();
  }

  #spreadMember(record: MemberRecord, by: string): void {
    if (this.#isJoiner) return;
    const isConfirmation = record.state === "suspect" && by !== "" && this.#members.get(record.name) === record;
    const message: Message = { type: "member", record, by };
    this.#addRumor(isConfirmation ? `suspect ${record.name} ${by}` : `member ${record.name}`, message);
  }

  #spreadDelta(delta: Delta): void {
    const message: Message = { type: "delta", delta };
    const { owner, generation, to: version } = delta;
    const isSmall = sizeOfMessage(message) <= this.#settings.datagramBytes - this.#headSize;
    if (isSmall) this.#addRumor(`delta ${owner} ${generation} ${delta.from}`, message);
    else this.#spreadNews({ owner, generation, version, base: 0 });
  }

  #spreadNews(position: Position): void {
    this.#addRumor(`news ${position.owner}`, { type: "news", position });
  }

  /** Pushes a write in pieces that fit datagrams, or announces it when it is larger than that makes sense for. */
  #spreadWrite(before: Position): void {
    const pieces: Delta[] = [];
    let { version } = before;
    const room = this.#settings.datagramBytes - this.#headSize;
    for (let piece = this.#replica.delta({ ...before, version }, room); piece !== undefined; ) {
      pieces.push(piece);
      version = piece.to;
      piece = this.#replica.delta({ ...before, version }, room);
      if (pieces.length > PUSHED_PIECES) break;
    }
    if (pieces.length > PUSHED_PIECES) this.#spreadNews(this.#replica.held(before.owner));
    else for (const piece of pieces) this.#spreadDelta(piece);
  }

  #addRumor(key: string, message: Message): void {
    this.#rumors.add(key, message, sizeOfMessage(message));
    this.#equalInARow = 0;
    this.#flushAt = Math.min(this.#flushAt, this.#options.clock.monotonic() + this.#settings.gossipDelayMs);
  }

  /** One round of rumors to a few random members. */
  #flush(now: number, outgoing: Outgoing[]): void {
    const { fanout, gossipIntervalMs, datagramBytes } = this.#settings;
    const limit = timesToSend(this.#members.present);
    const room = datagramBytes - this.#headSize;
    for (let count = 0; count < fanout * ROUND_DATAGRAMS; count++) {
      if (count >= fanout && !this.#rumors.hasFresh()) break;
      const member = this.#members.pick(this.#options.random, ({ name }) => name !== this.self.name);
      if (member === undefined) break;
      const messages: Message[] = [];
      const size = datagramBytes - this.#rumors.take(room, limit, messages);
      if (messages.length === 0) break;
      outgoing.push({ via: "datagram", to: member.address, packet: { sender: this.self, messages }, size });
    }
    this.#flushAt = this.#rumors.size > 0 ? now + gossipIntervalMs : Number.POSITIVE_INFINITY;
  }

  /** Tries to join through a seed, or through somebody from the snapshot, while nobody else is known. */
  #join(now: number): void {
    if (now < this.#joinAt) return;
    const { seeds, address, random } = this.#options;
    const others = seeds.filter((seed) => seed !== address);
    this.#joinAt = Number.POSITIVE_INFINITY;
    if (this.#members.present > 1) return;
    this.#joinAt = now + this.#settings.joinIntervalMs * (0.75 + random() / 2);
    const known = [...this.#members.remembered().values()].map((record) => record.address);
    const target = choose(random() < 0.5 || others.length === 0 ? [...others, ...known] : others, random);
    if (target !== undefined) this.#reconciler.exchangeAll(target);
  }

  /** Tries to reach somebody who counts as dead, or a seed that no present member is: so partitions heal. */
  #reconnect(now: number): void {
    if (now < this.#reconnectAt) return;
    const { random } = this.#options;
    this.#reconnectAt = now + this.#settings.reconnectIntervalMs * (0.75 + random() / 2);
    if (this.#members.present === 1) this.#joinAt = Math.min(this.#joinAt, now);
    const target = choose(this.#unreached(), random);
    if (target !== undefined) this.#detector.ping(target, "");
  }

  #unreached(): string[] {
    const dead = [...this.#members.absent()].filter(([{ state }]) => state === "dead");
    const addresses = dead.map(([{ address }]) => address);
    for (const { address } of this.#members.remembered().values()) addresses.push(address);
    for (const seed of this.#options.seeds) if (!this.#isPresentSeed(seed)) addresses.push(seed);
    return addresses;
  }

  #isPresentSeed(address: string): boolean {
    if (address === this.#options.address) return true;
    const record = this.#members.get(this.#seedNames.get(address) ?? "");
    return record !== undefined && isPresent(record) && record.address === address;
  }

  #housekeep(now: number): void {
    if (now < this.#housekeepingAt) return;
    this.#housekeepingAt = now + HOUSEKEEPING_MS;
    this.#membership.housekeeping();
    this.#replica.housekeeping();
    this.#reconciler.housekeeping();
  }

  /** Begins a step. A node that stood still (stopped, swapped out) must not blame the others for its own silence. */
  #step(): number {
    const now = this.#options.clock.monotonic();
    const late = now - Math.max(this.nextWake(), this.#lastStepAt);
    this.#lastStepAt = now;
    if (late < STANDSTILL_MS) return now;
    this.#detector.worsen();
    this.#detector.postpone(late);
    this.#membership.postpone(late);
    return now;
  }

  #send(via: Via, to: string, message: Message): void {
    const queue = via === "datagram" ? this.#queue : this.#streams;
    const messages = queue.get(to);
    if (messages === undefined) queue.set(to, [message]);
    else messages.push(message);
  }

  /** Packs what the step wants to say: as few packets as fit the bounds, rumors in the room that is left. */
  #finish(): Outgoing[] {
    const outgoing: Outgoing[] = [];
    if (this.#queue.size > 0) {
      for (const [to, messages] of this.#queue) this.#pack(outgoing, "datagram", to, messages);
      this.#queue = new Map();
    }
    if (this.#streams.size > 0) {
      for (const [to, messages] of this.#streams) this.#pack(outgoing, "stream", to, messages);
      this.#streams = new Map();
    }
    return outgoing;
  }

  #pack(outgoing: Outgoing[], via: Via, to: string, messages: readonly Message[]): void {
    const isDatagram = via === "datagram";
    const bytes = isDatagram ? this.#settings.datagramBytes : this.#settings.frameBytes;
    const room = bytes - this.#headSize;
    let left = room;
    let packed: Message[] = [];
    const ship = (): void => {
      outgoing.push({ via, to, packet: { sender: this.self, messages: packed }, size: bytes - left });
      packed = [];
      left = room;
    };
    for (const message of messages) {
      const size = sizeOfMessage(message);
      if (size > left && packed.length > 0) ship();
      packed.push(message);
      left -= size;
    }
    if (isDatagram) left = this.#rumors.take(left, timesToSend(this.#members.present), packed);
    ship();
  }
}

function choose<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}
