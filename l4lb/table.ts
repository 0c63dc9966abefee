import type { Entry } from "../facts/delta.ts";
import type { TaskFact } from "../facts/fact.ts";
import type { TrieMap } from "../facts/trie.ts";
import type { Snapshot, ViewDelta } from "../facts/view.ts";
import type { Family, Ip } from "../lib/address.ts";
import type { VipPools } from "./address.ts";
import type { Standing } from "./address-book.ts";
import { type Declared, declare, type Membership } from "./declare.ts";
import { type DrainCause, Drains } from "./drain.ts";
import { Drained } from "./drained.ts";
import type { Vip } from "./label.ts";
import { type NameKey, VipNames } from "./names.ts";
import { type Member, rowOf, type VipRow } from "./row.ts";
import { Rows, type ServiceChange } from "./rows.ts";
import { serviceName } from "./service.ts";

export interface VipTableOptions {
  /** Id of this node among the node facts. */
  readonly node: string;
  /** Its own addresses in canonical text: tasks there run on this node. */
  readonly addresses: readonly string[];
  readonly pools: VipPools;
  /** How long a drained task keeps its connections, milliseconds. */
  readonly drainMs: number;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** What became different in the table. */
export interface VipChanges {
  /** By the services' names. */
  readonly services: ReadonlyMap<string, ServiceChange>;
  /** Names whose address, or whose place among this node's own, may be another one. */
  readonly names: readonly NameKey[];
}

/** A task whose labels, or health, matter to virtual IPs. */
export interface KnownTask extends Declared {
  readonly fact: TaskFact;
  readonly lost: boolean;
}

/** One virtual IP with the tasks that declare it. */
interface KnownVip {
  /** `vipText`. */
  readonly id: string;
  readonly vip: Vip;
  /** Keys of tasks. */
  readonly tasks: Set<string>;
  /** Its rows at present, one for each family that it has. */
  rows: readonly VipRow[];
  /** Families in which its name needs an address for it. */
  families: readonly Family[];
}

const FAMILIES: readonly Family[] = [4, 6];

/**
 * The virtual IPs of the cluster as every node computes them from the same facts, each with the tasks that it comes
 * from. Takes the deltas of the view: one change costs as much as the backends of the virtual IPs that it is about.
 * What drained tasks keep depends on the time, for which `tick` is there.
 */
export class VipTable {
  readonly #options: VipTableOptions;
  readonly #names: VipNames;
  readonly #drains: Drains;
  readonly #drained = new Drained();
  readonly #own: ReadonlySet<string>;
  readonly #tasks = new Map<string, KnownTask>();
  /** Keys of the tasks with something wrong in their labels. */
  readonly #troubled = new Set<string>();
  readonly #vips = new Map<string, KnownVip>();
  /** Virtual IPs by name, in both families. */
  readonly #byName = new Map<string, readonly string[]>();
  readonly rows = new Rows();
  /** Virtual IPs whose rows have to be made anew. */
  readonly #dirty = new Set<string>();

  constructor(options: VipTableOptions) {
    this.#options = options;
    this.#own = new Set(options.addresses);
    this.#names = new VipNames(options.pools);
    this.#drains = new Drains(options.drainMs);
  }

  /** Takes a whole snapshot, once, before the deltas that follow it. What is drained in it is so since it was seen. */
  begin(snapshot: Snapshot): VipChanges {
    const none = { changed: [], removed: [] };
    const nodes = { ...none, added: entries(snapshot.nodes) };
    this.#names.change({ ...none, added: entries(snapshot.vips) }, nodes);
    this.#drained.change({ ...none, added: entries(snapshot.drains) }, nodes);
    for (const [key, fact] of snapshot.lostTasks) this.#enter(key, fact, true, fact.observedAt);
    for (const [key, fact] of snapshot.tasks) this.#enter(key, fact, false, fact.observedAt);
    return this.#settle();
  }

  /** Takes one delta of the view. What begins to drain now does so at this moment. */
  change({ tasks, lostTasks, vips, drains, nodes }: ViewDelta): VipChanges {
    const now = this.#options.now();
    this.#names.change(vips, nodes);
    const isDrained = this.#drained.change(drains, nodes);
    const stays = new Set([...tasks.added, ...lostTasks.added].map(({ key }) => key));
    for (const { key } of [...tasks.removed, ...lostTasks.removed]) if (!stays.has(key)) this.#leave(key);
    for (const { key, value } of lostTasks.added) this.#enter(key, value, true, now);
    for (const { key, after } of lostTasks.changed) this.#enter(key, after, true, now);
    for (const { key, value } of tasks.added) this.#enter(key, value, false, now);
    for (const { key, after } of tasks.changed) this.#enter(key, after, false, now);
    if (isDrained) for (const [key, { fact }] of this.#tasks) this.#note(key, fact, now);
    return this.#settle();
  }

  /** Ends what drained tasks have left when their time is over. */
  tick(): VipChanges {
    for (const key of this.#drains.expire(this.#options.now())) this.#touch(key);
    return this.#settle();
  }

  /** Number of tasks that are drained: while there are any, `tick` is to be called. */
  get draining(): number {
    return this.#drains.size;
  }

  /** The virtual IPs of a name, by `vipText`. */
  vipsOf(name: string): readonly string[] {
    return this.#byName.get(name) ?? [];
  }

  /** The rows of a virtual IP (`vipText`), whether or not another one has their service. */
  rowsOf(vip: string): readonly VipRow[] {
    return this.#vips.get(vip)?.rows ?? [];
  }

  /** Virtual IPs with tasks that run, of which no row is a service: without backends or address, or at the place of
   *  another. */
  *unserved(): Generator<{ readonly id: string; readonly vip: Vip; readonly members: readonly Member[] }> {
    for (const known of this.#vips.values()) {
      const isServed = known.rows.some((row) => this.rows.get(serviceName(row.service)) === row);
      if (!isServed) yield { id: known.id, vip: known.vip, members: [...this.#membersOf(known)] };
    }
  }

  /** The address that a name has here; undefined when it needs none, or when the pool is full. */
  standing(key: NameKey): Standing | undefined {
    return this.#names.standing(key);
  }

  /** True when a task that this node tells of is a backend of the name in this family. */
  hosts({ name, family }: NameKey): boolean {
    const { node } = this.#options;
    for (const vip of this.vipsOf(name)) {
      const { tasks } = this.#vips.get(vip) ?? { tasks: [] };
      for (const key of tasks) {
        const task = this.#tasks.get(key);
        if (task === undefined || task.lost || task.fact.owner !== node) continue;
        if (membershipIn(vip, task)?.places.some(({ ip }) => ip.family === family)) return true;
      }
    }
    return false;
  }

  /** What is wrong with labels, by task, and which virtual IPs want the same address and port. */
  *problems(): Generator<string, void, undefined> {
    for (const key of this.#troubled) {
      const task = this.#tasks.get(key);
      if (task === undefined) continue;
      const { fact, problems } = task;
      for (const problem of problems) yield `task ${fact.body.id} of ${fact.body.framework.name}: ${problem}`;
    }
    yield* this.rows.conflicts();
    yield* this.rows.problems();
  }

  /** A task and what its labels come to; undefined for one that has none, or that isn't there. */
  task(key: string): KnownTask | undefined {
    return this.#tasks.get(key);
  }

  #enter(key: string, fact: TaskFact, lost: boolean, now: number): void {
    this.#leave(key, true);
    const { state, ports } = fact.body;
    const isBackend = (state === "running" || state === "killing") && ports.some(({ vips }) => vips.length > 0);
    if (!isBackend) {
      this.#drains.note(key, undefined, now, now);
      return;
    }
    const isOwn = fact.body.agent.addresses.some((address) => this.#own.has(address));
    const declared = declare(fact.body, isOwn, this.#names.families);
    const memberships = declared.memberships.map((membership) => this.#join(membership, key));
    this.#tasks.set(key, { memberships, problems: declared.problems, fact, lost });
    if (declared.problems.length > 0) this.#troubled.add(key);
    this.#note(key, fact, now);
  }

  /** A task is gone; `stays` when it is about to come back. */
  #leave(key: string, stays = false): void {
    this.#touch(key);
    if (!stays) this.#drains.note(key, undefined, 0, 0);
    for (const { id } of this.#tasks.get(key)?.memberships ?? []) this.#vips.get(id)?.tasks.delete(key);
    this.#tasks.delete(key);
    this.#troubled.delete(key);
  }

  /** The membership with the virtual IP as it is known here, so that it is in memory once. */
  #join(membership: Membership, task: string): Membership {
    const known = this.#vips.get(membership.id) ?? this.#create(membership.id, membership.vip);
    known.tasks.add(task);
    this.#dirty.add(known.id);
    return { ...membership, id: known.id, vip: known.vip };
  }

  #create(id: string, vip: Vip): KnownVip {
    const known: KnownVip = { id, vip, tasks: new Set(), rows: [], families: [] };
    this.#vips.set(id, known);
    const { place } = vip;
    if (place.kind === "ip") this.#names.take(place.ip);
    else this.#byName.set(place.name, [...this.vipsOf(place.name), id]);
    return known;
  }

  #forget({ id, vip: { place } }: KnownVip): void {
    this.#vips.delete(id);
    if (place.kind === "ip") return;
    const others = this.vipsOf(place.name).filter((each) => each !== id);
    if (others.length === 0) this.#byName.delete(place.name);
    else this.#byName.set(place.name, others);
  }

  #touch(key: string): void {
    for (const { id } of this.#tasks.get(key)?.memberships ?? []) this.#dirty.add(id);
  }

  /** Notes whether a task is drained, since `since` unless an operator's word is older. */
  #note(key: string, fact: TaskFact, since: number): void {
    const now = this.#options.now();
    const before = this.#drains.of(key);
    const asked = this.#drained.since(key, fact);
    this.#drains.note(key, causeOf(fact, asked), Math.min(since, asked ?? since), now);
    if (!Bun.deepEquals(before, this.#drains.of(key))) this.#touch(key);
  }

  #settle(): VipChanges {
    const own = new Set<string>();
    for (const id of this.#dirty) {
      const known = this.#vips.get(id);
      if (known === undefined) continue;
      if (known.vip.place.kind === "name") own.add(known.vip.place.name);
      this.#wantAddresses(known);
    }
    const names = this.#names.settle();
    for (const { name } of names) for (const id of this.vipsOf(name)) this.#dirty.add(id);
    for (const id of this.#dirty) this.#rebuild(id);
    this.#dirty.clear();
    const touched = [...own].flatMap((name) => [...this.#names.families].map((family) => ({ name, family })));
    return { services: this.rows.settle(), names: [...names, ...touched] };
  }

  #wantAddresses(known: KnownVip): void {
    const { place } = known.vip;
    if (place.kind === "ip") {
      if (known.tasks.size === 0) this.#names.free(place.ip);
      return;
    }
    const wanted = this.#familiesOf(known);
    for (const family of FAMILIES) {
      const [before, after] = [known.families.includes(family), wanted.includes(family)];
      if (after && !before) this.#names.want({ name: place.name, family });
      else if (before && !after) this.#names.unwant({ name: place.name, family });
    }
    known.families = wanted;
  }

  /** Those of its backends. */
  #familiesOf({ id, tasks }: KnownVip): readonly Family[] {
    const found = new Set<Family>();
    for (const key of tasks) {
      for (const { ip } of membershipIn(id, this.#tasks.get(key))?.places ?? []) found.add(ip.family);
    }
    return FAMILIES.filter((family) => found.has(family));
  }

  #rebuild(id: string): void {
    const known = this.#vips.get(id);
    if (known === undefined) return;
    const members = [...this.#membersOf(known)];
    for (const row of known.rows) this.rows.drop(row);
    known.rows = FAMILIES.flatMap((family) => {
      const ip = this.#addressOf(known.vip, family);
      return (ip && rowOf(known.vip, ip, members)) ?? [];
    });
    for (const row of known.rows) this.rows.put(row);
    if (known.tasks.size === 0) this.#forget(known);
  }

  #addressOf({ place }: Vip, family: Family): Ip | undefined {
    if (place.kind === "ip") return place.ip.family === family ? place.ip : undefined;
    return this.#names.standing({ name: place.name, family })?.address;
  }

  *#membersOf({ id, tasks }: KnownVip): Generator<Member> {
    for (const key of tasks) {
      const task = this.#tasks.get(key);
      const membership = membershipIn(id, task);
      if (task === undefined || membership === undefined) continue;
      yield { ...membership, task: key, fact: task.fact, lost: task.lost, drain: this.#drains.of(key) };
    }
  }
}

function membershipIn(vip: string, task: Declared | undefined): Membership | undefined {
  return task?.memberships.find(({ id }) => id === vip);
}

/** Why a task gets no new connections, the gravest first; undefined when it does. */
function causeOf({ body: { state, health } }: TaskFact, asked: number | undefined): DrainCause | undefined {
  if (state === "killing") return "killing";
  if (health === "unhealthy") return "unhealthy";
  return asked === undefined ? undefined : "drained";
}

function entries<T>(map: TrieMap<T>): Entry<T>[] {
  return [...map].map(([key, value]) => ({ key, value }));
}
