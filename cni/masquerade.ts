import { formatIp, formatPrefix, networkOf, type Prefix, parsePrefix } from "../lib/address.ts";
import type { FirewallChain, FirewallEntry, FirewallTable } from "./firewall-commands.ts";
import { digest, type Owner, shorten } from "./firewall-owner.ts";
import { prefixName, prefixSet } from "./firewall-prefix.ts";

/** Source NAT of containers whose addresses mean nothing outside the node (`ipMasq`). One look-up of the source address
 *  tells the chain of its network; what the chain doesn't except leaves with the address of the outgoing interface. */
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

/** Groups of receivers, which are not to be translated: RFC 5771, RFC 4291 section 2.7. */
const MULTICAST = ["224.0.0.0/4", "ff00::/8"].map(parsePrefix);
/** Characters of a network's name, and of all subnets, in the name of a chain. */
const NETWORK_LIMIT = 36;
const SUBNETS_LIMIT = 120;

/** Firewall entry that masquerades what the container sends beyond its subnets and the exclusions. Containers with the
 *  same network and subnets share a chain; the exclusions of the last one hold for all of them, so that a change of the
 *  configuration reaches those that run already. */
export function masqueradeEntry({ owner, addresses, excludes }: MasqueradeRequest): FirewallEntry {
  const chain = exceptionChain(owner.network, addresses.map(networkOf), excludes.map(networkOf));
  const texts = addresses.map(({ ip }) => formatIp(ip));
  return {
    table: MASQUERADE,
    owner,
    chains: [chain],
    elements: addresses.map(({ ip }) => ({
      set: `containers${ip.family}`,
      key: [formatIp(ip)],
      data: [`goto ${chain.name}`],
    })),
    addresses: texts,
    rivals: [],
  };
}

function exceptionChain(network: string, subnets: readonly Prefix[], excludes: readonly Prefix[]): FirewallChain {
  const names = shorten([...new Set(subnets.map(prefixName))].sort().join("_"), SUBNETS_LIMIT);
  const exceptions = [...subnets, ...excludes, ...MULTICAST];
  return {
    name: `network_${shorten(network, NETWORK_LIMIT)}_${names}`,
    revision: excludes.length === 0 ? "plain" : digest(excludes.map(formatPrefix).sort().join()),
    rules: [
      `ip daddr ${prefixSet(exceptions, 4)} return`,
      `ip6 daddr ${prefixSet(exceptions, 6)} return`,
      "masquerade",
    ],
  };
}
