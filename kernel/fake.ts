import { equalIp } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { Conntrack, Flow, FlowDestination } from "./conntrack.ts";
import { describeOperation } from "./encode.ts";
import { namedErrnoError } from "./errno.ts";
import { addAddress, deleteAddress, ipv6Switched, reportAddress } from "./fake-address.ts";
import { type FailurePoint, FakeFailures } from "./fake-failure.ts";
import { SCHEDULERS } from "./fake-ipvs.ts";
import { addLink, addLoopback, deleteLink, destroyLink, serveLinkLocals, setLink, setPort } from "./fake-link.ts";
import { reportLink } from "./fake-link-report.ts";
import { addFdb, addNeighbor, deleteFdb, deleteNeighbor, fdbOf, reportNeighbor } from "./fake-neighbor.ts";
import { Refusal } from "./fake-refusal.ts";
import { addRoute, allRoutes, deleteRoute, reportRoute } from "./fake-route.ts";
import { addRule, deleteRule, rulesOf } from "./fake-rule.ts";
import { type Announcement, type FakeFeatures, FakeMachine, FakeStack } from "./fake-state.ts";
import { addVlan, deleteVlan } from "./fake-vlan.ts";
import type { Ipvs } from "./ipvs.ts";
import { describeIpvs } from "./ipvs-message.ts";
import type { FdbEntry, Kernel, Link, LinkAddress, Neighbor, Netns, Operation, Route, Rule, Watch } from "./kernel.ts";
import type { Nftables } from "./nftables.ts";

type Verbs = {
  readonly [Name in Operation["do"]]: (stack: FakeStack, operation: Extract<Operation, { do: Name }>) => void;
};

const VERBS: Verbs = {
  "link.add": (stack, { link }) => addLink(stack, link),
  "link.set": (stack, { dev, set }) => setLink(stack.need(dev), set),
  "link.delete": (stack, { dev }) => deleteLink(stack.need(dev)),
  "port.set": (stack, { dev, set }) => setPort(stack.need(dev), set),
  "vlan.add": (stack, { dev, vid, pvid, untagged }) => addVlan(stack.need(dev), vid, { pvid, untagged }),
  "vlan.delete": (stack, { dev, vid }) => deleteVlan(stack.need(dev), vid),
  "address.add": (stack, { address }) => addAddress(stack.need(address.dev), address, false),
  "address.replace": (stack, { address }) => addAddress(stack.need(address.dev), address, true),
  "address.delete": (stack, { address }) => deleteAddress(stack.need(address.dev), address.address),
  "route.add": (stack, { route }) => addRoute(stack, route, "add"),
  "route.append": (stack, { route }) => addRoute(stack, route, "append"),
  "route.replace": (stack, { route }) => addRoute(stack, route, "replace"),
  "route.delete": (stack, { route }) => deleteRoute(stack, route),
  "rule.add": (stack, { rule }) => addRule(stack, rule),
  "rule.delete": (stack, { rule }) => deleteRule(stack, rule),
  "neighbor.add": (stack, { neighbor }) => addNeighbor(stack.need(neighbor.dev), neighbor, false),
  "neighbor.replace": (stack, { neighbor }) => addNeighbor(stack.need(neighbor.dev), neighbor, true),
  "neighbor.delete": (stack, { neighbor }) => deleteNeighbor(stack.need(neighbor.dev), neighbor.ip),
  "fdb.add": (stack, { entry }) => addFdb(stack.need(entry.dev), entry, false),
  "fdb.replace": (stack, { entry }) => addFdb(stack.need(entry.dev), entry, true),
  "fdb.delete": (stack, { entry }) => deleteFdb(stack.need(entry.dev), entry),
};

/** A machine in memory with one empty namespace: what a fresh `ip netns add` shows. It refuses what Linux 6.18
 *  refuses, with the same errno, and has the side effects that features rely on. Deterministic: no clock, no
 *  randomness; hardware addresses, link numbers and namespace numbers count up. */
export function openFake(features: Partial<FakeFeatures> = {}): FakeKernel {
  const machine = new FakeMachine({ dummy: true, vlanFiltering: true, schedulers: SCHEDULERS, ...features });
  return new FakeKernel(newStack(machine), new FakeFailures());
}

function newStack(machine: FakeMachine): FakeStack {
  const stack = new FakeStack(machine);
  addLoopback(stack);
  return stack;
}

/** One namespace of a machine in memory. Besides the interface it has what only a test may do. */
export class FakeKernel implements Kernel {
  readonly nftables: Nftables;
  readonly conntrack: Conntrack;
  readonly ipvs: Ipvs;
  private seen: number | undefined;
  private open = true;

  constructor(
    private readonly stack: FakeStack,
    private readonly failures: FakeFailures,
  ) {
    stack.users++;
    this.nftables = {
      run: (commands) =>
        this.failures.doing(
          "nftables",
          () => `run nft ${commands.join("; ")}`,
          () => stack.nftables.run(commands),
        ),
      elements: (family, table, set) => stack.nftables.elements(family, table, set),
      chains: (family, table) => stack.nftables.chains(family, table),
      table: (family, table) => stack.nftables.table(family, table),
      changeElements: (family, table, changes) =>
        this.failures.doing(
          "nftables",
          () => `change elements of table ${family} ${table}`,
          () => stack.nftables.changeElements(family, table, changes),
        ),
      rawElements: (family, table, set) => stack.nftables.rawElements(family, table, set),
      watch: (family, table) => stack.nftables.watch(family, table),
      generation: () => stack.nftables.generation,
      outline: (family, table) => stack.nftables.outline(family, table),
    };
    this.conntrack = {
      list: (family) => stack.flows.filter((flow) => flow.source.family === family),
      delete: (family, match, only) =>
        this.failures.doing(
          "conntrack",
          () => "delete tracked connections",
          () => this.forgetFlows(family, (flow) => (only === undefined || isSentTo(flow, only)) && match(flow)),
        ),
    };
    this.ipvs = {
      attempt: (operations) =>
        operations.map((operation) =>
          this.failures.attempt(
            "ipvs",
            () => describeIpvs(operation),
            () => stack.ipvs.carryOut(operation),
          ),
        ),
      services: () => stack.ipvs.services(),
      destinations: (service) => stack.ipvs.destinations(service),
    };
  }

  attempt(operations: readonly Operation[]): (Error | undefined)[] {
    return operations.map((operation) =>
      this.failures.attempt(
        operation.do,
        () => describeOperation(operation),
        () => this.carryOut(operation),
      ),
    );
  }

  apply(operations: readonly Operation[]): void {
    for (const error of this.attempt(operations)) if (error !== undefined) throw error;
  }

  links(): Link[] {
    return this.stack.links.map(reportLink);
  }

  link(name: string): Link | undefined {
    return this.links().find((link) => link.name === name);
  }

  linkAt(index: number): Link | undefined {
    return this.links().find((link) => link.index === index);
  }

  addresses(dev?: string): LinkAddress[] {
    return this.stack.addresses.map(reportAddress).filter((address) => dev === undefined || address.dev === dev);
  }

  routes(filter: Parameters<Kernel["routes"]>[0] = {}): Route[] {
    const { table = 254, family, dev, local = false } = filter;
    return [...allRoutes(this.stack)]
      .filter((route) => route.table === table && route.local === local)
      .filter((route) => family === undefined || route.dst.ip.family === family)
      .filter((route) => dev === undefined || route.link.name === dev)
      .map(reportRoute);
  }

  rules(family: 4 | 6): Rule[] {
    return rulesOf(this.stack, family);
  }

  neighbors(dev: string): Neighbor[] {
    return [...this.stack.neighbors.values()].filter(({ link }) => link.name === dev).map(reportNeighbor);
  }

  fdb(dev: string): FdbEntry[] {
    const link = this.stack.find(dev);
    return link === undefined ? [] : fdbOf(link);
  }

  vlans(dev: string): { readonly vid: number; readonly pvid: boolean; readonly untagged: boolean }[] {
    const vlans = this.stack.find(dev)?.vlans ?? new Map();
    return [...vlans].map(([vid, flags]) => ({ vid, ...flags })).sort((a, b) => a.vid - b.vid);
  }

  sysctl(path: string): string | undefined {
    return this.stack.sysctl.get(path);
  }

  setSysctl(path: string, value: string): void {
    const tried = () => `set sysctl ${path} to ${value}`;
    if (!path.startsWith("net/")) throw new Error(`sysctl ${path} is not below net/`);
    const present = this.sysctl(path);
    if (present === undefined) {
      const said = "this kernel has none of that name";
      throw new NetError("unsupported", { tried: tried(), said, errno: "ENOENT" });
    }
    if (present === value) return;
    this.failures.doing("sysctl", tried, () => {
      for (const changed of this.stack.sysctl.set(path, value)) this.afterSysctl(changed);
    });
  }

  within(netns: Netns): FakeKernel {
    const stack = [...this.stack.machine.stacks].find(({ id }) => id === netns.id);
    if (stack === undefined) throw namedErrnoError("EBADF", { tried: `enter network namespace ${netns.path}` });
    return new FakeKernel(stack, this.failures);
  }

  openNetns(path: string): Netns | undefined {
    const stack = this.stack.machine.mounts.get(path);
    return stack && handle(stack, path);
  }

  netns(): Netns {
    return handle(this.stack, "/proc/thread-self/ns/net");
  }

  createNetns(path: string): void {
    const { machine } = this.stack;
    this.failures.doing(
      "netns",
      () => `create network namespace ${path}`,
      () => {
        if (machine.mounts.has(path)) throw new Refusal("EEXIST", "the file exists");
        machine.mounts.set(path, newStack(machine));
      },
    );
  }

  deleteNetns(path: string): boolean {
    const { mounts } = this.stack.machine;
    const stack = mounts.get(path);
    mounts.delete(path);
    if (stack !== undefined) endIfUnused(stack);
    return stack !== undefined;
  }

  enter<T>(action: () => T): T {
    return action();
  }

  watchHostRoutes(): Watch {
    const { stack } = this;
    let seen = stack.version;
    return {
      changed: () => {
        const before = seen;
        seen = stack.version;
        return before !== seen;
      },
      close: () => {},
    };
  }

  changed(): boolean {
    const before = this.seen;
    this.seen = this.stack.version;
    return before !== this.seen;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.stack.users--;
    endIfUnused(this.stack);
  }

  /** The next change, or the next one of a kind, is refused with this errno and does nothing; `passing` that many
   *  come through before it. Several line up. Holds for all namespaces of the machine. */
  failNext(errno: string, point?: FailurePoint, passing = 0): void {
    this.failures.add(errno, point, passing);
  }

  /** Takes back the failures that have not come yet, and tells how many. */
  forgetFailures(): number {
    return this.failures.forget();
  }

  /** Duplicate address detection ends well on all links. */
  finishDad(): void {
    for (const address of this.stack.addresses) address.settled = true;
    this.stack.version++;
  }

  /** Every address that the kernel has announced here, oldest first. */
  announcements(): readonly Announcement[] {
    return this.stack.announcements;
  }

  /** A connection appears in the tracking table. */
  addFlow(flow: Flow): void {
    this.stack.flows.push(flow);
  }

  private forgetFlows(family: 4 | 6, match: (flow: Flow) => boolean): number {
    const { flows } = this.stack;
    const kept = flows.filter((flow) => flow.source.family !== family || !match(flow));
    const gone = flows.length - kept.length;
    flows.splice(0, flows.length, ...kept);
    return gone;
  }

  /** `Verbs` pairs each name with its own operation, which a look-up by name can't show to the compiler. */
  private carryOut<Name extends Operation["do"]>(operation: Extract<Operation, { do: Name }>): void {
    const verb: (stack: FakeStack, operation: Extract<Operation, { do: Name }>) => void = VERBS[operation.do as Name];
    verb(this.stack, operation);
    serveLinkLocals(this.stack);
    this.stack.version++;
  }

  /** What Linux does when a setting changes, beside remembering it. */
  private afterSysctl(path: string): void {
    const name = /^net\/ipv6\/conf\/(.+)\/disable_ipv6$/.exec(path)?.[1];
    const link = name === undefined ? undefined : this.stack.find(name);
    if (link === undefined) return;
    ipv6Switched(link, this.stack.sysctl.isOnLink("ipv6", link.name, "disable_ipv6"));
    serveLinkLocals(this.stack);
    this.stack.version++;
  }
}

function handle(stack: FakeStack, path: string): Netns {
  let open = true;
  stack.users++;
  return {
    path,
    id: stack.id,
    close() {
      if (!open) return;
      open = false;
      stack.users--;
      endIfUnused(stack);
    },
  };
}

/** A namespace ends with its last mount and handle; its virtual links end with it, and their peers elsewhere. */
function endIfUnused(stack: FakeStack): void {
  const mounted = [...stack.machine.mounts.values()].includes(stack);
  if (mounted || stack.users > 0) return;
  stack.machine.stacks.delete(stack);
  for (const link of [...stack.links]) if (link.kind !== undefined) destroyLink(link);
}

function isSentTo({ protocol, destination, destinationPort }: Flow, only: FlowDestination): boolean {
  return (
    protocol === only.protocol && destinationPort === only.destinationPort && equalIp(destination, only.destination)
  );
}
