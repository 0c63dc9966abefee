import { decodePacket, encodePacket } from "../../gossip/codec.ts";
import { hashNumber } from "../../gossip/hash.ts";
import type { Outgoing, Packet, Via } from "../../gossip/message.ts";
import { Names } from "../../gossip/names.ts";
import { type GossipEvent, GossipNode } from "../../gossip/node.ts";
import type { FactChange } from "../../gossip/replica.ts";
import { DEFAULT_SETTINGS, type Settings, WIRE } from "../../gossip/settings.ts";
import type { NodeState } from "../../gossip/state.ts";
import { seededRandom } from "./random.ts";
import { Story } from "./story.ts";
import { Wheel } from "./wheel.ts";

/** Bytes that the seal and the heads of IP and UDP add to each packet. */
const OVERHEAD = 45 + 28;
/** Packets that wait for a node that stands still, as in a socket's buffer. */
const SOCKET_BUFFER = 200;
const WALL = 1_800_000_000_000;

export interface WorldOptions {
  readonly seed: number;
  /** Share of datagrams that is lost, 0 … 1. */
  readonly loss?: number;
  /** Share of datagrams that arrives twice. */
  readonly doubled?: number;
  /** Longest way of a datagram, milliseconds; the shortest is 1. */
  readonly delayMs?: number;
  readonly settings?: Settings;
  /** Encode and decode every packet, instead of handing it over as it is. */
  readonly codec?: boolean;
  /** Takes what is sent to an address that no host has; without it that is lost. */
  readonly outside?: (from: Host, outgoing: Outgoing) => void;
}

interface Delivery {
  readonly to: Host;
  readonly via: Via;
  readonly from: string;
  readonly packet: Packet;
}

/** A machine of the simulated cluster, with or without a running node. */
export interface Host {
  readonly name: string;
  readonly index: number;
  readonly address: string;
  node: GossipNode | undefined;
  /** Moment when the node started or stopped last. */
  changedAt: number;
  /** Moment until which it stands still. */
  pausedUntil: number;
  /** Packets that arrived while it stands still. */
  readonly waiting: Delivery[];
  /** Hosts of different groups don't reach each other. */
  group: number;
  /** What its wall clock is off. */
  skewMs: number;
  wakeAt: number;
  /** What its disk holds. */
  saved: NodeState | undefined;
  sentBytes: number;
  sentPackets: number;
}

/** A network of nodes in virtual time. Everything follows from the seed: the same calls give the same run. */
export class World {
  readonly names = new Names();
  readonly hosts: Host[] = [];
  readonly settings: Settings;
  readonly story: Story;
  readonly random: () => number;
  /** Told of what nodes report. */
  readonly listeners: ((host: Host, event: GossipEvent) => void)[] = [];
  /** Shown each datagram that is sent. */
  readonly taps: ((from: string, packet: Packet) => void)[] = [];
  /** Share of datagrams that is lost; may be changed. */
  loss: number;
  now = 0;
  /** A hash over every packet that arrived, where and when. */
  traceHash = 0;
  packets = 0;
  largestDatagram = 0;
  largestFrame = 0;
  /** Moment of the last partition, pause or its end. */
  disturbedAt = Number.NEGATIVE_INFINITY;
  readonly #options: WorldOptions;
  readonly #wheel = new Wheel<Delivery | Host>();
  readonly #byAddress = new Map<string, Host>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.settings = options.settings ?? DEFAULT_SETTINGS;
    this.loss = options.loss ?? 0;
    this.random = seededRandom(options.seed);
    this.story = new Story(() => this.now);
  }

  /** Adds a machine, without a running node. */
  addHost(name = `node-${this.hosts.length}`): Host {
    const index = this.hosts.length;
    const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:62501`;
    const host: Host = {
      name,
      index,
      address,
      node: undefined,
      changedAt: 0,
      pausedUntil: 0,
      waiting: [],
      group: 0,
      skewMs: 0,
      wakeAt: Number.POSITIVE_INFINITY,
      saved: undefined,
      sentBytes: 0,
      sentPackets: 0,
    };
    this.hosts.push(host);
    this.#byAddress.set(address, host);
    return host;
  }

  /** Starts the node of a machine; `seeds` are the machines that it joins through. */
  start(host: Host, seeds: readonly Host[]): GossipNode {
    this.story.tell(host.name, `starts${host.saved === undefined ? "" : " with its snapshot"}`);
    const random = seededRandom(Math.floor(this.random() * 0x1_0000_0000));
    const state = host.saved === undefined ? {} : { state: host.saved };
    const node = new GossipNode({
      name: host.name,
      address: host.address,
      seeds: seeds.map(({ address }) => address),
      clock: { now: () => WALL + this.now + host.skewMs, monotonic: () => this.now },
      random,
      settings: this.settings,
      names: this.names,
      emit: (event) => this.#onEvent(host, event),
      ...state,
    });
    host.node = node;
    host.changedAt = this.now;
    host.pausedUntil = 0;
    this.#plan(host);
    return node;
  }

  /** Ends a node without a word, as a power cut does; its disk keeps what was saved before. */
  kill(host: Host): void {
    this.story.tell(host.name, "is killed");
    this.#end(host);
  }

  /** Ends a node that says goodbye. */
  leave(host: Host): void {
    this.story.tell(host.name, "leaves");
    if (host.node !== undefined) this.#sendAll(host, host.node.leave());
    this.#end(host);
  }

  /** Writes a node's snapshot to its disk. */
  save(host: Host): void {
    host.saved = host.node?.state();
  }

  /** Lets a node stand still; what arrives meanwhile waits. */
  pause(host: Host, ms: number): void {
    this.story.tell(host.name, `stands still for ${ms} ms`);
    host.pausedUntil = this.now + ms;
    this.disturbedAt = Math.max(this.disturbedAt, this.now + ms);
    this.#schedule(host, host.pausedUntil);
  }

  /** Cuts the network: hosts reach only those whose group `groupOf` gives the same number. */
  split(groupOf: (host: Host) => number): void {
    for (const host of this.hosts) host.group = groupOf(host);
    this.disturbedAt = Math.max(this.disturbedAt, this.now);
    this.story.tell("network", `splits into ${new Set(this.hosts.map(({ group }) => group)).size} parts`);
  }

  heal(): void {
    for (const host of this.hosts) host.group = 0;
    this.disturbedAt = Math.max(this.disturbedAt, this.now);
    this.story.tell("network", "is whole again");
  }

  /** Sets a machine's wall clock forward or back. */
  jump(host: Host, ms: number): void {
    this.story.tell(host.name, `has its clock moved by ${ms} ms`);
    host.skewMs += ms;
  }

  /** Publishes facts on a node. */
  write(host: Host, changes: readonly FactChange[]): void {
    if (host.node !== undefined) this.#sendAll(host, host.node.write(changes));
    this.#plan(host);
  }

  /** Has a node forget another for good. */
  forget(host: Host, name: string): void {
    this.story.tell(host.name, `is told to forget ${name}`);
    if (host.node !== undefined) this.#sendAll(host, host.node.forget(name));
    this.#plan(host);
  }

  /** Puts a packet into the network as if somebody sent it now: for replays and forgeries. */
  inject(to: Host, from: string, packet: Packet): void {
    this.#wheel.add(this.now, this.now + 1, { to, via: "datagram", from, packet });
  }

  /** Hands a host what somebody outside of this network has sent. */
  arrive(to: Host, via: Via, from: string, packet: Packet): void {
    this.#deliver({ to, via, from, packet });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const until = this.now + ms;
    while (this.now < until) {
      this.now++;
      for (const event of this.#wheel.take(this.now)) {
        if ("packet" in event) this.#deliver(event);
        else this.#wake(event);
      }
    }
  }

  /** Lets time pass until `isDone`, looking every `stepMs`; the time that it took, undefined when `limitMs` was not enough. */
  runUntil(isDone: () => boolean, limitMs: number, stepMs = 10): number | undefined {
    const start = this.now;
    while (this.now - start < limitMs) {
      if (isDone()) return this.now - start;
      this.run(stepMs);
    }
    return isDone() ? this.now - start : undefined;
  }

  /** Hosts with a running node. */
  up(): Host[] {
    return this.hosts.filter(({ node }) => node !== undefined);
  }

  #end(host: Host): void {
    host.node = undefined;
    host.changedAt = this.now;
    host.wakeAt = Number.POSITIVE_INFINITY;
    host.waiting.length = 0;
  }

  #onEvent(host: Host, event: GossipEvent): void {
    if (event.type === "member") this.story.tellStatus(host.name, event.record.name, event.status);
    for (const listener of this.listeners) listener(host, event);
  }

  #wake(host: Host): void {
    if (host.node === undefined || this.now < host.wakeAt) return;
    host.wakeAt = Number.POSITIVE_INFINITY;
    if (this.now < host.pausedUntil) {
      this.#schedule(host, host.pausedUntil);
      return;
    }
    for (const delivery of host.waiting.splice(0)) this.#deliver(delivery);
    this.#sendAll(host, host.node.tick());
    this.#plan(host);
  }

  #plan(host: Host): void {
    if (host.node === undefined) return;
    const at = Math.max(this.now + 1, Math.ceil(host.node.nextWake()));
    if (at < host.wakeAt) this.#schedule(host, at);
  }

  #schedule(host: Host, at: number): void {
    host.wakeAt = at;
    this.#wheel.add(this.now, at, host);
  }

  #deliver(delivery: Delivery): void {
    const { to, via, from, packet } = delivery;
    if (to.node === undefined) return;
    if (this.now < to.pausedUntil) {
      if (to.waiting.length < SOCKET_BUFFER || via === "stream") to.waiting.push(delivery);
      return;
    }
    this.packets++;
    this.traceHash = hashNumber(hashNumber(this.traceHash, this.now), to.index * 64 + packet.messages.length);
    this.#sendAll(to, to.node.receive(via, from, packet));
    this.#plan(to);
  }

  #sendAll(host: Host, outgoing: readonly Outgoing[]): void {
    for (const out of outgoing) this.#send(host, out);
  }

  #send(host: Host, { via, to, packet, size }: Outgoing): void {
    host.sentBytes += size + OVERHEAD;
    host.sentPackets++;
    if (via === "datagram") this.largestDatagram = Math.max(this.largestDatagram, size);
    else this.largestFrame = Math.max(this.largestFrame, size);
    if (via === "datagram") for (const tap of this.taps) tap(host.address, packet);
    const target = this.#byAddress.get(to);
    if (target === undefined) this.#options.outside?.(host, { via, to, packet, size });
    if (target === undefined || target.group !== host.group) return;
    if (via === "datagram" && this.random() < this.loss) return;
    const delivery = { to: target, via, from: host.address, packet: this.#carried(packet) };
    this.#wheel.add(this.now, this.now + this.#delay(via), delivery);
    if (via === "datagram" && this.random() < (this.#options.doubled ?? 0)) {
      this.#wheel.add(this.now, this.now + this.#delay(via), delivery);
    }
  }

  /** Streams keep their order in this network: they all take the same time. */
  #delay(via: Via): number {
    const longest = this.#options.delayMs ?? 4;
    return via === "stream" ? 2 * longest : 1 + Math.floor(this.random() * longest);
  }

  #carried(packet: Packet): Packet {
    if (this.#options.codec !== true) return packet;
    const bytes = encodePacket(packet);
    if (bytes.length > WIRE.frame) throw new Error(`a packet of ${bytes.length} bytes`);
    return decodePacket(bytes);
  }
}
