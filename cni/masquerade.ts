import { formatIp, formatPrefix, networkOf, type Prefix } from "../lib/address.ts";
import type { FirewallChain, FirewallEntry, FirewallTable } from "./firewall-commands.ts";
import { type Owner, shorten } from "./firewall-owner.ts";

/** Source NAT of containers whose addresses mean nothing outside the node (`ipMasq`). One look-up of the source address tells the
 *  chain of its network; what the chain doesn't except leaves with the address of the outgoing interface. */
export const MASQUERADE: FirewallTable = {
  family: "inet",
  name: "dcos_masquerade",
  sets: [
    { name: "containers4", kind: "map", type: "ipv4_addr : verdict" },
    { name: "containers6", kind: "map", type: "ipv6_addr : verdict" },
  ],
  chains: [
    {
      name: "postrouting",
      hook: "type nat hook postrouting priority 100;",
      rules: ["ip saddr vmap @containers4", "ip6 saddr vmap @containers6"],
    },
  ],
  describe: ({ key: [address] }) => `masquerading of address ${address}`,
};

export interface MasqueradeRequest {
  readonly owner: Owner;
  /** The container's addresses with the prefix lengths of their subnets, which always see the real address. */
  readonly addresses: readonly Prefix[];
  /** Further destinations that see it, such as the other overlays. */
  readonly excludes: readonly Prefix[];
}

/** Multicast groups are not to be translated: RFC 5771, RFC 4291 section 2.7. */
const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;
const NETWORK_LIMIT = 36;
const NAME_LIMIT = 200;

/** Firewall entry that masquerades what the container sends beyond its subnets and the exclusions. Containers with the same
 *  network and subnets share a chain; the exclusions of the last one hold for all of them, so that a change of the
 *  configuration reaches those that run already. */
export function masqueradeEntry({ owner, addresses, excludes }: MasqueradeRequest): FirewallEntry {
  const subnets = sortedTexts(addresses);
  const chain = exceptionChain(owner.network, subnets, sortedTexts(excludes));
  return {
    table: MASQUERADE,
    owner,
    chains: [chain],
    elements: addresses.map(({ ip }) => ({
      set: `containers${ip.family}`,
      key: [formatIp(ip)],
      data: [`goto ${chain.name}`],
    })),
    addresses: addresses.map(({ ip }) => formatIp(ip)),
    rivals: [],
  };
}

function exceptionChain(network: string, subnets: readonly string[], excludes: readonly string[]): FirewallChain {
  const exceptions = [...new Set([...subnets, ...excludes])];
  const named = `masq_${shorten(network, NETWORK_LIMIT)}_${chainPart(subnets)}`;
  const hash = excludes.length === 0 ? "plain" : Bun.CryptoHasher.hash("sha256", excludes.join(), "hex").slice(0, 16);
  return {
    name: shorten(named, NAME_LIMIT),
    revision: hash,
    rules: [
      ...exceptionRules("ip", [...exceptions.filter((text) => !text.includes(":")), MULTICAST[4]]),
      ...exceptionRules("ip6", [...exceptions.filter((text) => text.includes(":")), MULTICAST[6]]),
      "masquerade",
    ],
  };
}
