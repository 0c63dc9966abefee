import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lease } from "../../ipam/allocate.ts";
import { completeRangeSets, type RangeSet } from "../../ipam/range.ts";
import { type LeaseStore, openStore } from "../../ipam/store.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { formatPrefix, parseIp, parsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";

export const NETWORK = "net";

/** A data directory of its own under the machine's temporary directory, with one network in it. */
export interface Scratch {
  readonly dataDir: string;
  /** Directory of the network. */
  readonly path: string;
  /** Directory of the network's index. */
  readonly indexPath: string;
  /** The network's store, opened anew as each plugin process does. */
  store(options?: { readonly files?: Files; readonly bootId?: string }): LeaseStore;
  /** What a user of the layout sees: file name → content, without the lock and the markers. */
  leases(): Record<string, string>;
  remove(): void;
}

export function makeScratch(): Scratch {
  const dataDir = mkdtempSync(join(tmpdir(), "dcos-net-ipam-"));
  const path = join(dataDir, NETWORK);
  return {
    dataDir,
    path,
    indexPath: join(dataDir, ".dcos-net", NETWORK),
    store: ({ files = linuxFiles, bootId = "boot-1" } = {}) =>
      openStore(files, { dataDir, network: NETWORK, bootId, lockWaitMs: 1000 }),
    leases: () =>
      Object.fromEntries(
        readdirSync(path)
          .filter((name) => name !== "lock" && !name.startsWith("last_reserved_ip."))
          .map((name) => [name, readFileSync(join(path, name), "utf8")]),
      ),
    remove: () => rmSync(dataDir, { recursive: true, force: true }),
  };
}

/** Range sets written as text: each set a list of `subnet`, or `subnet start-end`, with ` via gateway` at the end of
 *  either. */
export function rangeSets(...sets: readonly (readonly string[])[]): readonly RangeSet[] {
  return completeRangeSets(
    sets.map((set) =>
      set.map((range) => {
        const [subnetAndEnds = "", gateway] = range.split(" via ");
        const [subnet = "", ends] = subnetAndEnds.split(" ");
        const [start, end] = ends?.split("-") ?? [];
        return {
          subnet: parsePrefix(subnet),
          ...(start === undefined ? {} : { rangeStart: parseIp(start) }),
          ...(end === undefined ? {} : { rangeEnd: parseIp(end) }),
          ...(gateway === undefined ? {} : { gateway: parseIp(gateway) }),
        };
      }),
    ),
  );
}

export function addresses(leases: readonly Lease[]): readonly string[] {
  return leases.map(({ address }) => formatPrefix(address));
}

/** The NetError that `action` throws; fails when it throws none. */
export function netErrorOf(action: () => unknown): NetError {
  try {
    action();
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
  throw new Error("expected a NetError, but nothing was thrown");
}
