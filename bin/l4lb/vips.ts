import type { VipFact } from "../../facts/fact.ts";
import type { FactView } from "../../facts/view.ts";
import { refusalError, VipKeeper } from "../../l4lb/apply.ts";
import type { ServiceCounters } from "../../l4lb/dataplane.ts";
import { newVipMetrics, type VipMetrics } from "../../l4lb/metric.ts";
import type { NameKey } from "../../l4lb/names.ts";
import { type ClaimWord, OwnClaims } from "../../l4lb/own-claims.ts";
import { type PublishedName, PublishedNames } from "../../l4lb/published.ts";
import type { ServiceChange } from "../../l4lb/rows.ts";
import { type Service, serviceName } from "../../l4lb/service.ts";
import { VipTable } from "../../l4lb/table.ts";
import type { KernelView } from "../../l4lb/trace.ts";
import { equalIp, type Ip, parseIp } from "../../lib/address.ts";
import type { Cancel, Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { type Loop, type LoopStatus, startLoop } from "../../lib/loop.ts";
import { every } from "../every.ts";
import { someOf } from "../output.ts";
import { Carried } from "./carried.ts";
import type { ChosenDataplane } from "./choose-dataplane.ts";
import type { VipSettings } from "./settings.ts";

/** Wait of a change for others that come with it, milliseconds. */
const GATHER_MS = 5;
/** Time between looks at drains, claims and the membership, milliseconds. */
const TICK_MS = 250;
/** Time from the end of one look at the kernel to the next, milliseconds: below the 5 s in which what somebody
 *  else changes must be repaired. Where a look that finds nothing to do takes long, because there are very many
 *  services, it is so many times as long as that, so that looking costs a hundredth of a processor at most. */
const REPAIR_MS = 2000;
const GAP_PER_LOOK = 100;
const LEAST_GAP_MS = 200;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 4000;
const REPAIRS_KEPT = 20;
const OBJECTS_NAMED = 20;

export interface VipsOptions {
  readonly chosen: ChosenDataplane;
  readonly settings: VipSettings;
  /** Id of this node among the node facts, and its addresses in canonical text. */
  readonly node: string;
  readonly addresses: readonly string[];
  readonly view: FactView;
  /** True once the view is complete: before that nothing is taken away, and nothing new is claimed. */
  readonly isComplete: () => boolean;
  /** Publishes claims of this node. */
  readonly publish: (words: readonly ClaimWord[]) => void;
  /** Hands names to DNS. */
  readonly name: (names: readonly PublishedName[]) => void;
  /** Called after the first good comparison with a complete view; true when it has taken something out of the kernel
   *  that services may share. */
  readonly onSettled: () => boolean;
  /** Told when something of the report may be different. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** A time at which somebody else's changes were repaired. */
export interface VipRepair {
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  readonly objects: readonly string[];
}

/** The virtual IPs of a node: from the facts of all nodes into its kernel and its names. */
export class Vips {
  readonly table: VipTable;
  readonly keeper: VipKeeper;
  readonly metrics: VipMetrics = newVipMetrics();
  readonly #options: VipsOptions;
  readonly #carried: Carried;
  readonly #names: PublishedNames;
  readonly #claims = new OwnClaims();
  readonly #loop: Loop;
  readonly #cancels: Cancel[];
  /** What changed since the last time that changes were carried out, and when the first of it came. */
  readonly #services = new Map<string, ServiceChange>();
  readonly #changedNames = new Map<string, NameKey>();
  #gathering: Cancel | undefined;
  #newsAt = 0;
  #wasComplete = false;
  #isSettled = false;
  #failure: string | undefined;
  #repairs: readonly VipRepair[] = [];
  #nextPass: Cancel | undefined;
  /** A comparison was asked for, however quiet the kernel is. */
  #isAsked = true;

  constructor(options: VipsOptions) {
    const { chosen, settings, node, addresses, view, clock, random, log } = options;
    this.#options = options;
    const now = (): number => clock.now();
    this.table = new VipTable({ node, addresses, pools: settings.pools, drainMs: settings.drainMs, now });
    this.keeper = new VipKeeper({
      dataplane: chosen.dataplane,
      metrics: this.metrics,
      monotonic: () => clock.monotonic(),
    });
    this.#carried = new Carried(chosen.dataplane, clock, log);
    this.#names = new PublishedNames({
      addresses: (name) => this.#addressesOf(name),
      isServed: (name, ip) => this.#isServed(name, ip),
    });
    this.#note(this.table.begin(view.snapshot()));
    this.#cancels = [
      view.subscribe((delta) => this.#note(this.table.change(delta))),
      every(clock, TICK_MS, () => this.#tick()),
    ];
    this.#loop = startLoop({
      ...{ run: () => this.#pass(), clock, random, leastGapMs: LEAST_GAP_MS, longestGapMs: 3_600_000 },
      ...{ firstRetryMs: FIRST_RETRY_MS, longestRetryMs: LONGEST_RETRY_MS },
      onFailure: (error) => this.#failed(error),
    });
  }

  get chosen(): ChosenDataplane {
    return this.#options.chosen;
  }

  /** Why the kernel isn't as it should be; undefined when it is. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The last repairs, newest first. */
  get repairs(): readonly VipRepair[] {
    return this.#repairs;
  }

  /** True once the kernel was compared with a complete view. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  loop(): LoopStatus {
    return this.#loop.status();
  }

  /** Changes that have not been carried out yet. */
  get waiting(): number {
    return this.#services.size;
  }

  isNamed(name: string, ip: Ip): boolean {
    return this.#names.has(name, ip.family);
  }

  /** What services and backends have carried; at most a few seconds old. */
  carried(): readonly ServiceCounters[] {
    return this.#carried.counters();
  }

  /** Reads what the kernel has now, and puts back what services need and is missing; what is wrong with services is
   *  left to the next comparison, which is asked for. Throws a NetError when the kernel can't be read. */
  examine(): KernelView {
    const { dataplane } = this.chosen;
    const { made } = dataplane.prepare();
    const services = new Map(dataplane.read().map((service) => [serviceName(service), service]));
    this.request();
    return { problem: this.#failure, missing: made, services };
  }

  /** Asks for a comparison with the kernel. */
  request(): void {
    this.#isAsked = true;
    this.#loop.request();
  }

  /** Leaves the kernel as it is. */
  async stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    this.#gathering?.();
    this.#nextPass?.();
    await this.#loop.stop();
    this.chosen.dataplane.close();
  }

  /** Takes what changed in the table; called in the middle of the view's steps. */
  #note({ services, names }: ReturnType<VipTable["change"]>): void {
    if (services.size === 0 && names.length === 0) return;
    const { clock } = this.#options;
    if (this.#services.size === 0) this.#newsAt = clock.monotonic();
    for (const [name, change] of services) this.#services.set(name, change);
    for (const key of names) this.#changedNames.set(`${key.family}/${key.name}`, key);
    this.#gathering ??= clock.schedule(GATHER_MS, () => {
      this.#gathering = undefined;
      this.#carryOut();
    });
  }

  /** The short way of news: claims, names that go, the kernel, names that come. */
  #carryOut(): void {
    const { name, clock, isComplete } = this.#options;
    if (isComplete()) this.#look(this.#changedNames.values());
    if (!this.keeper.isTakenOver) return;
    const names = [...this.#changedNames.values()].map((key) => key.name);
    this.#changedNames.clear();
    name(this.#names.before(names));
    const complete = isComplete();
    const refused = this.keeper.change(this.#services, complete);
    const isNews = this.#services.size > 0;
    this.#services.clear();
    name(this.#names.after(names));
    // What can't be taken away yet is left to a comparison.
    if (!complete) this.#isAsked = true;
    if (refused.length > 0) this.request();
    if (isNews) this.#count(clock.monotonic() - this.#newsAt);
    this.#options.onChange();
  }

  #count(delayMs: number): void {
    this.metrics.lastDelayMs = delayMs;
    this.metrics.longestDelayMs = Math.max(this.metrics.longestDelayMs, delayMs);
  }

  /** Passes that come by themselves compare only where the kernel may not be as it was left. */
  #pass(): void {
    const { clock } = this.#options;
    const startedAt = clock.monotonic();
    if (this.#isAsked || this.#failure !== undefined || !this.keeper.isQuiet()) this.#compare();
    else this.#plan(clock.monotonic() - startedAt);
  }

  #compare(): void {
    const { name, isComplete, log, clock } = this.#options;
    const { changes } = this.metrics;
    this.#nextPass?.();
    const complete = isComplete();
    const names = new Set([...this.#names.names(), ...[...this.#changedNames.values()].map((key) => key.name)]);
    for (const { vip } of this.table.rows) if (vip.place.kind === "name") names.add(vip.place.name);
    name(this.#names.before(names));
    const wanted = new Map<string, Service>();
    for (const { service } of this.table.rows) wanted.set(serviceName(service), service);
    const { repaired, refused } = this.keeper.reconcile(wanted, complete);
    this.#services.clear();
    name(this.#names.after(names));
    if (repaired.length > 0) {
      this.#repairs = [{ at: clock.now(), objects: someOf(repaired, OBJECTS_NAMED) }, ...this.#repairs].slice(
        0,
        REPAIRS_KEPT,
      );
      log.warn("foreign change of virtual IPs repaired", {
        count: repaired.length,
        objects: someOf(repaired, OBJECTS_NAMED),
      });
    }
    const error = refusalError(refused);
    if (error !== undefined) throw error;
    this.#failure = undefined;
    this.#isAsked = !complete;
    const wasIdle = repaired.length === 0 && this.metrics.changes === changes;
    this.#plan(wasIdle ? this.metrics.lastPassMs : 0);
    if (complete && !this.#isSettled) this.#settled(wanted);
    this.#options.onChange();
  }

  #settled(wanted: ReadonlyMap<string, Service>): void {
    const { onSettled, log, chosen } = this.#options;
    this.#isSettled = true;
    log.info("virtual IPs in the kernel", { dataplane: chosen.dataplane.kind, services: this.table.rows.size });
    // Data planes share the device of the addresses, which goes with the former one, so that it is looked at once more.
    if (onSettled()) this.keeper.reconcile(wanted, true);
  }

  /** `lookMs`: how long it took to find that nothing is to be done; 0 after a pass that put things right, which says
   *  nothing about how long the next will take. */
  #plan(lookMs: number): void {
    const gap = Math.max(REPAIR_MS, GAP_PER_LOOK * lookMs);
    this.#nextPass = this.#options.clock.schedule(gap, () => this.#loop.request());
  }

  #failed(error: unknown): void {
    const failure = messageOf(error);
    // The same problem is logged once, however often the pass is tried again.
    if (failure !== this.#failure) this.#options.log.error("virtual IPs not as they should be", { problem: failure });
    this.#failure = failure;
    this.#options.onChange();
  }

  #tick(): void {
    if (this.table.draining > 0) this.#note(this.table.tick());
    const complete = this.#options.isComplete();
    if (complete && !this.#wasComplete) this.#completed();
    else if (complete) this.#look(this.#claims.unfit());
  }

  /** From now on it is known what is not there: names are claimed, and what is too much is taken away. */
  #completed(): void {
    this.#wasComplete = true;
    const { view, node } = this.#options;
    const own = [...view.snapshot().vips.values()].filter(({ owner }) => owner === node);
    this.#claims.resume(own.map(claimOf));
    this.#options.publish(own.map((fact) => ({ key: claimOf(fact), claim: claimOf(fact) })));
    const named = [...this.table.rows].flatMap(({ vip, service: { ip } }) => {
      return vip.place.kind === "name" ? [{ name: vip.place.name, family: ip.family }] : [];
    });
    this.#look([...named, ...own.map(claimOf)]);
    this.request();
  }

  #look(names: Iterable<NameKey>): void {
    const { clock, publish } = this.#options;
    const words = [...names].flatMap((key) => {
      const view = { hosts: this.table.hosts(key), standing: this.table.standing(key) };
      return this.#claims.look(key, view, clock.now(), clock.monotonic());
    });
    if (words.length > 0) publish(words);
  }

  #addressesOf(name: string): Ip[] {
    const standings = ([4, 6] as const).flatMap((family) => this.table.standing({ name, family }) ?? []);
    return standings.map(({ address }) => address).filter((ip) => this.#servicesAt(name, ip).length > 0);
  }

  /** One service that the kernel has is enough: another one that it refuses must not take the name away. */
  #isServed(name: string, ip: Ip): boolean {
    return this.#servicesAt(name, ip).some((service) => this.keeper.has(service));
  }

  /** Services of a name at one of its addresses. */
  #servicesAt(name: string, ip: Ip): string[] {
    const rows = this.table.vipsOf(name).flatMap((vip) => this.table.rowsOf(vip));
    return rows.filter((row) => equalIp(row.service.ip, ip)).map((row) => serviceName(row.service));
  }
}

function claimOf({ body: { name, address, since } }: VipFact) {
  const ip = parseIp(address);
  return { name, family: ip.family, address: ip, since };
}
