import { lookup } from "node:dns/promises";
import { formatIp, tryParseIp } from "../../lib/address.ts";

/** Resolves what are not addresses, each once; a host that has none gives none. The function that comes back knows all
 *  of them. */
export async function resolveHosts(hosts: Iterable<string>): Promise<(host: string) => readonly string[]> {
  const known = new Map<string, readonly string[]>();
  await Promise.all([...new Set(hosts)].map(async (host) => known.set(host, await addressesOf(host))));
  return (host) => known.get(host) ?? [];
}

async function addressesOf(host: string): Promise<readonly string[]> {
  const ip = tryParseIp(host);
  if (ip !== undefined) return [formatIp(ip)];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}
