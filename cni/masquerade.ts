import { type Family, formatIp, formatPrefix, networkOf, type Prefix, parsePrefix } from "../lib/address.ts";
import type { FirewallChain, FirewallEntry, FirewallTable } from "./firewall-commands.ts";
import { digest, type Owner, shorten } from "./firewall-owner.ts";
import { prefixName, widest } from "./firewall-prefix.ts";

/** Source NAT of containers whose addresses mean nothing outside the node (`ipMasq`), by family. One look-up of the
 *  source address tells the chain of its network; what the chain doesn't except leaves with the address of the
 *  outgoing interface. */
export const MASQUERADE: Readonly<Record<Family, FirewallTable>> = { 4: tableOf("ip"), 6: tableOf("ip6") };

function tableOf(family: "ip" | "ip6"): FirewallTable {
  const address = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  return {
    family,
    name: "dcos_masquerade",
    sets: [{ name: "containers", kind: "map", type: `${address} : verdict` }],
    chains: [
      {
        name: "postrouting",
        hook: "type nat hook postrouting priority 100;",
        rules: [`${family} saddr vmap @containers`],
      },
    ],
    describe: ({ key: [container] }) => `masquerading of address ${container}`,
  };
}

export interface MasqueradeRequest {
  readonly owner: Owner;
  /** The container's addresses with the prefix lengths of their subnets, which always see the real address. */
  readonly addresses: readonly Prefix[];
  /** Further destinations that see it, such as the other overlays. */
  readonly excludes: readonly Prefix[];
}

/** Groups of receivers, which are not to be translated: RFC 5771, RFC 4291 section 2.7. */
const MULTICAST = { 4: parsePrefix("224.0.0.0/4"), 6: parsePrefix("ff00::/8") } as const;
/** Characters of a network's name, and of all subnets, in the name of a chain. */
const NETWORK_LIMIT = 36;
const SUBNETS_LIMIT = 120;

/** Firewall entries, one a family, that masquerade what the container sends beyond its subnets and the exclusions.
 *  Containers with the same network and subnets share a chain; the exclusions of the last one hold for all of them,
 *  so that a change of the configuration reaches those that run already. */
export function masqueradeEntries({ owner, addresses, excludes }: MasqueradeRequest): FirewallEntry[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = addresses.filter(({ ip }) => ip.family === family);
    if (own.length === 0) return [];
    const chain = exceptionChain(
      owner.network,
      own.map(networkOf),
      excludes.filter(({ ip }) => ip.family === family).map(networkOf),
      family,
    );
    const texts = own.map(({ ip }) => formatIp(ip));
    return {
      table: MASQUERADE[family],
      owner,
      chains: [chain],
      elements: texts.map((text) => ({ set: "containers", key: [text], data: [`goto ${chain.name}`] })),
      addresses: texts,
      rivals: [],
    };
  });
}

function exceptionChain(
  network: string,
  subnets: readonly Prefix[],
  excludes: readonly Prefix[],
  family: Family,
): FirewallChain {
  const names = shorten([...new Set(subnets.map(prefixName))].sort().join("_"), SUBNETS_LIMIT);
  const exceptions = widest([...subnets, ...excludes, MULTICAST[family]]);
  return {
    name: `network_${shorten(network, NETWORK_LIMIT)}_${names}`,
    revision: excludes.length === 0 ? "plain" : digest(excludes.map(formatPrefix).sort().join()),
    rules: [
      ...exceptions.map((prefix) => `${MASQUERADE[family].family} daddr ${formatPrefix(prefix)} return`),
      "masquerade",
    ],
  };
}
