import type { Ip, Prefix } from "../lib/address.ts";
import type { Flow } from "./conntrack.ts";
import { FakeIpvs } from "./fake-ipvs.ts";
import { FakeNftables } from "./fake-nftables.ts";
import { Refusal } from "./fake-refusal.ts";
import { FakeSysctl } from "./fake-sysctl.ts";
import type { FdbEntry, Link, Mac, Neighbor, PortChanges, Route, Rule, Scope } from "./kernel.ts";

/** One end of a veth pair, a bridge, a VXLAN device, the loopback. Links know each other, not each other's numbers. */
export interface FakeLink {
  stack: FakeStack;
  index: number;
  name: string;
  readonly kind: Link["kind"];
  mac: Mac;
  /** The address was chosen by the user, so that a bridge doesn't take one of its ports'. */
  macGiven: boolean;
  mtu: number;
  /** The MTU was set on the finished link, so that a bridge doesn't follow its ports'. */
  mtuGiven: boolean;
  up: boolean;
  alias: string | undefined;
  promiscuous: boolean;
  master: FakeLink | undefined;
  peer: FakeLink | undefined;
  readonly vxlan: Link["vxlan"];
  /** Present on bridges. A bridge runs without ports until the kernel first looks at their states
   *  (br_port_state_selection), which it does when a port joins or leaves and when the bridge's address changes;
   *  from then on its ports decide. */
  readonly bridge: { readonly vlanFiltering: boolean; portsDecide: boolean } | undefined;
  port: Required<PortChanges>;
  readonly vlans: Map<number, { readonly pvid: boolean; readonly untagged: boolean }>;
  /** The link came up and has not yet got its IPv6 link-local address. */
  linkLocalDue: boolean;
}

export interface FakeAddress {
  readonly link: FakeLink;
  readonly address: Prefix;
  readonly scope: Scope;
  noDad: boolean;
  broadcast: Ip | undefined;
  /** Duplicate address detection has ended. */
  settled: boolean;
  /** IPv4: another address of the same subnet came first and owns the connected route. */
  secondary: boolean;
}

/** A route with everything that the kernel fills in. */
export interface FakeRoute
  extends Required<Pick<Route, "dst" | "table" | "priority" | "scope" | "onlink" | "protocol" | "local">> {
  readonly link: FakeLink;
  readonly gateway: Route["gateway"];
  readonly source: Route["source"];
  readonly mtu: Route["mtu"];
  readonly advmss: Route["advmss"];
}

export interface FakeNeighbor extends Omit<Neighbor, "dev"> {
  readonly link: FakeLink;
}

export interface FakeFdbEntry extends Omit<FdbEntry, "dev"> {
  readonly link: FakeLink;
}

/** An address that a link has told its segment. */
export interface Announcement {
  readonly dev: string;
  readonly ip: Ip;
}

/** What machines differ in. */
export interface FakeFeatures {
  /** The `dummy` link kind. */
  readonly dummy: boolean;
  /** VLAN filtering of bridges. */
  readonly vlanFiltering: boolean;
  /** Schedulers of IPVS whose modules can be loaded; none when the kernel has no IPVS at all. */
  readonly schedulers: readonly string[];
}

/** What all namespaces of one machine share. */
export class FakeMachine {
  readonly stacks = new Set<FakeStack>();
  /** Namespaces kept alive by a mount, by path. */
  readonly mounts = new Map<string, FakeStack>();
  private made = 0;

  constructor(readonly features: FakeFeatures) {}

  /** A number that was not given out before; the source of inode numbers and hardware addresses. */
  next(): number {
    return ++this.made;
  }

  /** A locally administered unicast address, different each time. */
  nextMac(): Mac {
    const digits = this.next().toString(16).padStart(6, "0");
    return `02:fa:ce:${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4)}`;
  }
}

/** The state of one network namespace. The verbs are functions in fake-link.ts, fake-address.ts, fake-route.ts, … */
export class FakeStack {
  readonly id: string;
  readonly links: FakeLink[] = [];
  addresses: FakeAddress[] = [];
  /** By table and destination, each list ordered by priority. */
  readonly routes = new Map<string, FakeRoute[]>();
  /** Table, family and prefix length of every route that was ever there. */
  readonly routeLengths = new Set<string>();
  /** IPv6 tables that exist: main, those that a rule ever led to, and those to which a route was ever
   *  added, even in vain. */
  readonly tables6 = new Set([254]);
  rules: Rule[] = defaultRules();
  /** By link index and address. */
  readonly neighbors = new Map<string, FakeNeighbor>();
  /** By link index and hardware address. */
  readonly fdb = new Map<string, FakeFdbEntry>();
  readonly flows: Flow[] = [];
  readonly announcements: Announcement[] = [];
  readonly sysctl = new FakeSysctl();
  readonly nftables = new FakeNftables();
  readonly ipvs: FakeIpvs;
  /** Numbers go up and aren't used again. */
  private lastIndex = 0;
  /** Counts changes, for `changed()`. */
  version = 0;
  /** Handles and kernels that keep the namespace alive, besides mounts. */
  users = 0;

  constructor(readonly machine: FakeMachine) {
    this.ipvs = new FakeIpvs(machine.features.schedulers, () =>
      this.addresses.some(({ address }) => address.ip.family === 4),
    );
    this.id = `4:${4026532000 + machine.next()}`;
    machine.stacks.add(this);
  }

  find(name: string): FakeLink | undefined {
    return this.links.find((link) => link.name === name);
  }

  /** The link of this name; refuses with ENODEV. */
  need(name: string): FakeLink {
    const link = this.find(name);
    if (link === undefined) throw new Refusal("ENODEV");
    return link;
  }

  /** Puts a link here under its present index, or another one when that is taken, as `dev_change_net_namespace`
   *  does. */
  adopt(link: FakeLink): void {
    const taken = new Set(this.links.map(({ index }) => index));
    while (link.index === 0 || taken.has(link.index)) link.index = ++this.lastIndex;
    link.stack = this;
    this.links.push(link);
    this.sysctl.addLink(link.name);
  }

  /** The reverse of {@link adopt}. */
  abandon(link: FakeLink): void {
    this.links.splice(this.links.indexOf(link), 1);
    this.sysctl.removeLink(link.name);
  }
}

function defaultRules(): Rule[] {
  return [
    { family: 4, table: 255, priority: 0 },
    { family: 4, table: 254, priority: 32766 },
    { family: 4, table: 253, priority: 32767 },
    { family: 6, table: 255, priority: 0 },
    { family: 6, table: 254, priority: 32766 },
  ];
}
