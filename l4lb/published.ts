import type { Family, Ip } from "../lib/address.ts";
import { equalIp, formatIp } from "../lib/address.ts";

/** What names and addresses are looked up in. */
export interface NameSource {
  /** Addresses of a name, at most one of each family, of which `isWanted` services are to be there. */
  addresses(name: string): readonly Ip[];
  /** Whether the kernel has a service of this name at this address. */
  isServed(name: string, address: Ip): boolean;
}

/** A name with the addresses that it is to have in DNS; with none it is to have no record. */
export interface PublishedName {
  readonly name: string;
  /** Canonical text. */
  readonly addresses: readonly string[];
}

/** The names that DNS may answer with: an address comes after the kernel has its services, and goes before it loses
 *  them, so that nobody is sent to an address where nothing is, or something else. */
export class PublishedNames {
  readonly #source: NameSource;
  readonly #published = new Map<string, readonly Ip[]>();

  constructor(source: NameSource) {
    this.#source = source;
  }

  /** What of these names has to go before the kernel is changed. */
  before(names: Iterable<string>): PublishedName[] {
    return this.#publish(names, (name, published) => {
      const wanted = this.#source.addresses(name);
      return published.filter((ip) => wanted.some((each) => equalIp(each, ip)));
    });
  }

  /** What of these names may come, now that the kernel was changed. */
  after(names: Iterable<string>): PublishedName[] {
    return this.#publish(names, (name) => this.#source.addresses(name).filter((ip) => this.#source.isServed(name, ip)));
  }

  /** Every name that is published. */
  names(): Iterable<string> {
    return this.#published.keys();
  }

  /** Address of a name as DNS has it. */
  has(name: string, family: Family): boolean {
    return this.#published.get(name)?.some((ip) => ip.family === family) ?? false;
  }

  #publish(
    names: Iterable<string>,
    addressesOf: (name: string, published: readonly Ip[]) => readonly Ip[],
  ): PublishedName[] {
    const changed: PublishedName[] = [];
    for (const name of new Set(names)) {
      const published = this.#published.get(name) ?? [];
      const addresses = addressesOf(name, published);
      if (addresses.length === published.length && addresses.every((ip, at) => equalIp(ip, published[at] ?? ip)))
        continue;
      if (addresses.length === 0) this.#published.delete(name);
      else this.#published.set(name, addresses);
      changed.push({ name, addresses: addresses.map(formatIp) });
    }
    return changed;
  }
}
