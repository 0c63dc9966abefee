import type { Kernel } from "../../kernel/kernel.ts";
import type { NftRawElement } from "../../kernel/nftables.ts";
import type { Family, Ip } from "../../lib/address.ts";
import type { Service, ServiceKey } from "../service.ts";
import {
  addressKey,
  addressOf,
  digitsOf,
  elementsOf,
  type Held,
  identity,
  keyOf,
  type Lead,
  leadOf,
  ownerOf,
  type Placed,
  serviceOf,
} from "./nftables-elements.ts";
import { heldBy } from "./nftables-large.ts";
import { isLarge } from "./nftables-slots.ts";
import { growthOf, L4LB_TABLE } from "./nftables-table.ts";
import { readVipRoutes } from "./vip-device.ts";

/** What the kernel has of our services. Services and addresses are known by their keys there (`ownerKey`,
 *  `addressKey`). */
export class NftablesState {
  /** Services whose own elements are as they should be, by owner. */
  readonly whole = new Map<string, Service>();
  /** How large ones among them choose their backends. */
  readonly #leads = new Map<string, Lead>();
  /** What was found of others, by owner: elements of some service that don't fit together. */
  readonly damaged = new Map<string, Placed[]>();
  /** Owners of each address. */
  readonly #owners = new Map<string, readonly string[]>();
  /** Addresses in the sets of addresses. */
  readonly addresses = new Set<string>();
  /** Addresses with a route. */
  readonly routes = new Set<string>();
  /** Names of the table's sets and maps. */
  readonly sets = new Set<string>();

  /** All that is there, for comparison with what should be. Of a service that is damaged, or whose address or route is
   *  missing, only the name is told, with itself as its backend, which can't be wanted: so the plan puts it anew, or
   *  removes it. */
  services(): Service[] {
    const whole = [...this.whole].map(([owner, service]) => (this.#stands(owner) ? service : broken(service)));
    const damaged = [...this.damaged.values()].flatMap((placed) => {
      const key = nameOf(placed);
      return key === undefined ? [] : [broken(key)];
    });
    return [...whole, ...damaged];
  }

  /** A service that stands whole; undefined when it doesn't. */
  held(owner: string): Held | undefined {
    const service = this.whole.get(owner);
    return service && { service, lead: this.#leads.get(owner) ?? leadOf(service) };
  }

  put(owner: string, held: Held): void {
    const { ip } = held.service;
    this.damaged.delete(owner);
    this.#hold(owner, held);
    this.#own(owner, ip);
    this.addresses.add(addressKey(ip));
  }

  delete(owner: string, ip: Ip): void {
    this.damaged.delete(owner);
    this.whole.delete(owner);
    this.#leads.delete(owner);
    const key = addressKey(ip);
    const others = (this.#owners.get(key) ?? []).filter((each) => each !== owner);
    if (others.length === 0) this.#owners.delete(key);
    else this.#owners.set(key, others);
  }

  isOwned(ip: Ip): boolean {
    return this.#owners.has(addressKey(ip));
  }

  /** Takes in what was found of one owner. `expected`: what it was before, which is kept when it is so still. */
  found(owner: string, family: Family, placed: Placed[], expected: Held | undefined): void {
    const isExpected = expected !== undefined && isExactly(elementsOf(expected), placed);
    const service = isExpected ? expected.service : serviceOf(family, placed);
    const held = isExpected ? expected : service && heldBy(service, placed);
    if (held !== undefined && (isExpected || isExactly(elementsOf(held), placed))) this.#hold(owner, held);
    else this.damaged.set(owner, placed);
    const key = service ?? nameOf(placed);
    if (key !== undefined) this.#own(owner, key.ip);
  }

  #hold(owner: string, { service, lead }: Held): void {
    this.whole.set(owner, service);
    if (lead !== undefined && isLarge(service)) this.#leads.set(owner, lead);
    else this.#leads.delete(owner);
  }

  #own(owner: string, ip: Ip): void {
    const key = addressKey(ip);
    const owners = this.#owners.get(key) ?? [];
    if (!owners.includes(owner)) this.#owners.set(key, [...owners, owner]);
  }

  /** A service's key begins with its address. */
  #stands(owner: string): boolean {
    const address = owner.slice(0, digitsOf(owner.length < SHORTEST_KEY_6 ? 4 : 6));
    return this.addresses.has(address) && this.routes.has(address);
  }
}

/** Reads all sets of the table, and the routes. A table that is missing has nothing. `before`: what was known last. */
export function readState(kernel: Kernel, before: NftablesState | undefined): NftablesState {
  const state = new NftablesState();
  for (const ip of readVipRoutes(kernel)) state.routes.add(addressKey(ip));
  const outline = kernel.nftables.outline("inet", L4LB_TABLE);
  for (const set of outline?.sets ?? []) state.sets.add(set);
  const elements = (set: string) => kernel.nftables.rawElements("inet", L4LB_TABLE, set) ?? [];
  for (const family of [4, 6] as const) {
    for (const { key } of elements(`vips${family}`)) state.addresses.add(key);
    const sets = [...state.sets].filter((set) => growthOf(set)?.family === family);
    const found = grouped(family, [`services${family}`, `backends${family}`, ...sets], elements);
    for (const [owner, placed] of found) state.found(owner, family, placed, before?.held(owner));
  }
  return state;
}

function grouped(
  family: Family,
  sets: readonly string[],
  elements: (set: string) => readonly NftRawElement[],
): Map<string, Placed[]> {
  const found = new Map<string, Placed[]>();
  for (const set of sets) {
    for (const element of elements(set)) {
      const owner = ownerOf(family, element.key);
      const list = found.get(owner);
      if (list === undefined) found.set(owner, [{ set, element }]);
      else list.push({ set, element });
    }
  }
  return found;
}

function isExactly(expected: readonly Placed[], placed: readonly Placed[]): boolean {
  if (expected.length !== placed.length) return false;
  const found = new Set(placed.map(identity));
  return expected.every((each) => found.has(identity(each)));
}

/** Digits of a service's key with an IPv6 address; the longest key with an IPv4 address has 40. */
const SHORTEST_KEY_6 = 48;

/** Every element's key begins with that of its service. */
function nameOf([first]: readonly Placed[]): ServiceKey | undefined {
  if (first === undefined) return undefined;
  const { key } = first.element;
  return keyOf(key.length < SHORTEST_KEY_6 ? 4 : 6, key);
}

function broken({ protocol, ip, port }: ServiceKey): Service {
  return { protocol, ip, port, scheduler: "wlc", affinity: 0, backends: [{ ip, port, weight: 0 }] };
}

/** Addresses that the kernel knows and no service has. */
export function idleAddresses(state: NftablesState): Ip[] {
  const known = new Set([...state.addresses, ...state.routes]);
  return [...known].map((key) => addressOf(key.length === digitsOf(4) ? 4 : 6, key)).filter((ip) => !state.isOwned(ip));
}
