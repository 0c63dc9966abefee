import type { Kernel } from "../../kernel/kernel.ts";
import type { NftOutline } from "../../kernel/nftables.ts";
import { type Family, formatIp, type Ip, parseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { LINKS_SET, MASQUERADE_RULES } from "./masquerade.ts";

/** Our table of nftables rules, of family inet; whatever is in it is ours. */
export const IPVS_TABLE = "dcos_l4lb_ipvs";
const TABLE = `inet ${IPVS_TABLE}`;
const NAME = ["inet", IPVS_TABLE] as const;
const SET = { 4: "vips4", 6: "vips6" } as const;
/** All sets, and their definitions. */
const SETS: Readonly<Record<string, string>> = {
  [SET[4]]: "type ipv4_addr ;",
  [SET[6]]: "type ipv6_addr ;",
  links: LINKS_SET,
};

/** Elements of one command: nft parses long ones slowly. */
const ELEMENTS = 1000;

interface Chain {
  readonly name: string;
  /** Absent for a chain that another leads to. */
  readonly hook?: string;
  /** By name, which is the rule's comment: so its absence can be told without reading what it says. */
  readonly rules: Readonly<Record<string, string>>;
}

const FAMILIES = [4, 6] as const;
const WORD = { 4: "ip", 6: "ip6" } as const;

/** Priorities: destination translation of host ports is at -100; IPVS takes packets at -98 where they start and at 99
 *  where they arrive; source translation is at 100. */
const CHAINS: readonly Chain[] = [
  // A translation that changes nothing, but ends the search for others: a host port of the same number would take
  // what is for the virtual IP, whose address is local too.
  { name: "prerouting", hook: "type nat hook prerouting priority -110 ;", rules: untranslated() },
  { name: "output", hook: "type nat hook output priority -110 ;", rules: untranslated() },
  // Only the node can put the virtual IP back into the backend's answers.
  { name: "translated", rules: Object.fromEntries(MASQUERADE_RULES.map(({ name, text }) => [name, text])) },
  {
    name: "postrouting",
    hook: "type nat hook postrouting priority 90 ;",
    rules: perFamily((family) => ({ translated: `ct original ${WORD[family]} daddr @${SET[family]} goto translated` })),
  },
  // What IPVS has not taken is for a port without service, where a process of the host must not answer.
  {
    name: "input",
    hook: "type filter hook input priority 110 ;",
    rules: perFamily((family) => {
      const toVip = `ct direction original ${WORD[family]} daddr @${SET[family]}`;
      return { reset: `${toVip} meta l4proto tcp reject with tcp reset`, refuse: `${toVip} meta l4proto udp reject` };
    }),
  },
];

function untranslated(): Chain["rules"] {
  return perFamily((family) => {
    const word = WORD[family];
    return { keep: `${word} daddr @${SET[family]} dnat ${word} to ${word} daddr` };
  });
}

function perFamily(rules: (family: Family) => Readonly<Record<string, string>>): Record<string, string> {
  const named = FAMILIES.flatMap((family) =>
    Object.entries(rules(family)).map(([name, text]) => [`${name} IPv${family}`, text]),
  );
  return Object.fromEntries(named);
}

/** The table without addresses, in place of whatever is in it. */
const TABLE_COMMANDS: readonly string[] = [
  `delete table ${TABLE}`,
  `add table ${TABLE}`,
  ...Object.entries(SETS).map(([name, definition]) => `add set ${TABLE} ${name} { ${definition} }`),
  ...CHAINS.flatMap(({ name, hook, rules }) => [
    `add chain ${TABLE} ${name}${hook === undefined ? "" : ` { ${hook} }`}`,
    ...Object.entries(rules).map(([rule, text]) => `add rule ${TABLE} ${name} ${text} comment "${rule}"`),
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

/** For a namespace whose only clients are its own processes: nothing is forwarded, and its routes give connections a
 *  source that answers come back to. */
export const NO_FIREWALL: IpvsFirewall = {
  lacking: undefined,
  prepare: () => [],
  change: () => undefined,
  remove: () => undefined,
};

class Firewall implements IpvsFirewall {
  lacking: string | undefined;

  constructor(private readonly kernel: Kernel) {}

  prepare(addresses: readonly Ip[]): string[] {
    // Each try would have the kernel look for modules.
    if (this.lacking !== undefined) return [];
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
    if (this.lacking !== undefined) return;
    try {
      if (this.#outline() !== undefined) this.kernel.nftables.run([`delete table ${TABLE}`]);
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
  }

  #prepare(addresses: readonly Ip[]): string[] {
    const outline = this.#outline();
    if (outline === undefined || !isWhole(outline)) {
      // By itself, so that a kernel without such tables says only that.
      if (outline === undefined) this.kernel.nftables.run([`add table ${TABLE}`]);
      this.kernel.nftables.run([...TABLE_COMMANDS, ...elementCommands("add", addresses)]);
      return [`table ${TABLE}`];
    }
    const present = new Set(this.#elements());
    const missing = addresses.filter((ip) => !present.delete(formatIp(ip)));
    this.change(missing, [...present].map(parseIp));
    return missing.map((ip) => `${formatIp(ip)} in table ${TABLE}`);
  }

  #outline(): NftOutline | undefined {
    return this.kernel.nftables.outline(...NAME);
  }

  #elements(): string[] {
    return FAMILIES.flatMap((family) => {
      const elements = this.kernel.nftables.elements(...NAME, SET[family]) ?? [];
      return elements.flatMap(({ key }) => key[0] ?? []);
    });
  }
}

/** True when all chains, rules and sets are there, and nobody has put anything between. */
function isWhole({ dormant, chains, sets }: NftOutline): boolean {
  const fits = ({ name, rules }: Chain): boolean => {
    const found = chains.find((chain) => chain.name === name);
    const names = Object.keys(rules);
    return (
      found?.dropping === false &&
      found.rules.length === names.length &&
      names.every((rule, at) => found.rules[at] === rule)
    );
  };
  return !dormant && CHAINS.every(fits) && Object.keys(SETS).every((name) => sets.includes(name));
}

/** No library, or a kernel without tables for IP. */
function isAbsence(error: unknown): error is NetError {
  return error instanceof NetError && (error.code === "unavailable" || error.code === "unsupported");
}

function elementCommands(verb: "add" | "delete", addresses: readonly Ip[]): string[] {
  return FAMILIES.flatMap((family) => {
    const texts = addresses.filter((ip) => ip.family === family).map(formatIp);
    const commands: string[] = [];
    for (let start = 0; start < texts.length; start += ELEMENTS) {
      const some = texts.slice(start, start + ELEMENTS).join(", ");
      commands.push(`${verb} element ${TABLE} ${SET[family]} { ${some} }`);
    }
    return commands;
  });
}
