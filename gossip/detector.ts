import { isPresent, type MemberRecord } from "./member.ts";
import type { Members } from "./members.ts";
import type { Message } from "./message.ts";
import type { Names } from "./names.ts";
import { ProbeOrder } from "./probe-order.ts";
import type { Settings } from "./settings.ts";
import type { Root } from "./summary.ts";

export interface DetectorOptions {
  readonly self: string;
  readonly names: Names;
  readonly members: Members;
  readonly settings: Settings;
  readonly random: () => number;
  readonly root: () => Root;
  readonly send: (to: string, message: Message) => void;
  /** A member answered neither directly nor through helpers. */
  readonly onFailure: (record: MemberRecord) => void;
}

/** A ping that waits for its answer. */
interface Probe {
  readonly sequence: number;
  readonly target: MemberRecord;
  askHelpersAt: number;
  failsAt: number;
  /** Helpers that were asked and have said nothing yet. */
  silentHelpers: number;
}

/** A ping made for somebody else. */
interface Relay {
  readonly sequence: number;
  readonly origin: string;
  readonly originSequence: number;
  failsAt: number;
}

/** Most that the local health factor can be (Lifeguard section IV.A). */
const WORST_HEALTH = 8;
/** Pings made for others at a time; more are not served, so that nobody can make this node flood another. */
const MAX_RELAYS = 512;

/** The failure detector of SWIM: probes members one by one, directly, then through helpers. With Lifeguard's local
 *  health: a node whose own probes fail without a word from the helpers either doubts itself and waits longer. */
export class Detector {
  readonly #options: DetectorOptions;
  readonly #order: ProbeOrder;
  readonly #probes: Probe[] = [];
  readonly #relays: Relay[] = [];
  #sequence = 0;
  #nextProbeAt: number;
  #unhealth = 0;

  constructor(options: DetectorOptions, now: number) {
    this.#options = options;
    this.#order = new ProbeOrder(options.random);
    this.#nextProbeAt = now + options.random() * options.settings.probeIntervalMs;
  }

  /** 1 when this node does well, up to 9 when it should doubt itself. */
  get slowness(): number {
    return 1 + this.#unhealth;
  }

  /** Notes that this node was late: it contradicts a suspicion, or was not running. */
  worsen(): void {
    this.#unhealth = Math.min(WORST_HEALTH, this.#unhealth + 1);
  }

  /** Monotonic time at which {@link tick} has something to do. */
  due(): number {
    let due = this.#nextProbeAt;
    for (const probe of this.#probes) due = Math.min(due, probe.askHelpersAt, probe.failsAt);
    for (const { failsAt } of this.#relays) due = Math.min(due, failsAt);
    return due;
  }

  tick(now: number): void {
    for (const probe of [...this.#probes]) this.#advance(probe, now);
    for (const relay of [...this.#relays]) this.#advanceRelay(relay, now);
    if (now < this.#nextProbeAt) return;
    this.#nextProbeAt = now + this.#options.settings.probeIntervalMs * this.slowness;
    const target = this.#nextTarget();
    if (target !== undefined) this.probe(target, now);
  }

  /** Probes one member now. */
  probe(target: MemberRecord, now: number): void {
    if (this.#probes.some((probe) => probe.target.name === target.name)) return;
    const { directTimeoutMs, probeTimeoutMs } = this.#options.settings;
    const sequence = ++this.#sequence;
    const askHelpersAt = now + directTimeoutMs * this.slowness;
    const failsAt = now + probeTimeoutMs * this.slowness;
    this.#probes.push({ sequence, target, askHelpersAt, failsAt, silentHelpers: 0 });
    this.ping(target.address, target.name, sequence);
  }

  /** Sends a ping that nobody waits for: to somebody counted dead, or to a seed whose name isn't known. */
  ping(address: string, target: string, sequence = ++this.#sequence): void {
    this.#options.send(address, { type: "ping", sequence, target, root: this.#options.root() });
  }

  onAck(sequence: number): void {
    const at = this.#probes.findIndex((probe) => probe.sequence === sequence);
    if (at >= 0) {
      this.#probes.splice(at, 1);
      this.#unhealth = Math.max(0, this.#unhealth - 1);
      return;
    }
    const relayAt = this.#relays.findIndex((relay) => relay.sequence === sequence);
    const relay = this.#relays[relayAt];
    if (relay === undefined) return;
    this.#relays.splice(relayAt, 1);
    this.#options.send(relay.origin, { type: "ack", sequence: relay.originSequence, root: this.#options.root() });
  }

  onNack(sequence: number): void {
    const probe = this.#probes.find((each) => each.sequence === sequence);
    if (probe !== undefined && probe.silentHelpers > 0) probe.silentHelpers--;
  }

  /** Pings for another node. */
  onPingRequest(origin: string, originSequence: number, target: string, address: string, now: number): void {
    if (this.#relays.length >= MAX_RELAYS) return;
    const sequence = ++this.#sequence;
    this.#relays.push({ sequence, origin, originSequence, failsAt: now + this.#options.settings.directTimeoutMs });
    this.ping(address, target, sequence);
  }

  /** Grants all waiting probes more time: this node itself was not running for so many milliseconds. */
  postpone(ms: number): void {
    for (const probe of this.#probes) {
      probe.askHelpersAt += ms;
      probe.failsAt += ms;
    }
    for (const relay of this.#relays) relay.failsAt += ms;
  }

  #advance(probe: Probe, now: number): void {
    if (now >= probe.failsAt) {
      this.#probes.splice(this.#probes.indexOf(probe), 1);
      // Helpers that say nothing, not even that they got no answer, point at this node's own connection.
      if (probe.silentHelpers > 0) this.worsen();
      const present = this.#options.members.get(probe.target.name);
      if (present !== undefined && isPresent(present)) this.#options.onFailure(present);
      return;
    }
    if (now < probe.askHelpersAt) return;
    probe.askHelpersAt = Number.POSITIVE_INFINITY;
    this.#askHelpers(probe);
  }

  #askHelpers(probe: Probe): void {
    const { members, random, self, send, settings } = this.#options;
    const { name: target, address } = probe.target;
    const asked = new Set([self, target]);
    for (let count = 0; count < settings.indirectProbes; count++) {
      const helper = members.pick(random, ({ name, state }) => state === "alive" && !asked.has(name));
      if (helper === undefined) return;
      asked.add(helper.name);
      probe.silentHelpers++;
      send(helper.address, { type: "ping-request", sequence: probe.sequence, target, address });
    }
  }

  #advanceRelay(relay: Relay, now: number): void {
    if (now < relay.failsAt) return;
    this.#relays.splice(this.#relays.indexOf(relay), 1);
    this.#options.send(relay.origin, { type: "nack", sequence: relay.originSequence });
  }

  #nextTarget(): MemberRecord | undefined {
    const { members, names, self } = this.#options;
    for (let step = 0; step < names.size; step++) {
      const record = members.at(this.#order.next(names.size));
      if (record !== undefined && record.name !== self && isPresent(record)) return record;
    }
    return undefined;
  }
}
