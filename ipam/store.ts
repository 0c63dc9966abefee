import { compareIp, type Ip } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { type HeldLease, NetworkDirectory, type Scan } from "./directory.ts";
import { type Owner, sameHolder } from "./lease.ts";
import { earlierBootLeases, LeaseIndex, madeInEarlierBoot } from "./lease-index.ts";

export interface StoreOptions {
  /** Directory of all networks; the reference's default is `/var/lib/cni/networks`. */
  readonly dataDir: string;
  /** Network name, CNI grammar: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 255 bytes because it is a file name. */
  readonly network: string;
  /** Content of /proc/sys/kernel/random/boot_id: leases of another boot belong to containers that no longer run. */
  readonly bootId: string;
  /** How long to wait for the network's lock, milliseconds. */
  readonly lockWaitMs: number;
}

/** A network's leases as they lie on disk, with those that the next change will give back. */
export interface Survey extends Scan {
  /** The part of `held` that is of an earlier boot. */
  readonly earlierBoot: readonly HeldLease[];
}

/** Name of the directory beside the networks where the indexes are. A network's name can't begin with a dot. */
const INDEX_DIRECTORY = ".dcos-net";

/** Where the indexes of the networks below `dataDir` are. */
export function indexDirectory(dataDir: string): string {
  return `${dataDir}/${INDEX_DIRECTORY}`;
}

/** The leases of one network. Opening costs nothing; every operation takes the lock that the reference takes. Throws
 *  `invalid` for a name that can't be a directory's. */
export function openStore(files: Files, options: StoreOptions): LeaseStore {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(options.network)) {
    throw new NetError("invalid", {
      tried: `open the leases of network ${JSON.stringify(options.network.slice(0, 100))}`,
      said: "a network's name is a letter or digit, then letters, digits, _, . and -, at most 255 together",
    });
  }
  return new LeaseStore(files, options);
}

export class LeaseStore {
  readonly network: string;
  readonly #files: Files;
  readonly #options: StoreOptions;
  readonly #directory: NetworkDirectory;
  readonly #indexPath: string;

  constructor(files: Files, options: StoreOptions) {
    this.network = options.network;
    this.#files = files;
    this.#options = options;
    this.#directory = new NetworkDirectory(files, `${options.dataDir}/${options.network}`);
    this.#indexPath = `${indexDirectory(options.dataDir)}/${options.network}`;
  }

  /** Runs `action` on the leases under the lock, making the network's directory when it isn't there. The first call of
   *  a boot gives back what the boot before left. */
  locked<T>(action: (leases: Leases) => T): T {
    const lock = this.#directory.lock(this.#options.lockWaitMs);
    try {
      const leases = new Leases(this.#files, this.#directory, this.#indexPath, this.#options.bootId);
      try {
        return action(leases);
      } finally {
        leases.save();
      }
    } finally {
      lock.release();
    }
  }

  /** Like {@link locked}, but does nothing and returns undefined when the network has no directory. */
  lockedIfPresent<T>(action: (leases: Leases) => T): T | undefined {
    return this.#directory.exists() ? this.locked(action) : undefined;
  }

  /** Reads everything and changes nothing; undefined when the network has no directory. */
  survey(): Survey | undefined {
    if (!this.#directory.exists()) return undefined;
    const lock = this.#directory.lock(this.#options.lockWaitMs);
    try {
      const scan = this.#directory.scan();
      const { bootId } = this.#options;
      const earlierBoot = earlierBootLeases(this.#files, this.#indexPath, this.#directory, bootId, scan.held);
      return { ...scan, earlierBoot };
    } finally {
      lock.release();
    }
  }

  /** When the lease of `ip` was written, nanoseconds since 1970; undefined when there is none. */
  writtenAt(ip: Ip): bigint | undefined {
    return this.#directory.writtenAt(ip);
  }
}

/** A network's leases while the lock is held. The files are the truth; the index only says where to look. */
export class Leases {
  readonly #files: Files;
  readonly #directory: NetworkDirectory;
  readonly #indexPath: string;
  readonly #bootId: string;
  #index: LeaseIndex;

  constructor(files: Files, directory: NetworkDirectory, indexPath: string, bootId: string) {
    this.#files = files;
    this.#directory = directory;
    this.#indexPath = indexPath;
    this.#bootId = bootId;
    this.#index = LeaseIndex.open(files, indexPath, directory, bootId) ?? this.#scan().index;
  }

  /** The leases of one container, all interfaces, as their files say; in order of addresses. */
  of(id: string): readonly HeldLease[] {
    const listed = this.#index.leasesOf(id);
    const leases = listed?.every((lease) => this.#isHeld(lease))
      ? listed
      : this.all().filter(({ holder }) => holder.id === id);
    return leases.toSorted((a, b) => compareIp(a.ip, b.ip));
  }

  /** Every lease, read from the files; the index is made again from them. */
  all(): readonly HeldLease[] {
    const { index, held } = this.#scan();
    this.#index = index;
    return held;
  }

  /** The lowest address from `from` to `to` that seems free; {@link reserve} tells for sure. */
  firstFree(from: Ip, to: Ip): Ip | undefined {
    return this.#index.firstFree(from, to);
  }

  /** Writes a lease; false when the address is taken. Call {@link of} for the owner's container first. */
  reserve(ip: Ip, owner: Owner): boolean {
    if (this.#create(ip, owner)) {
      this.#index.add({ ip, holder: owner });
      return true;
    }
    if (!this.#index.isUsed(ip)) this.all();
    return false;
  }

  /** Gives back a lease that {@link of}, {@link all} or {@link reserve} told of under this lock. */
  release(lease: HeldLease): void {
    this.#directory.remove(lease.ip);
    this.#index.delete(lease);
  }

  lastReserved(set: number): Ip | undefined {
    return this.#directory.lastReserved(set);
  }

  setLastReserved(set: number, ip: Ip): void {
    this.#directory.setLastReserved(set, ip);
  }

  save(): void {
    try {
      this.#index.save(this.#directory, this.#bootId);
    } catch {
      // The leases are written; without its index the next operation only takes longer. A full disk must not fail a
      // DEL.
    }
  }

  /** Reads all files into a new index. Files without content are given back: we hold the lock, so their writer is
   *  dead. */
  #scan(): { index: LeaseIndex; held: readonly HeldLease[] } {
    const scan = this.#directory.scan();
    for (const ip of scan.empty) this.#directory.remove(ip);
    if (madeInEarlierBoot(this.#files, this.#indexPath, this.#bootId)) return this.#endEarlierBoot(scan);
    return { index: LeaseIndex.fromScan(this.#files, this.#indexPath, scan), held: scan.held };
  }

  /** Gives back the leases of an earlier boot. The new index is written at once, and failing that nothing goes on: if a
   *  container got its old address again while the old index stayed, the next operation would take it for an old
   *  lease. */
  #endEarlierBoot(scan: Scan): { index: LeaseIndex; held: readonly HeldLease[] } {
    const files = this.#files;
    const old = new Set(earlierBootLeases(files, this.#indexPath, this.#directory, this.#bootId, scan.held));
    for (const { ip } of old) this.#directory.remove(ip);
    const held = scan.held.filter((lease) => !old.has(lease));
    const index = LeaseIndex.fromScan(files, this.#indexPath, { ...scan, held });
    index.save(this.#directory, this.#bootId);
    return { index: LeaseIndex.open(files, this.#indexPath, this.#directory, this.#bootId) ?? index, held };
  }

  #isHeld({ ip, holder }: HeldLease): boolean {
    const found = this.#directory.read(ip);
    return typeof found === "object" && sameHolder(found, holder);
  }

  #create(ip: Ip, owner: Owner): boolean {
    if (this.#directory.create(ip, owner)) return true;
    if (this.#directory.read(ip) !== "empty") return false;
    this.#directory.remove(ip);
    return this.#directory.create(ip, owner);
  }
}
