import type { Kernel, Watch } from "../../kernel/kernel.ts";
import type { NftElementsChange, NftRawElement } from "../../kernel/nftables.ts";
import type { Ip } from "../../lib/address.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Change, Dataplane, Foundation, ServiceCounters } from "../dataplane.ts";
import type { Service, ServiceKey } from "../service.ts";
import { checkService } from "./check-service.ts";
import { readCounters } from "./nftables-counters.ts";
import { type Difference, elementDifference, serviceDifference } from "./nftables-difference.ts";
import { addressElement, addressKey, elementsOf, type Held, ownerKey, type Placed } from "./nftables-elements.ts";
import { heldAs } from "./nftables-large.ts";
import { Others } from "./nftables-others.ts";
import { OwedEndings } from "./nftables-owed.ts";
import { idleAddresses, type NftablesState, readState } from "./nftables-state.ts";
import { type Growth, growthOf, L4LB_TABLE, TABLE_REMOVAL, tableRepair } from "./nftables-table.ts";
import {
  changeVipRoutes,
  prepareVipDevice,
  readVipRoutes,
  removeVipDevice,
  removeVipRoutes,
  VIP_DEVICE,
} from "./vip-device.ts";
import { forgetFlows } from "./vip-flows.ts";

/** Elements of one transaction at most: about 2 MB of messages, which the kernel takes in one piece. */
const TRANSACTION_ELEMENTS = 30_000;
/** Milliseconds for which an address is ours after its last service went: what is still sent there is refused, so that
 *  its senders don't wait in vain. */
const LINGER_MS = 60_000;
/** Refused transactions after which the rest of a batch is given up: each costs some 15 ms, because the kernel waits
 *  for all readers before it rolls back. */
const REFUSALS_MAX = 64;

/** Virtual IPs by translation of destinations: nftables chooses a backend for the first packet of a connection, and
 *  connection tracking keeps to it. Works for processes of the kernel's namespace and for all that it forwards. */
export function openNftablesDataplane(kernel: Kernel, clock: Pick<Clock, "monotonic">): Dataplane {
  return new NftablesDataplane(kernel, clock);
}

/** A change, its place in the caller's list, and the elements that it takes away and makes. */
interface Step extends Difference {
  readonly index: number;
  readonly change: Change;
  /** What the kernel has of the service, when it has it whole. */
  readonly before: Service | undefined;
  /** What the kernel is to have of it. */
  readonly after: Held | undefined;
  /** The kernel has something of it, but not whole. */
  readonly damaged: boolean;
}

interface Refused {
  readonly index: number;
  readonly error: Error;
}

class NftablesDataplane implements Dataplane {
  readonly kind = "nftables";
  /** What the kernel has, as last read and as changed by us since; undefined before the first reading. */
  #state: NftablesState | undefined;
  /** The epoch (`Others`) in which `#state` was read. */
  #knownAt: number | undefined;
  /** The last epoch in which the table was found whole. */
  #wholeAt: number | undefined;
  /** Since when addresses have had no service, by the clock's milliseconds, in this order. */
  readonly #left = new Map<string, { readonly ip: Ip; readonly since: number }>();
  /** Tells of changes of the device and its routes. */
  #watch: Watch | undefined;
  /** The device's routes may be others than those in `#state`. */
  #areRoutesDoubtful = true;
  readonly #owed = new OwedEndings();
  readonly #others: Others;

  constructor(
    private readonly kernel: Kernel,
    private readonly clock: Pick<Clock, "monotonic">,
  ) {
    this.#others = new Others(kernel.nftables);
  }

  prepare(): Foundation {
    const epoch = this.#others.epoch();
    const table = this.#wholeAt === epoch ? [] : this.#makeTable([]);
    this.#wholeAt = table.length === 0 ? epoch : undefined;
    const device = prepareVipDevice(this.kernel);
    this.#dropLeft();
    this.#owed.carryOut(this.kernel);
    return { made: [...table, ...device] };
  }

  read(): Service[] {
    const isKnown = this.#state !== undefined && this.#knownAt === this.#others.epoch();
    this.#lookAtRoutes();
    const state = isKnown && this.#hasItsRoutes() ? this.#state : undefined;
    return (state ?? this.#readAll()).services();
  }

  isQuiet(): boolean {
    const epoch = this.#others.epoch();
    this.#lookAtRoutes();
    const isSame = this.#knownAt === epoch && this.#wholeAt === epoch && !this.#areRoutesDoubtful;
    return (
      isSame &&
      this.#state !== undefined &&
      this.#owed.size === 0 &&
      this.#overdue().length === 0 &&
      this.kernel.link(VIP_DEVICE)?.up === true
    );
  }

  apply(changes: readonly Change[]): (Error | undefined)[] {
    const outcome = changes.map((change) => attempt(() => checkChange(change)));
    const valid = [...changes.keys()].filter((index) => outcome[index] === undefined);
    if (valid.length === 0) return outcome;
    const done: Step[] = [];
    const fail = (indexes: readonly number[], error: Error | undefined): void => {
      for (const index of indexes) outcome[index] ??= error;
    };
    const error = attempt(() => {
      for (const refused of this.#carryOut(changes, valid, done)) fail([refused.index], refused.error);
    });
    const finished = new Set(done.map(({ index }) => index));
    fail(
      valid.filter((index) => !finished.has(index)),
      error,
    );
    this.#settle(done, fail);
    return outcome;
  }

  counters(): ServiceCounters[] {
    const state = this.#state ?? this.#readAll();
    return readCounters(this.kernel, [...state.whole.values()]);
  }

  remove(): void {
    const services = this.read();
    this.kernel.nftables.run(TABLE_REMOVAL);
    removeVipRoutes(this.kernel);
    removeVipDevice(this.kernel);
    forgetFlows(
      this.kernel.conntrack,
      services.map((service) => ({ ...service, backends: [] })),
    );
    this.#state = undefined;
  }

  /** The kernel is the caller's and stays open. */
  close(): void {
    this.#others.close();
    this.#watch?.close();
    this.#watch = undefined;
    this.#areRoutesDoubtful = true;
    this.#state = undefined;
  }

  #readAll(): NftablesState {
    const epoch = this.#others.epoch();
    this.#lookAtRoutes();
    const state = readState(this.kernel, this.#state);
    this.#state = state;
    this.#knownAt = epoch;
    this.#areRoutesDoubtful = false;
    const since = this.clock.monotonic();
    const idle = new Map(idleAddresses(state).map((ip) => [addressKey(ip), ip]));
    for (const key of this.#left.keys()) if (!idle.has(key)) this.#left.delete(key);
    for (const [key, ip] of idle) if (!this.#left.has(key)) this.#left.set(key, { ip, since });
    return state;
  }

  /** Comes before the routes are read, so that no change is missed. */
  #lookAtRoutes(): void {
    if (this.#watch === undefined) {
      this.#watch = this.kernel.watchHostRoutes(VIP_DEVICE);
      this.#areRoutesDoubtful = true;
    } else if (this.#watch.changed()) this.#areRoutesDoubtful = true;
  }

  #hasItsRoutes(): boolean {
    if (!this.#areRoutesDoubtful) return true;
    if (this.#state === undefined || !hasItsRoutes(this.kernel, this.#state)) return false;
    this.#areRoutesDoubtful = false;
    return true;
  }

  /** Tells which changes were refused; `done` gets the others. */
  #carryOut(changes: readonly Change[], indexes: readonly number[], done: Step[]): Refused[] {
    const state = this.#state ?? this.#readAll();
    const late: number[] = [];
    for (const part of parts(this.#steps(state, changes, indexes))) {
      if (attempt(() => this.#transact(part)) === undefined) done.push(...part);
      else late.push(...part.map(({ index }) => index));
    }
    if (late.length === 0) return [];
    // Perhaps somebody has changed the table since it was read: what there is to do follows from what is there now.
    const refused: Refused[] = [];
    for (const part of parts(this.#steps(this.#readAll(), changes, late))) this.#bisect(part, done, refused);
    return refused;
  }

  /** Finds the steps that are refused for themselves, by halves. */
  #bisect(steps: readonly Step[], done: Step[], refused: Refused[]): void {
    const error = attempt(() => this.#transact(steps));
    if (error === undefined) done.push(...steps);
    else if (steps.length === 1 || refused.length >= REFUSALS_MAX) {
      refused.push(...steps.map(({ index }) => ({ index, error })));
    } else {
      const middle = steps.length >> 1;
      this.#bisect(steps.slice(0, middle), done, refused);
      this.#bisect(steps.slice(middle), done, refused);
    }
  }

  #steps(state: NftablesState, changes: readonly Change[], indexes: readonly number[]): Step[] {
    return indexes.flatMap((index) => {
      const change = changes[index];
      if (change === undefined) return [];
      const owner = ownerKey(keyOf(change));
      const before = state.held(owner);
      const after = change.do === "put" ? heldAs(change.service, before) : undefined;
      const damaged = state.damaged.has(owner);
      return [
        { index, change, before: before?.service, after, damaged, ...toBe(state.damaged.get(owner), before, after) },
      ];
    });
  }

  /** Carries out the steps in one transaction, and notes in the state that it did. */
  #transact(steps: readonly Step[]): void {
    const state = this.#state ?? this.#readAll();
    const fresh = new Map<string, Placed>();
    for (const { change } of steps) {
      if (change.do === "delete" || state.addresses.has(addressKey(change.service.ip))) continue;
      fresh.set(addressKey(change.service.ip), addressElement(change.service.ip));
    }
    const add = [...fresh.values(), ...steps.flatMap((step) => step.add)];
    this.#growFor(state, add);
    this.#changeElements(
      steps.flatMap((step) => step.remove),
      add,
    );
    for (const { change, after } of steps) {
      const key = keyOf(change);
      if (after !== undefined) state.put(ownerKey(key), after);
      else state.delete(ownerKey(key), key.ip);
      this.#noteLeft(state, key.ip);
    }
  }

  /** Makes the maps that elements need and the table hasn't. */
  #growFor(state: NftablesState, add: readonly Placed[]): void {
    const missing = new Set(add.map(({ set }) => set).filter((set) => !state.sets.has(set)));
    if (missing.size === 0) return;
    this.#makeTable([...missing].flatMap((set) => growthOf(set) ?? []));
    for (const set of missing) state.sets.add(set);
  }

  /** Tells what was made, for people. */
  #makeTable(growth: readonly Growth[]): string[] {
    const { nftables } = this.kernel;
    const { made, transactions } = tableRepair(nftables.outline("inet", L4LB_TABLE), growth);
    for (const commands of transactions) this.#others.change(0, () => nftables.run(commands));
    return [...made];
  }

  #changeElements(remove: readonly Placed[], add: readonly Placed[]): void {
    const changes = [...bySet("delete", remove), ...bySet("create", add)];
    if (changes.length === 0) return;
    const { nftables } = this.kernel;
    this.#others.change(remove.length + add.length, () => nftables.changeElements("inet", L4LB_TABLE, changes));
  }

  /** What follows the services: routes that come with them, clients and connections of backends that went. */
  #settle(done: readonly Step[], fail: (indexes: readonly number[], error: Error | undefined) => void): void {
    if (done.length === 0) return;
    const indexes = done.map(({ index }) => index);
    fail(
      indexes,
      attempt(() => this.#settleAddresses(done, fail)),
    );
    for (const { change, before, damaged } of done) {
      const key = keyOf(change);
      const after = change.do === "put" ? change.service : undefined;
      this.#owed.add(ownerKey(key), { key, before, after, damaged });
    }
    fail(
      indexes,
      attempt(() => this.#owed.carryOut(this.kernel)),
    );
  }

  #settleAddresses(done: readonly Step[], fail: (indexes: readonly number[], error: Error | undefined) => void): void {
    const state = this.#state;
    if (state === undefined) return;
    const touched = Map.groupBy(done, ({ change }) => addressKey(keyOf(change).ip));
    const unrouted = [...touched].flatMap(([key, [first, ...others]]) =>
      first === undefined || state.routes.has(key) || !state.isOwned(keyOf(first.change).ip)
        ? []
        : [{ key, ip: keyOf(first.change).ip, indexes: [first, ...others].map(({ index }) => index) }],
    );
    const outcome = changeVipRoutes(
      this.kernel,
      "add",
      unrouted.map(({ ip }) => ip),
    );
    for (const [number, { key, indexes }] of unrouted.entries()) {
      if (outcome[number] === undefined) state.routes.add(key);
      fail(indexes, outcome[number]);
    }
  }

  #dropAddresses(state: NftablesState, addresses: readonly Ip[]): void {
    const routed = addresses.filter((ip) => state.routes.has(addressKey(ip)));
    for (const error of changeVipRoutes(this.kernel, "delete", routed)) if (error !== undefined) throw error;
    for (const ip of routed) state.routes.delete(addressKey(ip));
    const known = addresses.filter((ip) => state.addresses.has(addressKey(ip)));
    this.#changeElements(known.map(addressElement), []);
    for (const ip of known) state.addresses.delete(addressKey(ip));
  }

  #noteLeft(state: NftablesState, ip: Ip): void {
    const key = addressKey(ip);
    if (state.isOwned(ip)) this.#left.delete(key);
    else if (!this.#left.has(key)) this.#left.set(key, { ip, since: this.clock.monotonic() });
  }

  /** Forgets the addresses whose last service went long enough ago. */
  #dropLeft(): void {
    const state = this.#state;
    const overdue = this.#overdue();
    if (state === undefined || overdue.length === 0) return;
    this.#dropAddresses(state, overdue);
    for (const ip of overdue) this.#left.delete(addressKey(ip));
  }

  #overdue(): Ip[] {
    const last = this.clock.monotonic() - LINGER_MS;
    return [...this.#left.values()].filter(({ since }) => since <= last).map(({ ip }) => ip);
  }
}

function hasItsRoutes(kernel: Kernel, state: NftablesState): boolean {
  const routes = readVipRoutes(kernel);
  return routes.length === state.routes.size && routes.every((ip) => state.routes.has(addressKey(ip)));
}

function checkChange(change: Change): void {
  if (change.do === "put") checkService(change.service);
}

function keyOf(change: Change): ServiceKey {
  const { protocol, ip, port } = change.do === "put" ? change.service : change.key;
  return { protocol, ip, port };
}

/** What leads to a state of a service from what the kernel has: pieces, the whole, or nothing. */
function toBe(pieces: readonly Placed[] | undefined, before: Held | undefined, after: Held | undefined): Difference {
  if (before !== undefined && after !== undefined) return serviceDifference(before, after);
  const elements = (held: Held | undefined): Placed[] => (held === undefined ? [] : elementsOf(held));
  return elementDifference(pieces ?? elements(before), elements(after));
}

/** Runs of steps that are small enough for a transaction each. */
function parts(steps: readonly Step[]): Step[][] {
  const all: Step[][] = [];
  let size = 0;
  for (const step of steps) {
    const own = step.add.length + step.remove.length;
    if (all.length === 0 || size + own > TRANSACTION_ELEMENTS) {
      all.push([]);
      size = 0;
    }
    all.at(-1)?.push(step);
    size += own;
  }
  return all;
}

function bySet(verb: NftElementsChange["do"], placed: readonly Placed[]): NftElementsChange[] {
  const sets = new Map<string, NftRawElement[]>();
  for (const { set, element } of placed) {
    const list = sets.get(set);
    if (list === undefined) sets.set(set, [element]);
    else list.push(element);
  }
  return [...sets].map(([set, elements]) => ({ do: verb, set, elements }));
}

function attempt(action: () => void): Error | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
