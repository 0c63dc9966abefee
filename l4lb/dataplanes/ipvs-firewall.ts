import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp, type Ip, parseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";

/** Our table of nftables rules. */
const TABLE = "inet dcos_l4lb_ipvs";
const NAME = ["inet", "dcos_l4lb_ipvs"] as const;
const SET = { 4: "vips4", 6: "vips6" } as const;
const CHAINS = ["prerouting", "output", "postrouting", "input"] as const;

/** Elements of one command: nft parses long ones slowly. */
const ELEMENTS = 1000;

/** The table without elements. Priorities: destination translation of host ports is at -100, IPVS takes packets at -98
 *  where they start and at 99 where they arrive, source translation is at 100. */
const TABLE_COMMANDS: readonly string[] = [
  `delete table ${TABLE}`,
  `add table ${TABLE}`,
  `add set ${TABLE} vips4 { type ipv4_addr; }`,
  `add set ${TABLE} vips6 { type ipv6_addr; }`,
  // A translation that changes nothing, but ends the search for others: a host port of the same number would take
  // what is for the virtual IP, whose address is local too.
  ...(["prerouting", "output"] as const).flatMap((hook) => [
    `add chain ${TABLE} ${hook} { type nat hook ${hook} priority -110; policy accept; }`,
    `add rule ${TABLE} ${hook} ip daddr @vips4 dnat ip to ip daddr`,
    `add rule ${TABLE} ${hook} ip6 daddr @vips6 dnat ip6 to ip6 daddr`,
  ]),
  // The backend answers to the node, which alone can put the virtual IP back in.
  `add chain ${TABLE} postrouting { type nat hook postrouting priority 90; policy accept; }`,
  `add rule ${TABLE} postrouting ct original ip daddr @vips4 masquerade`,
  `add rule ${TABLE} postrouting ct original ip6 daddr @vips6 masquerade`,
  // What IPVS has not taken is for a port without service, where a process of the host must not answer.
  `add chain ${TABLE} input { type filter hook input priority 110; policy accept; }`,
  ...["ip daddr @vips4", "ip6 daddr @vips6"].flatMap((vips) => [
    `add rule ${TABLE} input ct direction original ${vips} meta l4proto tcp reject with tcp reset`,
    `add rule ${TABLE} input ct direction original ${vips} meta l4proto udp reject`,
  ]),
];

/** The firewall's part in virtual IPs on IPVS, in one namespace. */
export interface IpvsFirewall {
  /** Why there is none: the kernel, or the machine, has no nftables for it. Undefined when there is. */
  readonly lacking: string | undefined;
  /** Makes the table as it should be, and with these addresses, where it isn't; names what it made. */
  prepare(addresses: readonly Ip[]): string[];
  /** Adds addresses and takes others away, in one transaction. */
  change(add: readonly Ip[], remove?: readonly Ip[]): void;
  /** Takes the table away, if it is there. */
  remove(): void;
}

export function ipvsFirewall(kernel: Kernel): IpvsFirewall {
  return new Firewall(kernel);
}

class Firewall implements IpvsFirewall {
  lacking: string | undefined;
  /** How nft lists the rules of a whole table, without elements: it writes them in its own words. */
  #listing: string | undefined;

  constructor(private readonly kernel: Kernel) {}

  prepare(addresses: readonly Ip[]): string[] {
    this.lacking = undefined;
    try {
      return this.#prepare(addresses);
    } catch (error) {
      if (!isAbsence(error)) throw error;
      this.lacking = error.message;
      return [];
    }
  }

  change(add: readonly Ip[], remove: readonly Ip[] = []): void {
    if (this.lacking !== undefined) return;
    const commands = [...elementCommands("add", add), ...elementCommands("delete", remove)];
    if (commands.length > 0) this.kernel.nftables.run(commands);
  }

  remove(): void {
    this.#listing = undefined;
    if (this.lacking !== undefined) return;
    try {
      if (this.#chains() !== undefined) this.kernel.nftables.run([`delete table ${TABLE}`]);
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
  }

  #prepare(addresses: readonly Ip[]): string[] {
    const rules = this.#rules();
    if (rules === undefined || rules !== this.#listing) return this.#rebuild(addresses, rules);
    const present = new Set(this.#elements());
    const missing = addresses.filter((ip) => !present.delete(formatIp(ip)));
    this.change(missing, [...present].map(parseIp));
    return missing.map((ip) => `${formatIp(ip)} in table ${TABLE}`);
  }

  /** How nft lists what an earlier process made can't be known before the same is made again, which disturbs nobody:
   *  translations of present connections aren't the table's. */
  #rebuild(addresses: readonly Ip[], rules: string | undefined): string[] {
    // By itself, so that a kernel without such tables says only that.
    if (rules === undefined) this.kernel.nftables.run([`add table ${TABLE}`]);
    this.kernel.nftables.run([...TABLE_COMMANDS, ...elementCommands("add", addresses)]);
    this.#listing = this.#rules();
    return rules === this.#listing ? [] : [`table ${TABLE}`];
  }

  #chains(): string[] | undefined {
    return this.kernel.nftables.chains(...NAME);
  }

  /** The rules of the table as text; undefined when it, or a part of it, is missing. */
  #rules(): string | undefined {
    const chains = this.#chains();
    if (chains === undefined || CHAINS.some((chain) => !chains.includes(chain))) return undefined;
    return this.kernel.nftables.table(...NAME)?.replace(/\s*elements = \{[^}]*\}/g, "");
  }

  #elements(): string[] {
    return ([4, 6] as const).flatMap((family) => {
      const elements = this.kernel.nftables.elements(...NAME, SET[family]) ?? [];
      return elements.flatMap(({ key }) => key[0] ?? []);
    });
  }
}

/** No library, or a kernel without tables for IP. */
function isAbsence(error: unknown): error is NetError {
  return error instanceof NetError && (error.code === "unavailable" || error.code === "unsupported");
}

function elementCommands(verb: "add" | "delete", addresses: readonly Ip[]): string[] {
  return ([4, 6] as const).flatMap((family) => {
    const texts = addresses.filter((ip) => ip.family === family).map(formatIp);
    const commands: string[] = [];
    for (let start = 0; start < texts.length; start += ELEMENTS) {
      const some = texts.slice(start, start + ELEMENTS).join(", ");
      commands.push(`${verb} element ${TABLE} ${SET[family]} { ${some} }`);
    }
    return commands;
  });
}
