import { NetError } from "../lib/error.ts";
import { inState, isPresent, type MemberRecord, memberRecord, supersedes } from "./member.ts";
import type { Members } from "./members.ts";
import type { Settings } from "./settings.ts";
import { Suspicion } from "./suspicion.ts";

/** How a statement about a member came: from itself in the head of a packet, as fresh news, or out of a comparison of
 *  what both sides know, where it may be old. */
export type Source = "self" | "rumor" | "digest";

/** What a reader of members is told. `remembered`: known from the snapshot only; `left`: it said so itself. */
export type Status = "alive" | "remembered" | "unreachable" | "left" | "forgotten";

export interface MembershipOptions {
  readonly self: MemberRecord;
  readonly members: Members;
  readonly settings: Settings;
  readonly now: () => number;
  readonly random: () => number;
  /** Passes news on to the cluster. */
  readonly spread: (record: MemberRecord, by: string) => void;
  /** Tells one member what is said of it, so that it can contradict. */
  readonly tell: (address: string, record: MemberRecord) => void;
  /** Probes a suspected member now. */
  readonly probe: (record: MemberRecord) => void;
  readonly onStatus: (record: MemberRecord, status: Status) => void;
  /** This node took a new generation or incarnation; `isSuspected` when it contradicted a suspicion. */
  readonly onRenewal: (self: MemberRecord, isSuspected: boolean) => void;
  /** Another node uses this node's name. */
  readonly onConflict: (address: string) => void;
  readonly onFull: (name: string) => void;
}

/** Members that one packet may call dead before they are probed one by one; beyond, they are only told. */
const PROBED_AT_ONCE = 8;
/** Absence that ends within this time is not taken over from others, milliseconds: it would be forgotten at once. */
const ALMOST_FORGOTTEN_MS = 60_000;

/** The rules by which a node believes what is said of members. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #suspicions = new Map<string, Suspicion>();
  #due = Number.POSITIVE_INFINITY;
  #self: MemberRecord;
  #isLeaving = false;
  #challenged = 0;
  #heardSince: number | undefined;
  #areRememberedGone = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#self = options.self;
    options.members.set(options.self, 0);
  }

  get self(): MemberRecord {
    return this.#self;
  }

  /** Monotonic time of the next verdict. */
  due(): number {
    return this.#due;
  }

  /** Takes a statement about a member. `by` is who suspects it or found it dead; `absentSeconds` how long it has
   *  been. */
  learn(record: MemberRecord, source: Source, by: string, absentSeconds = 0): void {
    if (record.name === this.#self.name) {
      this.#learnSelf(record);
      return;
    }
    this.#heardSince ??= this.#options.now();
    const known = this.#options.members.get(record.name);
    if (known === record && record.state === "alive") return;
    if (known === undefined) this.#learnNew(record, source, by, absentSeconds);
    else this.#learnKnown(record, known, source, by, absentSeconds);
  }

  /** Starts to take a packet: see {@link PROBED_AT_ONCE}. */
  startPacket(): void {
    this.#challenged = 0;
  }

  /** A probe of this node failed. */
  suspect(record: MemberRecord): void {
    const by = this.#self.name;
    const accused = record.state === "suspect" ? record : inState(record, "suspect");
    this.#options.tell(record.address, accused);
    if (record === accused) this.#confirm(record, by);
    else this.#accept(accused, by, 0);
  }

  /** Turns suspicions that ran out into verdicts. */
  tick(now: number): void {
    if (now < this.#due) return;
    for (const [name, suspicion] of this.#suspicions) {
      if (now < suspicion.deadline()) continue;
      const record = this.#options.members.get(name);
      if (record?.state === "suspect") this.#accept(inState(record, "dead"), this.#self.name, 0);
    }
    this.#settle();
  }

  /** Grants all suspicions more time: this node itself was not running for so many milliseconds. */
  postpone(ms: number): void {
    for (const suspicion of this.#suspicions.values()) suspicion.postpone(ms);
    this.#settle();
  }

  /** Takes a generation above a former self's, of whom somebody still has facts. */
  renewAbove(generation: number): void {
    if (!this.#isLeaving) this.#renew(Math.max(generation, this.#self.generation) + 1, 0, false);
  }

  /** Says goodbye: the others count this node as gone at once. */
  leave(): MemberRecord {
    this.#isLeaving = true;
    this.#self = inState(this.#self, "left");
    this.#options.members.set(this.#self, this.#options.now());
    this.#options.spread(this.#self, "");
    return this.#self;
  }

  /** Takes a member out of the store for good. Throws a NetError `conflict` while it may be alive, `not-found` when it
   *  isn't known. */
  forget(name: string): void {
    const { members } = this.#options;
    const record = members.get(name) ?? members.remembered().get(name);
    const tried = `forget the node ${name}`;
    if (record === undefined) throw new NetError("not-found", { tried, said: "no node of that name is known" });
    if (members.get(name) !== undefined && isPresent(record)) {
      const remedy = "stop it first, and wait until it counts as unreachable";
      throw new NetError("conflict", { tried, said: `it is ${record.state}`, remedy });
    }
    this.#accept(inState(record, "forgotten"), "", 0);
  }

  /** Lets go of members that are absent for the stated time, and of remembered ones that nobody knows. */
  housekeeping(): void {
    const { members, now, settings, onStatus } = this.#options;
    for (const [record, since] of [...members.absent()]) {
      if (now() - since < settings.forgetAfterMs || record.name === this.#self.name) continue;
      members.delete(record.name);
      if (record.state !== "forgotten") onStatus(record, "forgotten");
    }
    if (this.#heardSince === undefined || now() - this.#heardSince < settings.rememberMs) return;
    const isLong = now() - this.#heardSince >= settings.forgetAfterMs;
    for (const record of [...members.remembered().values()]) {
      if (isLong) members.forgetRemembered(record.name);
      if (isLong || !this.#areRememberedGone) onStatus(record, isLong ? "forgotten" : "unreachable");
    }
    this.#areRememberedGone = true;
  }

  #learnNew(record: MemberRecord, source: Source, by: string, absentSeconds: number): void {
    const { members, settings, onFull } = this.#options;
    const absentMs = absentSeconds * 1000;
    // A death that nobody asked about is old news of somebody long gone, unless a comparison says how old it is.
    const isOld = source !== "digest" || absentMs >= settings.forgetAfterMs - ALMOST_FORGOTTEN_MS;
    if (!isPresent(record) && isOld && !members.remembered().has(record.name)) return;
    if (members.count >= settings.maxMembers) {
      onFull(record.name);
      return;
    }
    this.#accept(record, by, absentMs);
  }

  #learnKnown(record: MemberRecord, known: MemberRecord, source: Source, by: string, absentSeconds: number): void {
    if (!supersedes(record, known)) {
      this.#learnOld(record, known, source, by, absentSeconds);
    } else if (this.#isChallenge(record, known)) {
      this.#challenge(record, known);
    } else {
      this.#accept(record, by, absentSeconds * 1000);
    }
  }

  #learnOld(record: MemberRecord, known: MemberRecord, source: Source, by: string, absentSeconds: number): void {
    const { members, now, tell } = this.#options;
    if (record.fingerprint !== known.fingerprint) {
      // Its own word, but an old one: it must learn what is said of it to contradict.
      if (source === "self" && !isPresent(known)) tell(record.address, known);
      return;
    }
    if (record.state === "suspect" && known.state === "suspect") this.#confirm(known, by);
    if (source === "self" && known.state === "suspect") tell(record.address, known);
    const since = now() - absentSeconds * 1000;
    if (since < (members.absentSince(known.name) ?? 0)) members.setAbsentSince(known.name, since);
  }

  /** Somebody calls dead, perhaps since long, who is alive for all that is known here. After a split of the network
   *  that's what both halves say of each other, so it is not believed but shown to the member, who contradicts it if it
   *  can. */
  #challenge(record: MemberRecord, known: MemberRecord): void {
    this.#options.tell(known.address, record);
    if (++this.#challenged <= PROBED_AT_ONCE) this.#options.probe(known);
  }

  /** True for a death that is not believed at once: a true one comes after a suspicion that this node heard of long
   *  enough before, so that the member could answer. */
  #isChallenge(record: MemberRecord, known: MemberRecord): boolean {
    if (record.state === "forgotten") return isPresent(known);
    if (record.state !== "dead" || !isPresent(known)) return false;
    const suspicion = this.#suspicions.get(record.name);
    const { now, settings } = this.#options;
    return suspicion === undefined || now() - suspicion.startedAt < settings.suspicionMinMs / 2;
  }

  #accept(record: MemberRecord, by: string, absentMs: number): void {
    const { members, now, onStatus, spread } = this.#options;
    const known = members.get(record.name);
    members.set(record, now() - absentMs);
    if (record.state === "suspect") this.#startSuspicion(record, by);
    else if (this.#suspicions.delete(record.name)) this.#settle();
    spread(record, by);
    const status = statusOf(record);
    const isNews = known === undefined || statusOf(known) !== status || known.generation !== record.generation;
    if (isNews) onStatus(record, status);
  }

  #startSuspicion(record: MemberRecord, by: string): void {
    const { members, now, random, settings, probe } = this.#options;
    const suspicion = new Suspicion(now(), by, members.present - 2, settings);
    this.#suspicions.set(record.name, suspicion);
    this.#due = Math.min(this.#due, suspicion.deadline());
    if (by !== this.#self.name && random() * members.present < settings.opinions) probe(record);
  }

  #confirm(record: MemberRecord, by: string): void {
    const suspicion = this.#suspicions.get(record.name);
    if (suspicion === undefined || !suspicion.confirm(by)) return;
    this.#due = Math.min(this.#due, suspicion.deadline());
    this.#options.spread(record, by);
  }

  #settle(): void {
    this.#due = Number.POSITIVE_INFINITY;
    for (const suspicion of this.#suspicions.values()) this.#due = Math.min(this.#due, suspicion.deadline());
  }

  #learnSelf(record: MemberRecord): void {
    if (this.#isLeaving || supersedes(this.#self, record) || record.fingerprint === this.#self.fingerprint) {
      this.#learnSelfSuspected(record);
      return;
    }
    if (record.address !== this.#self.address && record.state === "alive") this.#options.onConflict(record.address);
    const isLater = record.generation > this.#self.generation;
    if (isLater) this.#renew(record.generation + 1, 0, false);
    else this.#renew(this.#self.generation, record.incarnation + 1, record.state === "suspect");
  }

  #learnSelfSuspected(record: MemberRecord): void {
    // Suspicion has the fingerprint of life, so it must be looked at by itself.
    const isAccused = record.state === "suspect" && !supersedes(this.#self, record);
    if (isAccused && !this.#isLeaving) this.#renew(this.#self.generation, record.incarnation + 1, true);
  }

  #renew(generation: number, incarnation: number, isSuspected: boolean): void {
    const { members, now, onRenewal, spread } = this.#options;
    this.#self = memberRecord(this.#self.name, this.#self.address, generation, incarnation, "alive");
    members.set(this.#self, now());
    spread(this.#self, "");
    onRenewal(this.#self, isSuspected);
  }
}

function statusOf(record: MemberRecord): Status {
  if (isPresent(record)) return "alive";
  return record.state === "dead" ? "unreachable" : record.state === "left" ? "left" : "forgotten";
}
