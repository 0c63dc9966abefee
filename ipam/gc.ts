import type { Ip } from "../lib/address.ts";
import type { HeldLease } from "./directory.ts";
import type { Owner } from "./lease.ts";
import type { LeaseStore } from "./store.ts";

/** What a garbage collection did. */
export interface Collected {
  readonly released: readonly Ip[];
  /** One for each lease that could not be removed. */
  readonly failures: readonly unknown[];
}

/** Gives back every lease of the network whose attachment is not in `valid` (CNI spec 1.1.0, GC). A lease of the old
 *  format, which names no interface, stays as long as any attachment of its container is valid. Goes on after a
 *  failure. */
export function collectGarbage(store: LeaseStore, valid: readonly Owner[]): Collected {
  const interfaces = new Map<string, Set<string>>();
  for (const { id, ifname } of valid) interfaces.set(id, (interfaces.get(id) ?? new Set()).add(ifname));
  const isValid = ({ holder: { id, ifname } }: HeldLease) => {
    const names = interfaces.get(id);
    return names !== undefined && (ifname === undefined || names.has(ifname));
  };
  const collected = store.lockedIfPresent((leases) => {
    const released: Ip[] = [];
    const failures: unknown[] = [];
    for (const lease of leases.all().filter((candidate) => !isValid(candidate))) {
      try {
        leases.release(lease);
        released.push(lease.ip);
      } catch (error) {
        failures.push(error);
      }
    }
    return { released, failures };
  });
  return collected ?? { released: [], failures: [] };
}
