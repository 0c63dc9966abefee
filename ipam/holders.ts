import type { Ip } from "../lib/address.ts";
import type { HeldLease } from "./directory.ts";

/** A container and how many addresses it holds. */
export interface HolderCount {
  readonly id: string;
  readonly addresses: number;
}

/** Enough to see who fills a pool, few enough for one line. */
const SHOWN = 3;

/** The three containers with most addresses; among equals those that have held one the longest, by `writtenAt` in
 *  nanoseconds. */
export function largestHolders(
  leases: readonly HeldLease[],
  writtenAt: (ip: Ip) => bigint | undefined,
): readonly HolderCount[] {
  const held = new Map<string, Ip[]>();
  for (const { ip, holder } of leases) {
    const ips = held.get(holder.id);
    if (ips === undefined) held.set(holder.id, [ip]);
    else ips.push(ip);
  }
  const largest = [...held].sort(([, a], [, b]) => b.length - a.length);
  const least = largest[SHOWN - 1]?.[1].length ?? 0;
  return largest
    .filter(([, ips]) => ips.length >= least)
    .map(([id, ips]) => ({ id, addresses: ips.length, since: oldest(ips, writtenAt) }))
    .sort((a, b) => b.addresses - a.addresses || (a.since < b.since ? -1 : 1))
    .slice(0, SHOWN)
    .map(({ id, addresses }) => ({ id, addresses }));
}

/** `web-1 (3 addresses), web-2 (2 addresses)`; where each holds one, that is said once and these are the oldest. */
export function formatHolders(holders: readonly HolderCount[]): string {
  if (holders.length === 0) return "no container holds any";
  if (holders.every(({ addresses }) => addresses === 1)) {
    return `each container holds one, the oldest: ${holders.map(({ id }) => id).join(", ")}`;
  }
  const counts = holders.map(
    ({ id, addresses }) => `${id} (${addresses} ${addresses === 1 ? "address" : "addresses"})`,
  );
  return `largest holders: ${counts.join(", ")}`;
}

function oldest(ips: readonly Ip[], writtenAt: (ip: Ip) => bigint | undefined): bigint {
  const [first = 0n] = ips.map((ip) => writtenAt(ip) ?? 0n).sort((a, b) => (a < b ? -1 : 1));
  return first;
}
