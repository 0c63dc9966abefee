import type {
  AddressSpec,
  BridgeSpec,
  FdbEntry,
  Link,
  LinkAddress,
  LinkChanges,
  LinkSpec,
  Neighbor,
  Operation,
  Route,
  Rule,
  VxlanSpec,
} from "../kernel/kernel.ts";
import { equalIp, type Ip } from "../lib/address.ts";
import { isolationRemoval } from "./isolation.ts";
import { AGENT_TABLE, addressKey, fdbKey, neighborKey, routeKey, ruleKey } from "./key.ts";
import { planPorts } from "./ports.ts";
import { type Desired, OWNER_ALIAS, ROUTE_PROTOCOL, RULE_PRIORITY, type Sysctl } from "./table.ts";

/** RTPROT_KERNEL: the routes that come and go with a link's addresses. */
const KERNEL_PROTOCOL = 2;
const IPV6_FORWARDING = "net/ipv6/conf/all/forwarding";

/** What the kernel says, read once for a pass. */
export interface Observed {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  /** Of the main table and of table 42, both families. */
  readonly routes: readonly Route[];
  /** Both families. */
  readonly rules: readonly Rule[];
  /** Of the tunnel device. */
  readonly neighbors: readonly Neighbor[];
  /** Of the tunnel device. */
  readonly fdb: readonly FdbEntry[];
  /** Value by path; undefined when the kernel hasn't it. */
  readonly sysctl: (path: string) => string | undefined;
  /** The isolation table: not there, as last confirmed for the same wish, or anything else. */
  readonly isolation: "absent" | "fits" | "differs";
}

/** Steps in the order in which to take them. All empty when the kernel is as it should be. */
export interface Plan {
  /** One nftables transaction; first, so that no container of an isolated overlay is ever reachable without it. */
  readonly isolation: readonly string[];
  readonly links: readonly Operation[];
  /** After the links, because some belong to a link. */
  readonly sysctls: readonly Sysctl[];
  /** This node's own addresses and rules. */
  readonly local: readonly Operation[];
  /** Ways to the other nodes. */
  readonly peers: readonly Operation[];
  /** What we must not touch and what stands in the way, in sentences. */
  readonly conflicts: readonly string[];
}

/**
 * The steps from observed to desired. Pure, and linear in the number of objects.
 *
 * Ours, and so removed when not desired, are: routes with our protocol number or through our tunnel device (but the
 * kernel's own), in the main table and in table 42; permanent neighbours and all forwarding entries of the tunnel
 * device; addresses, other than link-local ones, of the tunnel device and of bridges with our alias; rules that look up
 * table 42 at our priority; VXLAN devices and bridges with our alias, bridges only when no port is left; the isolation
 * table. Nothing else is ever removed.
 */
export function planOverlay(desired: Desired, observed: Observed): Plan {
  const links = planLinks(desired, observed);
  const kept = withoutLinks(observed, links.replaced);
  const local = [...planAddresses(desired, kept, links.replaced), ...planRules(desired, observed)];
  const peers = [...planNeighbors(desired, kept), ...planFdb(desired, kept), ...planRoutes(desired, kept)];
  return {
    isolation: planIsolation(desired, observed),
    links: links.operations,
    sysctls: planSysctls(desired, observed, links.replaced),
    local,
    peers,
    conflicts: links.conflicts,
  };
}

/** True when there is nothing to do. */
export function isEmpty(plan: Plan): boolean {
  return plan.isolation.length + plan.links.length + plan.sysctls.length + plan.local.length + plan.peers.length === 0;
}

interface LinkPlan {
  readonly operations: readonly Operation[];
  /** Names of links that the operations create or delete: whatever was observed on them is gone. */
  readonly replaced: ReadonlySet<string>;
  readonly conflicts: readonly string[];
}

function planLinks(desired: Desired, observed: Observed): LinkPlan {
  const byName = new Map(observed.links.map((link) => [link.name, link]));
  const operations: Operation[] = [];
  const conflicts: string[] = [];
  const wanted: readonly LinkSpec[] = desired.vtep === undefined ? desired.bridges : [desired.vtep, ...desired.bridges];
  const names = new Set(wanted.map((spec) => spec.name));
  for (const link of observed.links) {
    if (names.has(link.name) || !isOwnLink(link)) continue;
    if (link.kind === "bridge" && hasPort(link, observed))
      conflicts.push(`${link.name} stays: containers are still on it`);
    else operations.push({ do: "link.delete", dev: link.name });
  }
  for (const spec of wanted) {
    const link = byName.get(spec.name);
    if (link === undefined) operations.push(...makeLink(spec));
    else if (link.kind !== spec.kind)
      conflicts.push(`${spec.name} is a ${link.kind ?? "hardware"} link, not a ${spec.kind}: rename it`);
    else if (spec.kind === "vxlan" && !vxlanFits(spec, link)) {
      operations.push({ do: "link.delete", dev: spec.name }, ...makeLink(spec));
    } else operations.push(...adjustLink(spec, link));
  }
  operations.push(...planPorts(desired.networks, observed.links));
  return { operations, replaced: replacedBy(operations), conflicts };
}

/** The kind counts too: the alias of a container's link begins likewise when its network is called `overlay`. */
export function isOwnLink({ kind, alias }: Link): boolean {
  return (kind === "bridge" || kind === "vxlan") && alias?.startsWith(OWNER_ALIAS) === true;
}

/** A bridge follows the smallest MTU of its ports until one is set on it, and the one that it is created with doesn't
 *  count. */
function makeLink(spec: LinkSpec): Operation[] {
  if (spec.kind !== "bridge") return [{ do: "link.add", link: spec }];
  const { mtu, ...link } = spec;
  const added: Operation = { do: "link.add", link };
  return mtu === undefined ? [added] : [added, { do: "link.set", dev: spec.name, set: { mtu } }];
}

function replacedBy(operations: readonly Operation[]): Set<string> {
  const names = new Set<string>();
  for (const operation of operations) {
    if (operation.do === "link.add") names.add(operation.link.name);
    if (operation.do === "link.delete") names.add(operation.dev);
  }
  return names;
}

function hasPort(bridge: Link, observed: Observed): boolean {
  return observed.links.some((link) => link.master === bridge.index);
}

/** What can't be changed on a VXLAN device that lives. Setting another MAC could be done, but flushes its permanent
 *  neighbours. */
function vxlanFits(spec: VxlanSpec, link: Link): boolean {
  return link.vxlan?.vni === spec.vni && link.vxlan.port === spec.port && link.mac === spec.mac;
}

/** In-place changes. A bridge keeps the hardware address that it has: its containers know it. */
function adjustLink(spec: LinkSpec, link: Link): Operation[] {
  const set: LinkChanges = {
    ...(spec.alias !== undefined && spec.alias !== link.alias ? { alias: spec.alias } : {}),
    ...(spec.mtu !== undefined && spec.mtu !== link.mtu ? { mtu: spec.mtu } : {}),
    ...(link.up ? {} : { up: true }),
  };
  return Object.keys(set).length === 0 ? [] : [{ do: "link.set", dev: spec.name, set }];
}

/** The observation less everything on links that are about to go. */
function withoutLinks(observed: Observed, replaced: ReadonlySet<string>): Observed {
  if (replaced.size === 0) return observed;
  const stays = ({ dev }: { readonly dev?: string }) => dev === undefined || !replaced.has(dev);
  return {
    ...observed,
    addresses: observed.addresses.filter(stays),
    routes: observed.routes.filter(stays),
    neighbors: observed.neighbors.filter(stays),
    fdb: observed.fdb.filter(stays),
  };
}

function planSysctls(desired: Desired, observed: Observed, replaced: ReadonlySet<string>): Sysctl[] {
  const changes = desired.sysctls.filter(({ path, value, dev }) => {
    if (dev !== undefined && replaced.has(dev)) return true;
    return observed.sysctl(path) !== value;
  });
  if (!changes.some(({ path }) => path === IPV6_FORWARDING)) return changes;
  return [...keepRouterAdvertisements(observed), ...changes];
}

/** A forwarding host ignores router advertisements unless told otherwise (accept_ra 2), and the kernel drops the
 *  default route that it has learned when forwarding goes on. So links that accept them now are told first. */
function keepRouterAdvertisements(observed: Observed): Sysctl[] {
  return observed.links
    .filter((link) => !link.loopback && !isOwnLink(link))
    .map((link): Sysctl => ({ path: `net/ipv6/conf/${link.name}/accept_ra`, value: "2", dev: link.name }))
    .filter(({ path }) => observed.sysctl(path) === "1");
}

function planAddresses(desired: Desired, observed: Observed, replaced: ReadonlySet<string>): Operation[] {
  const present = new Map(observed.addresses.map((entry) => [addressKey(entry), entry]));
  const operations: Operation[] = [];
  const ours = ownLinks(desired, observed);
  for (const [key, entry] of present) {
    if (desired.addresses.has(key) || !ours.has(entry.dev) || entry.scope === "link") continue;
    operations.push({ do: "address.delete", address: { dev: entry.dev, address: entry.address } });
  }
  for (const [key, address] of desired.addresses) {
    const entry = present.get(key);
    // An address that failed duplicate detection stays unusable until it is set anew.
    if (entry?.dadFailed === true) operations.push(...renewed(address));
    else if (entry === undefined)
      operations.push(replaced.has(address.dev) ? added(address) : replacedAddress(address));
  }
  return operations;
}

function added(address: AddressSpec): Operation {
  return { do: "address.add", address };
}

function replacedAddress(address: AddressSpec): Operation {
  return { do: "address.replace", address };
}

function renewed(address: AddressSpec): Operation[] {
  return [{ do: "address.delete", address }, added(address)];
}

/** The tunnel device, and bridges that carry our alias. A bridge that somebody else made joins at the pass after it
 *  was given the alias. */
function ownLinks(desired: Desired, observed: Observed): Set<string> {
  const bridges = new Map<string, BridgeSpec>(desired.bridges.map((bridge) => [bridge.name, bridge]));
  const names = observed.links
    .filter((link) => bridges.has(link.name) && bridges.get(link.name)?.alias === link.alias)
    .map((link) => link.name);
  return new Set(desired.vtep === undefined ? names : [...names, desired.vtep.name]);
}

function planRules(desired: Desired, observed: Observed): Operation[] {
  const present = new Set<string>();
  const operations: Operation[] = [];
  for (const rule of observed.rules) {
    const key = ruleKey(rule);
    const needed = desired.rules.has(key) && !present.has(key);
    present.add(key);
    if (needed || rule.table !== AGENT_TABLE || rule.priority !== RULE_PRIORITY) continue;
    operations.push({ do: "rule.delete", rule });
  }
  for (const [key, rule] of desired.rules) {
    if (!present.has(key)) operations.push({ do: "rule.add", rule });
  }
  return operations;
}

/** Entries that the kernel made itself (it resolves multicast groups) are not permanent; they are left to it. */
function planNeighbors(desired: Desired, observed: Observed): Operation[] {
  const present = new Map<string, Neighbor>();
  const operations: Operation[] = [];
  for (const entry of observed.neighbors) {
    const key = neighborKey(entry);
    present.set(key, entry);
    if (entry.permanent && !desired.neighbors.has(key)) {
      operations.push({ do: "neighbor.delete", neighbor: { dev: entry.dev, ip: entry.ip } });
    }
  }
  for (const [key, neighbor] of desired.neighbors) {
    const entry = present.get(key);
    if (entry?.permanent === true && entry.mac === neighbor.mac) continue;
    operations.push({ do: "neighbor.replace", neighbor });
  }
  return operations;
}

function planFdb(desired: Desired, observed: Observed): Operation[] {
  const present = new Map<string, FdbEntry[]>();
  const operations: Operation[] = [];
  for (const entry of observed.fdb) {
    const key = fdbKey(entry);
    if (!desired.fdb.has(key)) operations.push({ do: "fdb.delete", entry });
    const others = present.get(key);
    if (others === undefined) present.set(key, [entry]);
    else others.push(entry);
  }
  for (const [key, entry] of desired.fdb) operations.push(...fdbChanges(entry, present.get(key) ?? []));
  return operations;
}

/** One hardware address may have several remote endpoints, of which frames take the first. One wrong endpoint is
 *  replaced in one step, so that a moved node loses nothing; of several, the kernel would replace only the first. */
function fdbChanges(entry: FdbEntry, present: readonly FdbEntry[]): Operation[] {
  const wrong = present.filter(({ remote }) => !equalIp(remote, entry.remote));
  if (wrong.length === present.length && wrong.length <= 1) return [{ do: "fdb.replace", entry }];
  const removals = wrong.map((other): Operation => ({ do: "fdb.delete", entry: other }));
  return wrong.length < present.length ? removals : [...removals, { do: "fdb.add", entry }];
}

function planRoutes(desired: Desired, observed: Observed): Operation[] {
  const present = new Map<string, Route[]>();
  const operations: Operation[] = [];
  for (const route of observed.routes) {
    const key = routeKey(route);
    if (desired.routes.has(key)) {
      const others = present.get(key);
      if (others === undefined) present.set(key, [route]);
      else others.push(route);
    } else if (isOwnRoute(route, desired)) operations.push({ do: "route.delete", route });
  }
  for (const [key, route] of desired.routes) operations.push(...routeChanges(route, present.get(key) ?? []));
  return operations;
}

/** What else is in a wanted slot are equal-cost paths to a subnet that only its own node has. Replacing is one step
 *  for the first of them, so that a subnet that moved to another node is never without a way. */
function routeChanges(route: Route, present: readonly Route[]): Operation[] {
  const wrong = present.filter((other) => !sameWay(route, other));
  const removed = wrong.length < present.length ? wrong : wrong.slice(1);
  const operations = removed.map((other): Operation => ({ do: "route.delete", route: other }));
  return wrong.length < present.length ? operations : [...operations, { do: "route.replace", route }];
}

function isOwnRoute(route: Route, desired: Desired): boolean {
  if (route.protocol === ROUTE_PROTOCOL) return true;
  return route.dev !== undefined && route.dev === desired.vtep?.name && route.protocol !== KERNEL_PROTOCOL;
}

/** The protocol counts too: a route of the reference (boot) becomes ours, to be removed later when it isn't needed. */
function sameWay(wanted: Route, found: Route): boolean {
  return wanted.dev === found.dev && sameGateway(wanted.gateway, found.gateway) && found.protocol === wanted.protocol;
}

function sameGateway(a: Ip | undefined, b: Ip | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalIp(a, b);
}

function planIsolation(desired: Desired, observed: Observed): readonly string[] {
  if (desired.isolation.length > 0) return observed.isolation === "fits" ? [] : desired.isolation;
  return observed.isolation === "absent" ? [] : isolationRemoval();
}
