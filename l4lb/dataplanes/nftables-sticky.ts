import type { Kernel } from "../../kernel/kernel.ts";
import type { NftRawElement } from "../../kernel/nftables.ts";
import type { Family } from "../../lib/address.ts";
import { hasErrno } from "../../lib/error.ts";
import type { Service } from "../service.ts";
import { digitsOf, ownerKey, targetDigits } from "./nftables-elements.ts";
import type { Changed } from "./nftables-owed.ts";
import { L4LB_TABLE } from "./nftables-table.ts";

/** Backends that clients of a service may stay with, as the kernel writes them. */
type Takers = ReadonlySet<string>;

/** Makes the kernel forget which backend a client had, where that backend takes no connections any more. Costs a
 *  reading of the clients of all services with the same affinity, and only when such a backend is among the
 *  changes. */
export function forgetClients(kernel: Kernel, changes: readonly Changed[]): void {
  const maps = new Map<string, Map<string, Takers>>();
  const note = (map: string, { key, after }: Changed): void => {
    const services = maps.get(map) ?? new Map<string, Takers>();
    const stays = after !== undefined && map === stickyMap(after.ip.family, after.affinity);
    services.set(ownerKey(key), stays ? takers(after) : new Set());
    maps.set(map, services);
  };
  const all = changes.some(({ damaged }) => damaged) ? stickyMaps(kernel) : [];
  for (const change of changes) {
    const { key, before, after, damaged } = change;
    if (damaged) for (const map of all) if (map.startsWith(`sticky${key.ip.family}_`)) note(map, change);
    if (before !== undefined && before.affinity > 0 && loses(before, after)) {
      note(stickyMap(before.ip.family, before.affinity), change);
    }
  }
  for (const [map, services] of maps) forgetIn(kernel, map, services);
}

function stickyMap(family: Family, seconds: number): string {
  return `sticky${family}_${seconds}`;
}

function stickyMaps(kernel: Kernel): string[] {
  return (kernel.nftables.outline("inet", L4LB_TABLE)?.sets ?? []).filter((set) => set.startsWith("sticky"));
}

function loses(before: Service, after: Service | undefined): boolean {
  if (after === undefined || after.affinity !== before.affinity) return true;
  const left = takers(after);
  return [...takers(before)].some((taker) => !left.has(taker));
}

function takers({ backends }: Service): Takers {
  return new Set(backends.filter(({ weight }) => weight > 0).map((backend) => targetDigits(backend)));
}

/** The key of a client's element is its address and the service's key. Elements go by themselves when their time is
 *  over, so one that is gone is no failure. */
function forgetIn(kernel: Kernel, set: string, services: ReadonlyMap<string, Takers>): void {
  const doomed = (kernel.nftables.rawElements("inet", L4LB_TABLE, set) ?? []).filter(({ key, data }) => {
    const left = services.get(key.slice(digitsOf(set.startsWith("sticky6") ? 6 : 4)));
    return left !== undefined && data !== undefined && !left.has(data);
  });
  forget(kernel, set, doomed);
}

function forget(kernel: Kernel, set: string, elements: readonly NftRawElement[]): void {
  if (elements.length === 0) return;
  try {
    kernel.nftables.changeElements("inet", L4LB_TABLE, [{ do: "delete", set, elements }]);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
    const middle = elements.length >> 1;
    if (middle === 0) return;
    forget(kernel, set, elements.slice(0, middle));
    forget(kernel, set, elements.slice(middle));
  }
}
