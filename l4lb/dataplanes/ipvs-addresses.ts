import type { Kernel, Operation, Route } from "../../kernel/kernel.ts";
import { equalIp, type Family, formatIp, hostPrefix, type Ip } from "../../lib/address.ts";
import { hasErrno } from "../../lib/error.ts";
import { prepareVipDevice, removeVipDevice, VIP_DEVICE, VIP_ROUTE_PROTOCOL } from "./vip-device.ts";

const TABLE_LOCAL = 255;

/** The addresses of virtual IPs, which must be the node's own, or packets to them would pass IPVS by. Each is a local
 *  route to our device: unlike an address of it, a route isn't announced, chosen as a source or seen by other programs'
 *  bind. */
export class IpvsAddresses {
  /** By text. */
  readonly #present = new Map<string, Route>();
  /** Without service at the last `prepare`: they go with the next one. Until then a client with a connection to the
   *  service is told that it has ended, by a node that still takes the packets for its own. */
  readonly #idle = new Set<string>();
  /** The namespace's main address of each family: the first that the kernel names. Connections of its own processes
   *  begin with it, not with the virtual IP, to which no backend could answer. */
  readonly #sources = new Map<Family, Ip>();

  constructor(private readonly kernel: Kernel) {}

  /** Makes the device, reads which addresses there are, adds those that are missing and takes away those that have had
   *  no service for two calls. Names what it made. */
  prepare(wanted: readonly Ip[]): string[] {
    const made = prepareVipDevice(this.kernel);
    this.load();
    const texts = new Set(wanted.map(formatIp));
    this.#findSources();
    const missing = wanted.filter((ip) => !this.#fits(ip));
    this.#throwFirst(this.add(missing));
    this.#throwFirst(this.#drop([...this.#present.keys()].filter((text) => !texts.has(text) && this.#idle.has(text))));
    this.#idle.clear();
    for (const text of this.#present.keys()) if (!texts.has(text)) this.#idle.add(text);
    return [...made, ...missing.map((ip) => `route to ${formatIp(ip)}`)];
  }

  /** Reads which addresses there are. */
  load(): void {
    this.#present.clear();
    for (const route of this.kernel.routes({ table: TABLE_LOCAL, dev: VIP_DEVICE, local: true })) {
      this.#present.set(formatIp(route.dst.ip), route);
    }
  }

  has(ip: Ip): boolean {
    return this.#present.has(formatIp(ip));
  }

  /** True for an address that the reference put there: what IPVS has on it is the reference's too. */
  isInherited(ip: Ip): boolean {
    const route = this.#present.get(formatIp(ip));
    return route !== undefined && route.protocol !== VIP_ROUTE_PROTOCOL;
  }

  all(): Ip[] {
    return [...this.#present.values()].map(({ dst }) => dst.ip);
  }

  /** One error, or undefined, for each address. */
  add(addresses: readonly Ip[]): (Error | undefined)[] {
    const routes = addresses.map((ip) => this.#routeTo(ip));
    const outcome = this.kernel.attempt(routes.map((route): Operation => ({ do: "route.replace", route })));
    for (const [index, route] of routes.entries()) {
      if (outcome[index] === undefined) this.#present.set(formatIp(route.dst.ip), route);
    }
    return outcome;
  }

  /** Takes away all addresses, and the device with the last of its routes. */
  remove(): void {
    this.load();
    this.#throwFirst(this.#drop([...this.#present.keys()]));
    removeVipDevice(this.kernel);
    this.#idle.clear();
  }

  #drop(texts: readonly string[]): (Error | undefined)[] {
    const routes = texts.flatMap((text) => this.#present.get(text) ?? []);
    const outcome = this.kernel.attempt(routes.map((route): Operation => ({ do: "route.delete", route })));
    for (const text of texts) this.#present.delete(text);
    return outcome.map((error) => (hasErrno(error, "ESRCH") ? undefined : error));
  }

  #fits(ip: Ip): boolean {
    const route = this.#present.get(formatIp(ip));
    if (route?.protocol !== VIP_ROUTE_PROTOCOL) return false;
    const source = this.#sources.get(ip.family);
    return source === undefined || route.source === undefined ? source === route.source : equalIp(source, route.source);
  }

  #routeTo(ip: Ip): Route {
    const source = this.#sources.get(ip.family);
    return {
      dst: hostPrefix(ip),
      dev: VIP_DEVICE,
      table: TABLE_LOCAL,
      local: true,
      protocol: VIP_ROUTE_PROTOCOL,
      ...(source === undefined ? {} : { source }),
    };
  }

  #findSources(): void {
    this.#sources.clear();
    for (const { address, scope, tentative } of this.kernel.addresses().toReversed()) {
      if (scope === "global" && !tentative) this.#sources.set(address.ip.family, address.ip);
    }
  }

  #throwFirst(outcome: readonly (Error | undefined)[]): void {
    for (const error of outcome) if (error !== undefined) throw error;
  }
}
