import type { Ip, Prefix } from "../lib/address.ts";
import type { Conntrack } from "./conntrack.ts";
import type { Ipvs } from "./ipvs.ts";
import type { Nftables } from "./nftables.ts";

/** Colon-separated lower-case hardware address: `70:b3:d5:80:00:01`. */
export type Mac = string;

/** What every link that we create can be given. */
interface LinkCommon {
  /** 1 … 15 bytes, no `/`, `:` or white space. */
  readonly name: string;
  readonly mac?: Mac;
  /** Bytes; the kernel's default for the kind when absent. */
  readonly mtu?: number;
  /** Administrative state after creation; down when absent. */
  readonly up?: boolean;
  /** Free text shown by `ip link` (at most 255 bytes): who made the link and why. */
  readonly alias?: string;
}

export interface BridgeSpec extends LinkCommon {
  readonly kind: "bridge";
  readonly vlanFiltering?: boolean;
}

/** A pair; `peer` may be created directly in another namespace. The peer can't be brought up by the creating message
 *  (ENOTCONN): set it up afterwards. */
export interface VethSpec extends LinkCommon {
  readonly kind: "veth";
  readonly peer: { readonly name: string; readonly mac?: Mac; readonly mtu?: number; readonly netns?: Netns };
}

/** A VXLAN device without a lower device: peers come from its forwarding database. */
export interface VxlanSpec extends LinkCommon {
  readonly kind: "vxlan";
  /** VXLAN network identifier, 0 … 2^24−1. */
  readonly vni: number;
  /** UDP destination port. */
  readonly port: number;
  /** Learn remote addresses from traffic; false when the forwarding database is complete by itself. */
  readonly learning: boolean;
  readonly local?: Ip;
  /** UDP checksums on IPv4; zero (the kernel's default) when absent. */
  readonly udpChecksum?: boolean;
}

export interface DummySpec extends LinkCommon {
  readonly kind: "dummy";
}

export type LinkSpec = BridgeSpec | VethSpec | VxlanSpec | DummySpec;

/** A link as the kernel reports it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, `vxlan`, …; undefined for hardware and loopback. */
  readonly kind: string | undefined;
  readonly mac: Mac;
  readonly mtu: number;
  readonly up: boolean;
  readonly loopback: boolean;
  /** True when both ends work: IF_OPER_UP, or unknown on kinds that don't report. */
  readonly running: boolean;
  readonly promiscuous: boolean;
  readonly alias: string | undefined;
  /** Index of the bridge that this link is a port of. */
  readonly master: number | undefined;
  /** Index of the veth peer or lower device, in the namespace that owns it. */
  readonly peer: number | undefined;
  readonly vxlan:
    | { readonly vni: number; readonly port: number; readonly learning: boolean; readonly local: Ip | undefined }
    | undefined;
  /** Present on bridges. `active`: the kernel has reported a working port (IF_OPER_UP); a new bridge is `running`
   *  without. */
  readonly bridge: { readonly vlanFiltering: boolean; readonly active: boolean } | undefined;
  readonly bridgePort:
    | { readonly hairpin: boolean; readonly isolated: boolean; readonly forwarding: boolean }
    | undefined;
}

/** Changes to one link; absent keys stay as they are. */
export interface LinkChanges {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: Mac;
  readonly name?: string;
  readonly alias?: string;
  /** Name of the bridge to join; null to leave the present one. */
  readonly master?: string | null;
  readonly promiscuous?: boolean;
  readonly netns?: Netns;
  /** Announce the IPv4 addresses (RFC 5227 section 2.3) whenever the link comes up or its hardware address is set, even
   *  to the same value: the sysctl arp_notify. */
  readonly arpNotify?: boolean;
}

/** Settings of a bridge port. */
export interface PortChanges {
  /** Send a frame back out of the port it came from: a container reaching itself through its own host port. */
  readonly hairpin?: boolean;
  /** Isolated ports exchange frames only with ports that are not isolated. */
  readonly isolated?: boolean;
}

export type Scope = "global" | "link" | "host";

/** An address of a link. */
export interface LinkAddress {
  readonly dev: string;
  readonly address: Prefix;
  readonly scope: Scope;
  /** IPv4 broadcast address, where one was given. */
  readonly broadcast: Ip | undefined;
  /** IPv6 only: duplicate address detection not finished / failed. */
  readonly tentative: boolean;
  readonly dadFailed: boolean;
}

export interface AddressSpec {
  readonly dev: string;
  readonly address: Prefix;
  /** `global` when absent. */
  readonly scope?: Scope;
  /** IPv4 broadcast address; none when absent. */
  readonly broadcast?: Ip;
  /** IPv6: usable at once, without duplicate address detection (IFA_F_NODAD). */
  readonly noDad?: boolean;
}

/** A unicast or local route. Equal (family, dst, table, priority, tos) is one slot in the kernel. */
export interface Route {
  /** `0.0.0.0/0` or `::/0` for the default route. */
  readonly dst: Prefix;
  readonly gateway?: Ip;
  /** Name of the outgoing link; may be left out when the gateway is on a connected network. */
  readonly dev?: string;
  /** Routing table number; 254 (main) when absent. */
  readonly table?: number;
  /** Metric; the kernel's default when absent (0 for IPv4, 1024 for IPv6). */
  readonly priority?: number;
  /** `host` for local routes, `link` when absent and there is no gateway, else `global`. */
  readonly scope?: Scope;
  /** Packets to `dst` are for this host itself (RTN_LOCAL), as if it were an address of `dev`. */
  readonly local?: boolean;
  /** Preferred source address. */
  readonly source?: Ip;
  /** Gateway need not be on a connected network (RTNH_F_ONLINK). */
  readonly onlink?: boolean;
  /** Route MTU in bytes. */
  readonly mtu?: number;
  /** Advertised maximum segment size in bytes. */
  readonly advmss?: number;
  /** Who installed it, rtnetlink's RTPROT_* number; 3 (boot) when absent, as the `ip` tool. */
  readonly protocol?: number;
}

/** A policy rule: packets from `from` look their route up in `table`. */
export interface Rule {
  readonly family: 4 | 6;
  readonly from?: Prefix;
  readonly to?: Prefix;
  readonly table: number;
  /** Position; the kernel chooses one before the present first when absent. */
  readonly priority?: number;
}

/** An ARP/NDP entry: `ip` is at `mac` on `dev`. */
export interface Neighbor {
  readonly dev: string;
  readonly ip: Ip;
  readonly mac: Mac;
  /** Never expires and is never probed (NUD_PERMANENT). */
  readonly permanent: boolean;
}

/** A forwarding entry of a VXLAN device: frames for `mac` go to the tunnel endpoint `remote`. */
export interface FdbEntry {
  readonly dev: string;
  readonly mac: Mac;
  readonly remote: Ip;
}

/** One change to the kernel, as data: what plans are made of, what tests compare and what the log prints. Each is named
 *  after the `ip` or `bridge` command that would do the same. */
export type Operation =
  | { readonly do: "link.add"; readonly link: LinkSpec }
  | { readonly do: "link.set"; readonly dev: string; readonly set: LinkChanges }
  | { readonly do: "link.delete"; readonly dev: string }
  | { readonly do: "port.set"; readonly dev: string; readonly set: PortChanges }
  | {
      readonly do: "vlan.add";
      readonly dev: string;
      readonly vid: number;
      readonly pvid: boolean;
      readonly untagged: boolean;
    }
  | { readonly do: "vlan.delete"; readonly dev: string; readonly vid: number }
  | { readonly do: "address.add"; readonly address: AddressSpec }
  | { readonly do: "address.replace"; readonly address: AddressSpec }
  | { readonly do: "address.delete"; readonly address: AddressSpec }
  | { readonly do: "route.add"; readonly route: Route }
  | { readonly do: "route.append"; readonly route: Route }
  | { readonly do: "route.replace"; readonly route: Route }
  | { readonly do: "route.delete"; readonly route: Route }
  | { readonly do: "rule.add"; readonly rule: Rule }
  | { readonly do: "rule.delete"; readonly rule: Rule }
  | { readonly do: "neighbor.add"; readonly neighbor: Neighbor }
  | { readonly do: "neighbor.replace"; readonly neighbor: Neighbor }
  | { readonly do: "neighbor.delete"; readonly neighbor: Pick<Neighbor, "dev" | "ip"> }
  | { readonly do: "fdb.add"; readonly entry: FdbEntry }
  | { readonly do: "fdb.replace"; readonly entry: FdbEntry }
  | { readonly do: "fdb.delete"; readonly entry: FdbEntry };

/** An open handle of a network namespace. Two handles of one namespace have equal `id`. */
export interface Netns {
  /** Where it was opened from, for messages. */
  readonly path: string;
  /** Device and inode number of the namespace, as text: the kernel's identity of it. */
  readonly id: string;
  close(): void;
}

/** Tells of changes from when it was opened. */
export interface Watch {
  /** Something changed since the last call. */
  changed(): boolean;
  close(): void;
}

/** What the rest of the house sees of one network namespace of a Linux kernel: the machine's own (`kernel/linux.ts`) or
 *  one in memory (`kernel/fake.ts`). Everything is synchronous: a request takes microseconds, and a caller that enters
 *  a namespace must leave it in the same step. Failures are NetErrors with the errno name and the kernel's own text. */
export interface Kernel {
  /** Carries out the operations in order, many in one send where possible. Stops at nothing: the answer has one entry
   *  for each operation, undefined for success. A later operation may use a link that an earlier one creates. */
  attempt(operations: readonly Operation[]): (Error | undefined)[];
  /** Like attempt, but throws the first error, after the whole batch has been tried. */
  apply(operations: readonly Operation[]): void;

  links(): Link[];
  /** undefined when there is no such link. */
  link(name: string): Link | undefined;
  linkAt(index: number): Link | undefined;
  /** Addresses of one link, or of all. */
  addresses(dev?: string): LinkAddress[];
  /** Unicast routes of one table (254, main, when absent), or with `local` its local ones; those that the kernel keeps
   *  for the addresses of links aren't among the latter. */
  routes(filter?: {
    readonly table?: number;
    readonly family?: 4 | 6;
    readonly dev?: string;
    readonly local?: boolean;
  }): Route[];
  rules(family: 4 | 6): Rule[];
  /** Neighbour entries of one link. */
  neighbors(dev: string): Neighbor[];
  /** Forwarding entries with a remote endpoint of one VXLAN link. */
  fdb(dev: string): FdbEntry[];
  /** VLAN ids of one bridge port (or of the bridge itself). */
  vlans(dev: string): { readonly vid: number; readonly pvid: boolean; readonly untagged: boolean }[];

  /** Value of a sysctl below `net.`, by path (`net/ipv4/ip_forward`); undefined when this kernel hasn't it. */
  sysctl(path: string): string | undefined;
  /** Sets one below `net/`; does nothing when it has the value already. */
  setSysctl(path: string, value: string): void;

  readonly nftables: Nftables;
  readonly conntrack: Conntrack;
  readonly ipvs: Ipvs;

  /** The same interface for another namespace; the caller closes it. The handle stays the caller's. */
  within(netns: Netns): Kernel;
  /** Opens a namespace handle; undefined when the path is missing or isn't a network namespace. */
  openNetns(path: string): Netns | undefined;
  /** This kernel's own namespace. */
  netns(): Netns;
  /** Creates a namespace and keeps it alive by a bind mount at `path`, which must not exist. */
  createNetns(path: string): void;
  /** Unmounts and removes what createNetns made; false when it was not there. */
  deleteNetns(path: string): boolean;
  /** Runs `action` with the calling thread inside this kernel's namespace; it must be synchronous. For sockets and
   *  child processes that have to be born there. */
  enter<T>(action: () => T): T;

  /** Watches the link of this name and, on all links, the routes of table main to single addresses; other changes
   *  are not reported. May report a change where there was none. */
  watchHostRoutes(dev: string): Watch;
  /** Something in links, addresses, routes, rules or neighbours changed since the last call; true on the first call. */
  changed(): boolean;
  close(): void;
}
