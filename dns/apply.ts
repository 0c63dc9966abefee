import { describeOperation } from "../kernel/encode.ts";
import type { Kernel, Operation } from "../kernel/kernel.ts";
import type { Ip } from "../lib/address.ts";
import { hasErrno, messageOf, NetError } from "../lib/error.ts";
import { DEVICE_KINDS, type DeviceKind, type DeviceState, devicePlan, deviceRemoval } from "./device.ts";
import { NOTRACK_TABLE, notrackCommands, notrackRemoval } from "./notrack.ts";

export interface DnsKeeperOptions {
  readonly kernel: Kernel;
  /** Name of the link that carries `addresses`; empty when they are none of ours to set up. */
  readonly device: string;
  readonly addresses: readonly Ip[];
  /** Addresses whose queries aren't tracked as connections; none: no such rules. */
  readonly untracked: readonly Ip[];
  readonly port: number;
}

/** Keeps in one kernel what the DNS server needs there: the link with its addresses, and the rules that keep its
 *  queries out of connection tracking. */
export class DnsKeeper {
  readonly #options: DnsKeeperOptions;
  /** How nft lists our table; it writes rules in its own words, so the listing is compared with itself. */
  #listing: string | undefined;
  #kind: DeviceKind | undefined;

  constructor(options: DnsKeeperOptions) {
    this.#options = options;
  }

  /** Kind of the link that was made here; undefined when it was there before, or isn't there yet. */
  get kind(): DeviceKind | undefined {
    return this.#kind;
  }

  /** One pass: what is missing is put back. Gives what was changed, in words. Everything that can be done is done
   *  before the first refusal is thrown. */
  pass(): readonly string[] {
    const changes: string[] = [];
    const refusals: unknown[] = [];
    for (const part of [() => this.#keepDevice(changes), () => this.#keepRules(changes)]) {
      try {
        part();
      } catch (error) {
        refusals.push(error);
      }
    }
    if (refusals.length > 0) throw refusals[0];
    return changes;
  }

  /** What passes have made and is there still, also those of an earlier process, named for people. */
  remains(): readonly string[] {
    const isLink = this.#removal().length > 0;
    const isTable = this.#table() !== undefined;
    return [...(isLink ? [`link ${this.#options.device}`] : []), ...(isTable ? [`table inet ${NOTRACK_TABLE}`] : [])];
  }

  /** Takes away what passes have made, also those of an earlier process. Gives what was there, in words. */
  remove(): readonly string[] {
    const { kernel } = this.#options;
    const operations = this.#removal();
    kernel.apply(operations);
    const removed = operations.map(describeOperation);
    if (this.#table() !== undefined) {
      kernel.nftables.run(notrackRemoval());
      removed.push(`remove table inet ${NOTRACK_TABLE}`);
    }
    return removed;
  }

  #removal(): Operation[] {
    const { kernel, device } = this.#options;
    return device === "" ? [] : deviceRemoval(device, { link: kernel.link(device) });
  }

  #keepDevice(changes: string[]): void {
    const { kernel, device, addresses } = this.#options;
    if (device === "") return;
    const operations = this.#planned();
    if (operations.some(({ do: verb }) => verb === "link.add")) this.#create(changes);
    const path = `net/ipv6/conf/${device}/disable_ipv6`;
    if (addresses.some(({ family }) => family === 6) && kernel.sysctl(path) === "1") kernel.setSysctl(path, "0");
    const rest = this.#planned();
    const outcomes = kernel.attempt(rest);
    for (const [index, operation] of rest.entries()) {
      if (outcomes[index] === undefined) changes.push(describeOperation(operation));
    }
    const failed = outcomes.find((error) => error !== undefined);
    if (failed !== undefined) throw failed;
  }

  #planned(): Operation[] {
    const { device, addresses } = this.#options;
    return devicePlan(device, addresses, this.#state(), DEVICE_KINDS[0]);
  }

  #state(): DeviceState {
    const { kernel, device } = this.#options;
    const link = kernel.link(device);
    return { link, addresses: link === undefined ? [] : kernel.addresses(device) };
  }

  /** The first kind that this kernel has. */
  #create(changes: string[]): void {
    const { kernel, device } = this.#options;
    for (const kind of DEVICE_KINDS) {
      const [creation] = devicePlan(device, [], this.#state(), kind);
      if (creation === undefined) return;
      const [error] = kernel.attempt([creation]);
      if (error === undefined) {
        this.#kind = kind;
        changes.push(describeOperation(creation));
        return;
      }
      if (!hasErrno(error, "EOPNOTSUPP")) throw error;
    }
    throw new NetError("unsupported", {
      tried: `make ${device} for the addresses of the DNS server`,
      said: `this kernel has none of: ${DEVICE_KINDS.join(", ")}`,
      remedy: "set dns_device to empty and put the addresses on a link of your own",
    });
  }

  #keepRules(changes: string[]): void {
    const { kernel, untracked, port } = this.#options;
    if (untracked.length === 0) return;
    const listing = this.#table();
    if (listing !== undefined && listing === this.#listing) return;
    try {
      kernel.nftables.run(notrackCommands(untracked, port));
    } catch (error) {
      throw new NetError("kernel", {
        tried: "keep queries out of connection tracking",
        said: messageOf(error),
        remedy: "names are answered all the same; set dns_notrack to off where the kernel can't",
        cause: error,
      });
    }
    this.#listing = this.#table();
    changes.push(`set up table inet ${NOTRACK_TABLE}`);
  }

  #table(): string | undefined {
    try {
      return this.#options.kernel.nftables.table("inet", NOTRACK_TABLE);
    } catch {
      // Where nftables can't be had there is no table of ours; where one is wanted, setting it up tells why it fails.
      return undefined;
    }
  }
}
