import type { Kernel } from "../kernel/kernel.ts";
import type { Nftables } from "../kernel/nftables.ts";
import { hasErrno, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import {
  additionCommands,
  belongsTo,
  type FirewallEntry,
  type FirewallTable,
  type HeldElement,
  isStale,
  placeOf,
  removal,
} from "./firewall-commands.ts";
import { withFirewallLock } from "./firewall-lock.ts";
import { describeHolder, type Owner, ownerComment } from "./firewall-owner.ts";

/** Makes all entries, at most one of a table, in one transaction. Throws `conflict` naming the holder when another
 *  container has one of their keys, and changes nothing then; what the same owner, or a former holder of its
 *  addresses, has left behind is replaced. */
export function addFirewall(kernel: Kernel, files: Files, entries: readonly FirewallEntry[]): void {
  if (entries.length === 0) return;
  withFirewallLock(files, () => {
    const nft = kernel.nftables;
    try {
      nft.run(entries.flatMap((entry) => (hasRivals(nft, entry) ? replacement(nft, entry) : creation(nft, entry))));
    } catch (error) {
      if (!hasErrno(error, "EEXIST")) throw error;
      nft.run(entries.flatMap((entry) => replacement(nft, entry)));
    }
  });
}

/** Removes all that `owner` has in `tables` and returns it; that there is nothing is fine. */
export function removeFirewall(
  kernel: Kernel,
  files: Files,
  tables: readonly FirewallTable[],
  owner: Owner,
): HeldElement[] {
  return removeWhere(kernel.nftables, files, tables, belongsTo(owner));
}

/** Removes from `tables` what belongs to an attachment to `network` that isn't `valid`, and returns it. */
export function gcFirewall(
  kernel: Kernel,
  files: Files,
  tables: readonly FirewallTable[],
  network: string,
  valid: readonly Omit<Owner, "network">[],
): HeldElement[] {
  return removeWhere(kernel.nftables, files, tables, isStale(network, valid));
}

/** Throws `not-found` naming the first thing of the entries that is missing or belongs to another. */
export function checkFirewall(kernel: Kernel, entries: readonly FirewallEntry[]): void {
  for (const entry of entries) {
    const { table, owner, chains, elements } = entry;
    const present = kernel.nftables.chains(table.family, table.name) ?? [];
    const lost = [...table.chains, ...chains].find(({ name }) => !present.includes(name));
    if (lost !== undefined) throw missing(entry, `chain ${lost.name}`);
    const own = new Set(readTable(kernel.nftables, table, present).filter(belongsTo(owner)).map(identityOf));
    const absent = elements.find((element) => !own.has(identityOf(element)));
    if (absent !== undefined) throw missing(entry, table.describe(absent));
  }
}

function identityOf({ set, key, data }: Omit<HeldElement, "comment">): string {
  return [set, ...key, ":", ...data].join(" ");
}

function missing({ table, owner }: FirewallEntry, what: string): NetError {
  return new NetError("not-found", {
    tried: `find the firewall entries of ${describeHolder(ownerComment(owner))}`,
    said: `table ${placeOf(table)} lacks ${what}`,
    remedy: "somebody has changed the table: restart the container",
  });
}

/** Commands for the usual case, that nobody has any of the keys. */
function creation(nft: Nftables, entry: FirewallEntry): string[] {
  return additionCommands(entry, nft.chains(entry.table.family, entry.table.name));
}

function hasRivals(nft: Nftables, { table, rivals }: FirewallEntry): boolean {
  return [...new Set(rivals.map(({ set }) => set))].some((set) => {
    const held = nft.elements(table.family, table.name, set) ?? [];
    return held.some(({ key }) => rivals.some((rival) => rival.set === set && endsWith(key, rival.suffix)));
  });
}

/** Commands that also remove what has been left behind. Throws `conflict` when one who may be alive stands against
 *  the entry. */
function replacement(nft: Nftables, entry: FirewallEntry): readonly string[] {
  const { table, owner, addresses } = entry;
  const present = nft.chains(table.family, table.name);
  if (present === undefined) return additionCommands(entry, undefined);
  const held = readTable(nft, table, present);
  const reused = held.filter(({ key, data }) => [...key, ...data].some((field) => addresses.includes(field)));
  const left = new Set([ownerComment(owner), ...reused.map(({ comment }) => comment)]);
  const isLeft = ({ comment }: HeldElement) => left.has(comment);
  refuseConflict(
    entry,
    held.filter((element) => !isLeft(element)),
  );
  if (!held.some(isLeft)) return additionCommands(entry, present);
  const cleared = removal(table, held, present, isLeft);
  return [...cleared.commands, ...additionCommands(entry, cleared.left)];
}

function refuseConflict({ table, owner, elements, rivals }: FirewallEntry, others: readonly HeldElement[]): void {
  const wanted = [...elements.map(({ set, key }) => ({ set, suffix: key })), ...rivals];
  const holder = others.find((held) =>
    wanted.some(({ set, suffix }) => set === held.set && endsWith(held.key, suffix)),
  );
  if (holder === undefined) return;
  throw new NetError("conflict", {
    tried: `give ${table.describe(holder)} to ${describeHolder(ownerComment(owner))}`,
    said: `${describeHolder(holder.comment)} holds it`,
    remedy: "stop that container or choose another; if it is gone already, run CNI DEL or GC for it",
  });
}

function endsWith(key: readonly string[], suffix: readonly string[]): boolean {
  const start = key.length - suffix.length;
  return start >= 0 && suffix.every((field, index) => key[start + index] === field);
}

function removeWhere(
  nft: Nftables,
  files: Files,
  tables: readonly FirewallTable[],
  isGone: (element: HeldElement) => boolean,
): HeldElement[] {
  if (tables.every(({ family, name }) => nft.chains(family, name) === undefined)) return [];
  return withFirewallLock(files, () => {
    const removed: HeldElement[] = [];
    const commands = tables.flatMap((table) => {
      const present = nft.chains(table.family, table.name);
      if (present === undefined) return [];
      const held = readTable(nft, table, present);
      const gone = held.filter(isGone);
      removed.push(...gone);
      return gone.length === 0 ? [] : removal(table, held, present, isGone).commands;
    });
    nft.run(commands);
    return removed;
  });
}

function readTable(nft: Nftables, table: FirewallTable, present: readonly string[]): HeldElement[] {
  const { family, name, sets } = table;
  return sets
    .filter(({ onlyWith }) => onlyWith === undefined || present.some((chain) => chain.startsWith(onlyWith)))
    .flatMap((set) => (nft.elements(family, name, set.name) ?? []).map((element) => ({ ...element, set: set.name })));
}
