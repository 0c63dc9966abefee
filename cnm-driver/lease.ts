import { completeRangeSets, type RangeSet } from "../ipam/range.ts";
import { type LeaseStore, openStore } from "../ipam/store.ts";
import { contains, firstOf, formatPrefix, lastOf, type Prefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { DockerPool } from "./overlay.ts";

/** Name of the pools of our IPAM driver, by which the network driver knows them. */
export const ADDRESS_SPACE = "dcos-local";
/** Longest wait for the lock of a pool's leases, milliseconds: it is held for less than one. */
const LOCK_WAIT_MS = 5000;

/** Where leases are. */
export interface LeasePlace {
  readonly files: Files;
  /** The directory that CNI keeps its leases in, too. */
  readonly dataDir: string;
  readonly bootId: string;
}

/** The directory of an overlay's Docker leases beside the one of its CNI leases. They are apart because a CNI runtime
 *  that collects garbage gives back every lease of its network that isn't of one of its own containers; the families
 *  because each has its own round-robin marker. An overlay's name has no dot. */
export function leaseNetwork(overlay: string, family: 4 | 6): string {
  return family === 4 ? `${overlay}.docker` : `${overlay}.docker6`;
}

/** The leases of an overlay's Docker containers of one family. */
export function leasesOf(place: LeasePlace, overlay: string, family: 4 | 6): LeaseStore {
  const { dataDir, bootId } = place;
  return openStore(place.files, {
    dataDir,
    network: leaseNetwork(overlay, family),
    bootId,
    lockWaitMs: LOCK_WAIT_MS,
  });
}

/** The addresses of a pool that containers may get, `sub` only when it is given (`--ip-range`). Throws `invalid` when
 *  `sub` isn't inside. */
export function rangeSetOf({ pool, gateway }: DockerPool, sub: Prefix | undefined): readonly RangeSet[] {
  const whole = completeRangeSets([[{ subnet: pool, gateway }]]);
  if (sub === undefined) return whole;
  if (sub.length < pool.length || !contains(pool, sub.ip)) {
    throw new NetError("invalid", {
      tried: `take addresses from ${formatPrefix(sub)}`,
      said: `it is not inside ${formatPrefix(pool)}`,
    });
  }
  const first = firstOf(sub);
  const last = lastOf(sub);
  const clipped = whole.map(([{ start, end }]) => ({
    subnet: pool,
    gateway,
    rangeStart: first.value > start.value ? first : start,
    rangeEnd: last.value < end.value ? last : end,
  }));
  return completeRangeSets([clipped]);
}
