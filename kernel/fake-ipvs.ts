import { equalIp, type Ip } from "../lib/address.ts";
import { namedErrnoError } from "./errno.ts";
import { Refusal } from "./fake-refusal.ts";
import type {
  IpvsCounters,
  IpvsDestination,
  IpvsDestinationState,
  IpvsOperation,
  IpvsService,
  IpvsServiceKey,
  IpvsServiceState,
} from "./ipvs.ts";

/** Schedulers of a kernel with all modules. */
export const SCHEDULERS: readonly string[] = ["rr", "wrr", "lc", "wlc", "fo", "ovf", "sh", "dh", "mh", "sed", "nq"];

const PROTOCOLS: readonly number[] = [6, 17, 132];
const WEIGHT_MAX = 2 ** 31 - 1;
const NOTHING: IpvsCounters = { connections: 0, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 };

interface Entry {
  service: IpvsService;
  destinations: IpvsDestination[];
}

/** IPVS of one namespace in memory, with the checks of ip_vs_ctl.c. No packets go through it, so counters are zero. */
export class FakeIpvs {
  private readonly entries = new Map<string, Entry>();

  /** `schedulers`: names of those that there are; without any the kernel has no IPVS. `hasIpv4`: whether the namespace
   *  has any IPv4 address, for before that no address counts as unicast (inet_addr_type). */
  constructor(
    private readonly schedulers: readonly string[],
    private readonly hasIpv4: () => boolean,
  ) {}

  carryOut(operation: IpvsOperation): void {
    this.demand();
    const key = textOf(operation.service);
    const entry = this.entries.get(key);
    if (operation.do === "service.add") {
      if (entry !== undefined) throw new Refusal("EEXIST");
      this.check(operation.service);
      this.entries.set(key, { service: operation.service, destinations: [] });
      return;
    }
    if (entry === undefined) throw new Refusal("ESRCH");
    switch (operation.do) {
      case "service.set":
        this.check(operation.service);
        entry.service = operation.service;
        return;
      case "service.delete":
        this.entries.delete(key);
        return;
      case "destination.add":
      case "destination.set":
        this.setDestination(entry, operation.destination, operation.do === "destination.add");
        return;
      case "destination.delete":
        entry.destinations.splice(indexOf(entry, operation.destination), 1);
    }
  }

  services(): IpvsServiceState[] {
    this.demand();
    return [...this.entries.values()].map(({ service }) => ({ ...service, counters: NOTHING }));
  }

  destinations(service: IpvsServiceKey): IpvsDestinationState[] {
    this.demand();
    const found = this.entries.get(textOf(service))?.destinations ?? [];
    return found.map((destination) => ({ ...destination, active: 0, inactive: 0, counters: NOTHING }));
  }

  private demand(): void {
    if (this.schedulers.length > 0) return;
    throw namedErrnoError("EOPNOTSUPP", { tried: "use IPVS", said: "this kernel has none" });
  }

  private check(service: IpvsService): void {
    if (!("mark" in service) && !PROTOCOLS.includes(service.protocol)) throw new Refusal("EPROTONOSUPPORT");
    if (!this.schedulers.includes(service.scheduler)) throw new Refusal("ENOENT");
  }

  private setDestination(entry: Entry, destination: IpvsDestination, adding: boolean): void {
    const family = "mark" in entry.service ? entry.service.family : entry.service.ip.family;
    // Packets of one family in those of the other go through tunnels only.
    if (destination.ip.family !== family && destination.forwarding !== "tunnel") throw new Refusal("EINVAL");
    if (destination.weight < 0 || destination.weight > WEIGHT_MAX) throw new Refusal("ERANGE");
    if (adding) {
      if (entry.destinations.some((other) => isSame(other, destination))) throw new Refusal("EEXIST");
      if (!isUnicast(destination.ip) || (destination.ip.family === 4 && !this.hasIpv4())) throw new Refusal("EINVAL");
      entry.destinations.push(destination);
      return;
    }
    entry.destinations[indexOf(entry, destination)] = destination;
  }
}

function indexOf(entry: Entry, wanted: Pick<IpvsDestination, "ip" | "port">): number {
  const index = entry.destinations.findIndex((other) => isSame(other, wanted));
  if (index < 0) throw new Refusal("ENOENT");
  return index;
}

function isSame(a: Pick<IpvsDestination, "ip" | "port">, b: Pick<IpvsDestination, "ip" | "port">): boolean {
  return a.port === b.port && equalIp(a.ip, b.ip);
}

/** ip_vs_new_dest asks for an address that is unicast, and for IPv6 not link-local, unless it is the host's own. */
function isUnicast({ family, value }: Ip): boolean {
  if (family === 4) return value !== 0n && value >> 28n !== 0xen && value !== 0xffffffffn;
  return value >> 120n !== 0xffn && value >> 118n !== 0xfe80n >> 6n;
}

function textOf(key: IpvsServiceKey): string {
  if ("mark" in key) return `mark ${key.family} ${key.mark}`;
  return `${key.protocol} ${key.ip.family} ${key.ip.value} ${key.port}`;
}
