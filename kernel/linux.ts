import { fromCString } from "../lib/bytes.ts";
import { hasErrno, NetError } from "../lib/error.ts";
import { addressDump, decodeAddress } from "./address.ts";
import type { Conntrack } from "./conntrack.ts";
import { describeOperation, encodeOperation, type ResolvedLink } from "./encode.ts";
import { linuxFiles } from "./file.ts";
import type { Ipvs } from "./ipvs.ts";
import type {
  FdbEntry,
  Kernel,
  Link,
  LinkAddress,
  LinkSpec,
  Neighbor,
  Netns,
  Operation,
  Route,
  Rule,
  Watch,
} from "./kernel.ts";
import { decodeLink, linkDump, linkGet, type OpenNetns } from "./link.ts";
import { decodeFdb, decodeNeighbor, fdbDump, neighborDump } from "./neighbor.ts";
import { NETLINK_ROUTE, Netlink, type Request } from "./netlink.ts";
import { createNetns, deleteNetns, inNetns, openNetns, ownNetns } from "./netns.ts";
import type { Nftables } from "./nftables.ts";
import { decodeRoutes, RT_TABLE_MAIN, routeDump } from "./route.ts";
import { decodeRule, ruleDump } from "./rule.ts";
import { decodeVlans, type VlanEntry, vlanDump } from "./vlan.ts";

/** Multicast groups whose messages mean that something we read may have changed, each the bit of its number less one
 *  (linux/rtnetlink.h RTNLGRP_*): link, neighbour, IPv4 address, route and rule, IPv6 address, route and rule. */
const WATCHED_GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000;

const loadHostRouteWatch = () => require("./host-route-watch.ts") as typeof import("./host-route-watch.ts");
const loadIpvs = () => require("./ipvs-linux.ts") as typeof import("./ipvs-linux.ts");
const loadNetfilter = () => require("./netfilter.ts") as typeof import("./netfilter.ts");

/** The Linux kernel, seen from the calling thread's network namespace. Opens its sockets at first use. */
export function openLinux(): Kernel {
  return new LinuxKernel(undefined);
}

class LinuxKernel implements Kernel {
  private socket: Netlink | undefined;
  private watcher: Netlink | undefined;
  private firewall: (Nftables & { close(): void }) | undefined;
  private tracking: (Conntrack & { close(): void }) | undefined;
  private balancer: (Ipvs & { close(): void }) | undefined;

  /** `home` is the namespace to work in; undefined is the one of the calling thread. */
  constructor(private readonly home: OpenNetns | undefined) {}

  attempt(operations: readonly Operation[]): (Error | undefined)[] {
    const outcome: (Error | undefined)[] = [];
    const known = new Map<string, ResolvedLink>();
    let pending: Request[] = [];
    let places: number[] = [];
    const flush = () => {
      for (const [index, error] of this.route.transact(pending).entries()) outcome[places[index] ?? 0] = error;
      pending = [];
      places = [];
    };
    const resolve = (dev: string) => {
      const before = known.get(dev);
      if (before !== undefined) return before;
      // The link may be the work of an operation that still waits to be sent.
      flush();
      const found = this.resolve(dev);
      known.set(dev, found);
      return found;
    };
    const send = (index: number, operation: Operation) => {
      // Encoding may flush, so it comes before the message finds its place.
      const message = encodeOperation(operation, resolve);
      pending.push({ message, tried: () => describeOperation(operation) });
      places.push(index);
    };
    for (const [index, operation] of operations.entries()) {
      outcome.push(undefined);
      try {
        send(index, operation);
        if (movesLinks(operation)) known.clear();
        if (operation.do === "link.add" && operation.link.alias !== undefined) {
          flush();
          if (outcome[index] === undefined) send(index, aliasAfter(operation.link));
        }
      } catch (error) {
        outcome[index] = unresolved(operation, error);
      }
    }
    flush();
    return outcome;
  }

  apply(operations: readonly Operation[]): void {
    for (const error of this.attempt(operations)) if (error !== undefined) throw error;
  }

  links(): Link[] {
    return this.route.dump({ message: linkDump(), tried: () => "list links" }, decodeLink);
  }

  link(name: string): Link | undefined {
    return this.getLink(name);
  }

  linkAt(index: number): Link | undefined {
    return this.getLink(index);
  }

  addresses(dev?: string): LinkAddress[] {
    const only = dev === undefined ? undefined : this.link(dev);
    if (dev !== undefined && only === undefined) return [];
    const names = only === undefined ? this.names() : new Map([[only.index, only.name]]);
    const request = { message: addressDump(only?.index ?? 0), tried: () => `list addresses of ${dev ?? "all links"}` };
    const found = this.listOfMissing(() => this.route.dump(request, decodeAddress));
    return found.flatMap(({ index, ...address }) => {
      const name = names.get(index);
      return name === undefined ? [] : [{ dev: name, ...address }];
    });
  }

  routes(filter: Parameters<Kernel["routes"]>[0] = {}): Route[] {
    const { table = RT_TABLE_MAIN, family, dev, local = false } = filter;
    const only = dev === undefined ? undefined : this.link(dev);
    if (dev !== undefined && only === undefined) return [];
    const names = only === undefined ? this.names() : new Map([[only.index, only.name]]);
    const families: readonly (4 | 6)[] = family === undefined ? [4, 6] : [family];
    return families.flatMap((each) => {
      const request = {
        message: routeDump(each, table, only?.index, local),
        tried: () => `list IPv${each} ${local ? "local " : ""}routes of table ${table}`,
      };
      const found = this.listOfMissing(() => this.route.dump(request, decodeRoutes).flat());
      return found.flatMap(({ index, ...route }) => {
        if (route.table !== table || (route.local ?? false) !== local || (only !== undefined && index !== only.index))
          return [];
        const name = index === undefined ? undefined : names.get(index);
        return [name === undefined ? route : { ...route, dev: name }];
      });
    });
  }

  rules(family: 4 | 6): Rule[] {
    const rules = this.route.dump({ message: ruleDump(family), tried: () => `list IPv${family} rules` }, decodeRule);
    return rules.filter((rule) => rule.family === family);
  }

  neighbors(dev: string): Neighbor[] {
    const link = this.link(dev);
    if (link === undefined) return [];
    const request = { message: neighborDump(link.index), tried: () => `list neighbours of ${dev}` };
    return this.route.dump(request, (message) => {
      const entry = decodeNeighbor(message, link.index);
      return entry && { dev, ...entry };
    });
  }

  fdb(dev: string): FdbEntry[] {
    const link = this.link(dev);
    if (link === undefined) return [];
    return this.route.dump(
      { message: fdbDump(link.index), tried: () => `list forwarding entries of ${dev}` },
      (message) => {
        const entry = decodeFdb(message, link.index);
        return entry && { dev, ...entry };
      },
    );
  }

  vlans(dev: string): VlanEntry[] {
    const link = this.link(dev);
    if (link === undefined) return [];
    const ports = this.route.dump({ message: vlanDump(), tried: () => "list bridge VLANs" }, decodeVlans);
    return ports.find((port) => port.index === link.index)?.vlans ?? [];
  }

  sysctl(path: string): string | undefined {
    const value = this.enter(() => linuxFiles.read(sysctlFile(path)));
    return value === undefined ? undefined : fromCString(value).trimEnd();
  }

  setSysctl(path: string, value: string): void {
    this.enter(() => {
      const present = linuxFiles.read(sysctlFile(path));
      if (present !== undefined && fromCString(present).trimEnd() === value) return;
      if (present === undefined) {
        throw new NetError("unsupported", {
          tried: `set sysctl ${path} to ${value}`,
          said: "this kernel has none of that name",
          errno: "ENOENT",
        });
      }
      linuxFiles.write(sysctlFile(path), value);
    });
  }

  get nftables(): Nftables {
    this.firewall ??= loadNetfilter().openNftables((action) => this.enter(action));
    return this.firewall;
  }

  get conntrack(): Conntrack {
    this.tracking ??= loadNetfilter().openConntrack((action) => this.enter(action));
    return this.tracking;
  }

  get ipvs(): Ipvs {
    this.balancer ??= loadIpvs().openIpvs((action) => this.enter(action));
    return this.balancer;
  }

  within(netns: Netns): Kernel {
    return new LinuxKernel(netns as OpenNetns);
  }

  openNetns(path: string): Netns | undefined {
    return openNetns(path);
  }

  netns(): Netns {
    return this.enter(ownNetns);
  }

  createNetns(path: string): void {
    createNetns(path);
  }

  deleteNetns(path: string): boolean {
    return deleteNetns(path);
  }

  enter<T>(action: () => T): T {
    return this.home === undefined ? action() : inNetns(this.home, action);
  }

  watchHostRoutes(dev: string): Watch {
    return this.enter(() => loadHostRouteWatch().openHostRouteWatch(dev));
  }

  changed(): boolean {
    if (this.watcher === undefined) {
      this.watcher = this.enter(() => Netlink.open(NETLINK_ROUTE, WATCHED_GROUPS));
      return true;
    }
    return this.watcher.drain();
  }

  close(): void {
    this.socket?.close();
    this.watcher?.close();
    this.socket = undefined;
    this.watcher = undefined;
    this.firewall?.close();
    this.tracking?.close();
    this.balancer?.close();
    this.firewall = undefined;
    this.tracking = undefined;
    this.balancer = undefined;
  }

  private get route(): Netlink {
    this.socket ??= this.enter(() => Netlink.open(NETLINK_ROUTE));
    return this.socket;
  }

  private getLink(link: string | number): Link | undefined {
    try {
      return this.route.get({ message: linkGet(link), tried: () => `show link ${link}` }, decodeLink);
    } catch (error) {
      if (hasErrno(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  private existing(dev: string): Link {
    const link = this.link(dev);
    if (link === undefined)
      throw new NetError("not-found", { tried: `find link ${dev}`, said: "ENODEV", errno: "ENODEV" });
    return link;
  }

  private resolve(dev: string): ResolvedLink {
    const { index, kind } = this.existing(dev);
    return { index, bridge: kind === "bridge" };
  }

  private names(): Map<number, string> {
    return new Map(this.links().map((link) => [link.index, link.name]));
  }

  /** A strict dump of something that isn't there (a table without routes, a link that has just gone) is refused, not
   *  empty. */
  private listOfMissing<T>(list: () => T[]): T[] {
    try {
      return list();
    } catch (error) {
      if (hasErrno(error, "ENOENT") || hasErrno(error, "ENODEV")) return [];
      throw error;
    }
  }
}

/** True for operations after which a name may mean another link, or none: a deleted link takes its veth peer along. */
function movesLinks(operation: Operation): boolean {
  if (operation.do === "link.delete") return true;
  return operation.do === "link.set" && (operation.set.name !== undefined || operation.set.netns !== undefined);
}

/** The kernel ignores an alias in the message that creates a link, so it is set afterwards. */
function aliasAfter({ name, alias = "" }: LinkSpec): Operation {
  return { do: "link.set", dev: name, set: { alias } };
}

function sysctlFile(path: string): string {
  if (!path.startsWith("net/") || path.includes("..")) throw new Error(`sysctl ${path} is not below net/`);
  return `/proc/sys/${path}`;
}

/** The refusal of an operation whose link couldn't be found, in the operation's own words. */
function unresolved(operation: Operation, error: unknown): Error {
  if (!(error instanceof NetError)) return error instanceof Error ? error : new Error(String(error));
  return new NetError(error.code, {
    tried: describeOperation(operation),
    said: error.message,
    ...(error.errno === undefined ? {} : { errno: error.errno }),
    cause: error,
  });
}
