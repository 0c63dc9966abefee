import { equalIp, formatIp, type Ip } from "../lib/address.ts";
import type { Files } from "../lib/files.ts";
import type { HeldLease, NetworkDirectory, Scan } from "./directory.ts";
import { decodeHeader, decodeLeases, encodeHeader, encodeLeases, type IndexHeader } from "./index-file.ts";
import { sameHolder } from "./lease.ts";

/** Files that the leases are spread over by container id. 20,000 leases make 80 a file. */
const SHARDS = 256;
/** Addresses of one page, one byte each: one read tells the state of a /19. */
const PAGE_BITS = 13n;
const PAGE = 1 << Number(PAGE_BITS);
const PAGE_MASK = BigInt(PAGE - 1);
const NOTHING = new Uint8Array();
/** How much older than its last change we make the directory look: nobody's later change gets such a time. */
const STAMP_AGE_NS = 2_000_000_000n;
const HEADER = "header";
const SHARD_PREFIX = "owners-";

/** A cache beside a network's directory that answers "what does this container hold" and "which address is free next"
 *  with a few small reads, however many leases there are. Nothing relies on it being right: whoever uses an answer
 *  verifies it at the lease file, and makes a new index from all files where they differ.
 *
 *  It is out of date when the directory's inode or modification time is not the recorded one. File systems stamp
 *  changes with a clock that may stand still for 4 ms, so a later change could leave the same time; therefore {@link
 *  save} sets the directory's time to a moment in the past, which no later change produces.
 *
 *  Files, in a directory of its own because the reference walks and reads all that is below a network's directory:
 *  `header`; `owners-<n>`, the leases of the containers whose id hashes to n; `used-<address>`, a byte for each of the
 *  8192 addresses from that one, 1 when a file is named after it. */
export class LeaseIndex {
  readonly #files: Files;
  readonly #path: string;
  readonly #shards = new Map<number, HeldLease[]>();
  readonly #pages = new Map<string, Uint8Array>();
  readonly #changedShards = new Set<number>();
  readonly #changedPages = new Set<string>();
  readonly #existingShards: Set<number>;
  /** True when made from a scan: what is not in memory does not exist, and every file must be written. */
  readonly #fromScan: boolean;

  private constructor(files: Files, path: string, existingShards: readonly number[], fromScan: boolean) {
    this.#files = files;
    this.#path = path;
    this.#existingShards = new Set(existingShards);
    this.#fromScan = fromScan;
  }

  /** The index in `path` when it was made in this boot and still fits the directory, else undefined. */
  static open(files: Files, path: string, directory: NetworkDirectory, bootId: string): LeaseIndex | undefined {
    const header = readHeader(files, path);
    if (header === undefined || header.boot !== bootId) return undefined;
    const stat = files.stat(directory.path);
    if (stat === undefined || stat.inode !== header.inode || stat.modifiedNs !== header.modifiedNs) return undefined;
    return new LeaseIndex(files, path, header.shards, false);
  }

  /** An index of exactly what a scan found. */
  static fromScan(files: Files, path: string, scan: Scan): LeaseIndex {
    const index = new LeaseIndex(files, path, [], true);
    for (const lease of scan.held) index.add(lease);
    for (const ip of scan.foreign) index.#mark(ip, 1);
    return index;
  }

  /** The leases of one container; undefined when the file that holds them is lost or damaged. */
  leasesOf(id: string): readonly HeldLease[] | undefined {
    return this.#shard(shardOf(id))?.filter(({ holder }) => holder.id === id);
  }

  isUsed(ip: Ip): boolean {
    return this.#page(ip)[offsetInPage(ip.value)] === 1;
  }

  /** The lowest address from `from` to `to` that no file is named after. */
  firstFree(from: Ip, to: Ip): Ip | undefined {
    const { family } = from;
    for (let value = from.value; value <= to.value; value = ((value >> PAGE_BITS) + 1n) << PAGE_BITS) {
      const offset = offsetInPage(value);
      const free = this.#page({ family, value }).indexOf(0, offset);
      if (free < 0) continue;
      const found = value + BigInt(free - offset);
      return found <= to.value ? { family, value: found } : undefined;
    }
    return undefined;
  }

  /** Enters a lease. {@link leasesOf} must have answered for its container before. */
  add(lease: HeldLease): void {
    this.#shardToChange(lease).push(lease);
    this.#mark(lease.ip, 1);
  }

  /** Strikes a lease that {@link leasesOf} gave. */
  delete(lease: HeldLease): void {
    const leases = this.#shardToChange(lease);
    const at = leases.findIndex(({ ip }) => equalIp(ip, lease.ip));
    if (at >= 0) leases.splice(at, 1);
    this.#mark(lease.ip, 0);
  }

  /** Writes what changed and stamps the directory. Order matters to a crash: until the last step the directory's time
   *  differs from the header's, and a half-written index counts as out of date. */
  save(directory: NetworkDirectory, bootId: string): void {
    if (!this.#fromScan && this.#changedPages.size === 0) return;
    const stat = this.#files.stat(directory.path);
    if (stat === undefined) return;
    const stamp = stat.modifiedNs - STAMP_AGE_NS;
    if (this.#fromScan) this.#clear({ boot: bootId, inode: stat.inode, modifiedNs: 0n, shards: [] });
    for (const shard of this.#changedShards) this.#writeShard(shard);
    for (const page of this.#changedPages) this.#writePage(page);
    const shards = [...this.#existingShards];
    this.#write(HEADER, encodeHeader({ boot: bootId, inode: stat.inode, modifiedNs: stamp, shards }));
    this.#files.touch(directory.path, stamp);
  }

  /** Declares whatever is in the index's directory out of date, then removes it. */
  #clear(header: IndexHeader): void {
    this.#files.makeDirectory(this.#path, 0o700);
    this.#write(HEADER, encodeHeader(header));
    for (const name of this.#files.list(this.#path)) {
      if (name !== HEADER) this.#files.remove(`${this.#path}/${name}`);
    }
  }

  #writeShard(shard: number): void {
    const leases = this.#shards.get(shard) ?? [];
    if (leases.length > 0) {
      this.#write(shardFile(shard), encodeLeases(leases));
      this.#existingShards.add(shard);
    } else {
      this.#files.remove(`${this.#path}/${shardFile(shard)}`);
      this.#existingShards.delete(shard);
    }
  }

  #writePage(name: string): void {
    const page = this.#pages.get(name) ?? NOTHING;
    const length = page.lastIndexOf(1) + 1;
    if (length > 0) this.#write(name, page.subarray(0, length));
    else this.#files.remove(`${this.#path}/${name}`);
  }

  #write(name: string, content: string | Uint8Array): void {
    this.#files.write(`${this.#path}/${name}`, content);
  }

  #shard(shard: number): HeldLease[] | undefined {
    const known = this.#shards.get(shard);
    if (known !== undefined) return known;
    const loaded = this.#existingShards.has(shard) ? readShard(this.#files, `${this.#path}/${shardFile(shard)}`) : [];
    if (loaded !== undefined) this.#shards.set(shard, loaded);
    return loaded;
  }

  #shardToChange({ holder }: HeldLease): HeldLease[] {
    const shard = shardOf(holder.id);
    const leases = this.#shard(shard);
    if (leases === undefined) throw new Error(`lease index changed before its file ${shardFile(shard)} could be read`);
    this.#changedShards.add(shard);
    return leases;
  }

  #mark(ip: Ip, used: 0 | 1): void {
    this.#page(ip)[offsetInPage(ip.value)] = used;
    this.#changedPages.add(pageOf(ip));
  }

  #page(ip: Ip): Uint8Array {
    const name = pageOf(ip);
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    const page = new Uint8Array(PAGE);
    const stored = this.#fromScan ? undefined : cached(() => this.#files.read(`${this.#path}/${name}`, PAGE));
    if (stored !== undefined) page.set(stored);
    this.#pages.set(name, page);
    return page;
  }
}

/** True when there is an index and it was made under another boot id. */
export function madeInEarlierBoot(files: Files, path: string, bootId: string): boolean {
  const header = readHeader(files, path);
  return header !== undefined && header.boot !== bootId;
}

/** The leases among `held` that belong to an earlier boot: the index in `path` knew them, with this holder, under
 *  another boot id, and their file was not written again since. A lease that the index never saw is not guessed to be
 *  old. */
export function earlierBootLeases(
  files: Files,
  path: string,
  directory: NetworkDirectory,
  bootId: string,
  held: readonly HeldLease[],
): readonly HeldLease[] {
  const savedAt = files.stat(`${path}/${HEADER}`)?.modifiedNs;
  if (savedAt === undefined || !madeInEarlierBoot(files, path, bootId)) return [];
  const known = new Map<string, HeldLease>();
  for (const name of files.list(path).filter(isShardFile)) {
    for (const lease of readShard(files, `${path}/${name}`) ?? []) known.set(formatIp(lease.ip), lease);
  }
  return held.filter(({ ip, holder }) => {
    const before = known.get(formatIp(ip));
    if (before === undefined || !sameHolder(before.holder, holder)) return false;
    const writtenAt = directory.writtenAt(ip);
    return writtenAt !== undefined && writtenAt <= savedAt;
  });
}

function shardOf(id: string): number {
  return Bun.hash.crc32(id) % SHARDS;
}

function shardFile(shard: number): string {
  return `${SHARD_PREFIX}${shard}`;
}

function isShardFile(name: string): boolean {
  return name.startsWith(SHARD_PREFIX);
}

function pageOf({ family, value }: Ip): string {
  return `used-${formatIp({ family, value: (value >> PAGE_BITS) << PAGE_BITS })}`;
}

function offsetInPage(value: bigint): number {
  return Number(value & PAGE_MASK);
}

function readHeader(files: Files, path: string): IndexHeader | undefined {
  return cached(() => decodeHeader(files.read(`${path}/${HEADER}`, PAGE) ?? NOTHING));
}

function readShard(files: Files, path: string): HeldLease[] | undefined {
  return cached(() => decodeLeases(files.read(path) ?? NOTHING));
}

/** What could be read of the index. A file that can't be read is as good as none: the index is made again. */
function cached<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
