import type { Ip } from "../lib/address.ts";
import type { Files } from "../lib/files.ts";
import { type HolderCount, largestHolders } from "./holders.ts";
import { formatSet, isGateway, type RangeSet, rangeFor, sizeOfSet } from "./range.ts";
import type { LeaseStore } from "./store.ts";

/** How full one range set is. `size` is `used` + `orphaned` + `free`. */
export interface SetUsage {
  /** `10.1.0.1-10.1.0.254`, ranges separated by commas. */
  readonly ranges: string;
  /** Addresses that the set can hand out. */
  readonly size: bigint;
  readonly used: number;
  /** Left by a crash or an earlier boot; the next allocation gives them back. */
  readonly orphaned: number;
  readonly free: bigint;
  readonly holders: readonly HolderCount[];
}

/** How full a network is, over all lease files that are there, whatever the ranges. */
export interface Usage {
  readonly network: string;
  readonly used: number;
  readonly orphaned: number;
  /** Largest three. */
  readonly holders: readonly HolderCount[];
  /** One for each range set given. */
  readonly sets: readonly SetUsage[];
}

/** Names of the networks that have leases or had some, sorted. */
export function networks(files: Files, dataDir: string): readonly string[] {
  const names = files.list(dataDir).filter((name) => !name.startsWith("."));
  return names.filter((name) => files.stat(`${dataDir}/${name}`)?.type === "directory").sort();
}

/** Counts a network's addresses and changes nothing. Without range sets only the totals are known. */
export function usage(store: LeaseStore, sets: readonly RangeSet[] = []): Usage {
  const survey = store.survey() ?? { held: [], empty: [], foreign: [], earlierBoot: [] };
  const old = new Set(survey.earlierBoot);
  const live = survey.held.filter((lease) => !old.has(lease));
  const used = [...live.map(({ ip }) => ip), ...survey.foreign];
  const orphaned = [...survey.earlierBoot.map(({ ip }) => ip), ...survey.empty];
  const writtenAt = (ip: Ip) => store.writtenAt(ip);
  return {
    network: store.network,
    used: used.length,
    orphaned: orphaned.length,
    holders: largestHolders(live, writtenAt),
    sets: sets.map((set) => {
      const counts = { used: inSet(set, used), orphaned: inSet(set, orphaned) };
      const size = sizeOfSet(set);
      const holders = largestHolders(
        live.filter(({ ip }) => rangeFor(set, ip) !== undefined),
        writtenAt,
      );
      return { ranges: formatSet(set), size, ...counts, free: size - BigInt(counts.used + counts.orphaned), holders };
    }),
  };
}

/** Gateways are left out as they are in the set's size: a lease file for one was made by somebody else. */
function inSet(set: RangeSet, ips: readonly Ip[]): number {
  return ips.filter((ip) => rangeFor(set, ip) !== undefined && !isGateway(set, ip)).length;
}
