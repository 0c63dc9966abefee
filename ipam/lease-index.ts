import { formatIp, type Ip, tryParseIp } from "../lib/address.ts";
import type { Files } from "../lib/files.ts";
import type { HeldLease, NetworkDirectory, Scan } from "./directory.ts";
import { sameHolder } from "./lease.ts";

/** Files that the leases are spread over by container id. 20,000 leases make 80 a file. */
const SHARDS = 256;
/** Addresses of one page, one byte each: one read tells the state of a /19. */
const PAGE_BITS = 13n;
const PAGE = 1 << Number(PAGE_BITS);
const VERSION = 1;

/** What the index was made for. It is used only while all of this still holds. */
interface Header {
  /** Boot id under which the leases in the index were known. */
  readonly boot: string;
  /** Of the network's directory. */
  readonly inode: bigint;
  readonly modifiedNs: bigint;
  /** Shards that have a file, so that a lost file is noticed. */
  readonly shards: ReadonlySet<number>;
}

const text = new TextDecoder();

/** A cache beside a network's directory that answers "what does this container hold" and "which address is free next" with a
 *  few small reads, however many leases there are. Nothing relies on it being right: whoever uses an answer verifies it at
 *  the lease file, and makes a new index from all files where they differ.
 *
 *  It is out of date when the directory's inode or modification time is not the recorded one. File systems stamp changes with
 *  a clock that may stand still for 4 ms, so a later change could leave the same time; therefore {@link save} sets the
 *  directory's time to a moment in the past, which no later change produces.
 *
 *  Files, in a directory of its own because the reference walks and reads all that is below a network's directory:
 *  `header.json`; `owners-<n>`, a checksum line and a JSON array of [address, id, interface or null] for the containers whose
 *  id hashes to n; `used-<address>`, a byte for each of the 8192 addresses from that one, 1 when a file has its name. */
export class LeaseIndex {
  readonly #files: Files;
  readonly #path: string;
  readonly #shards = new Map<number, HeldLease[]>();
  readonly #pages = new Map<string, Uint8Array>();
  readonly #changedShards = new Set<number>();
  readonly #changedPages = new Set<string>();
  readonly #existingShards: Set<number>;
  /** True when made from a scan: what is not in memory does not exist, and every file must be written. */
  readonly #complete: boolean;

  private constructor(files: Files, path: string, existingShards: ReadonlySet<number>, complete: boolean) {
    this.#files = files;
    this.#path = path;
    this.#existingShards = new Set(existingShards);
    this.#complete = complete;
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
  static of(files: Files, path: string, scan: Scan): LeaseIndex {
    const index = new LeaseIndex(files, path, new Set(), true);
    for (const lease of scan.held) index.add(lease);
    for (const ip of scan.foreign) index.markUsed(ip);
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
      const start = offsetInPage(value);
      const free = this.#page({ family, value }).indexOf(0, start);
      if (free < 0) continue;
      const found = value + BigInt(free - start);
      return found <= to.value ? { family, value: found } : undefined;
    }
    return undefined;
  }

  add(lease: HeldLease): void {
    const shard = shardOf(lease.holder.id);
    this.#shard(shard)?.push(lease);
    this.#changedShards.add(shard);
    this.markUsed(lease.ip);
  }

  /** Takes note that a file is named after `ip`, whoever made it. */
  markUsed(ip: Ip): void {
    this.#page(ip)[offsetInPage(ip.value)] = 1;
    this.#changedPages.add(pageOf(ip));
  }

  delete({ ip, holder }: HeldLease): void {
    const shard = shardOf(holder.id);
    const leases = this.#shard(shard);
    const at = leases?.findIndex((lease) => lease.ip.family === ip.family && lease.ip.value === ip.value) ?? -1;
    if (at >= 0) leases?.splice(at, 1);
    this.#changedShards.add(shard);
    this.#page(ip)[offsetInPage(ip.value)] = 0;
    this.#changedPages.add(pageOf(ip));
  }

  /** Writes what changed and stamps the directory. Order matters to a crash: until the last step the directory's time differs
   *  from the header's, and a half-written index counts as out of date. */
  save(directory: NetworkDirectory, bootId: string): void {
    if (!this.#complete && this.#changedShards.size === 0 && this.#changedPages.size === 0) return;
    const stat = this.#files.stat(directory.path);
    if (stat === undefined) return;
    const header = { boot: bootId, inode: stat.inode, modifiedNs: stampInThePast(), shards: this.#existingShards };
    if (this.#complete) {
      this.#files.makeDirectory(this.#path);
      this.#write("header.json", encodeHeader({ ...header, modifiedNs: 0n }));
      this.#removeForgotten();
    }
    for (const shard of this.#changedShards) this.#writeShard(shard);
    for (const page of this.#changedPages) this.#writePage(page);
    this.#write("header.json", encodeHeader(header));
    this.#files.touch(directory.path, header.modifiedNs);
  }

  /** Files of an older index that this one has no content for. */
  #removeForgotten(): void {
    for (const name of this.#files.list(this.#path)) {
      if (name.startsWith("owners-") || name.startsWith("used-")) this.#files.remove(`${this.#path}/${name}`);
    }
  }

  #writeShard(shard: number): void {
    const leases = this.#shards.get(shard) ?? [];
    if (leases.length > 0) {
      this.#write(shardFile(shard), encodeShard(leases));
      this.#existingShards.add(shard);
    } else {
      this.#files.remove(`${this.#path}/${shardFile(shard)}`);
      this.#existingShards.delete(shard);
    }
  }

  #writePage(page: string): void {
    const bytes = this.#pages.get(page) ?? new Uint8Array();
    const length = bytes.lastIndexOf(1) + 1;
    if (length > 0) this.#write(page, bytes.subarray(0, length));
    else this.#files.remove(`${this.#path}/${page}`);
  }

  #write(name: string, content: string | Uint8Array): void {
    this.#files.write(`${this.#path}/${name}`, content);
  }

  #shard(shard: number): HeldLease[] | undefined {
    const known = this.#shards.get(shard);
    if (known !== undefined) return known;
    const loaded = this.#existingShards.has(shard) ? readShard(this.#files, this.#path, shard) : [];
    if (loaded !== undefined) this.#shards.set(shard, loaded);
    return loaded;
  }

  #page(ip: Ip): Uint8Array {
    const name = pageOf(ip);
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    const page = new Uint8Array(PAGE);
    const stored = this.#complete ? undefined : readCache(this.#files, `${this.#path}/${name}`);
    if (stored !== undefined && stored.length <= PAGE) page.set(stored);
    this.#pages.set(name, page);
    return page;
  }
}

/** The leases among `held` that belong to an earlier boot: the index in `path` knew them, with this holder, under another boot
 *  id. A lease that the index never saw is not guessed to be old. */
export function earlierBootLeases(
  files: Files,
  path: string,
  bootId: string,
  held: readonly HeldLease[],
): readonly HeldLease[] {
  if (!madeInEarlierBoot(files, path, bootId)) return [];
  const known = new Map<string, HeldLease>();
  for (let shard = 0; shard < SHARDS; shard++) {
    for (const lease of readShard(files, path, shard) ?? []) known.set(formatIp(lease.ip), lease);
  }
  return held.filter(({ ip, holder }) => {
    const before = known.get(formatIp(ip));
    return before !== undefined && sameHolder(before.holder, holder);
  });
}

/** True when there is an index and another boot made it. */
export function madeInEarlierBoot(files: Files, path: string, bootId: string): boolean {
  const header = readHeader(files, path);
  return header !== undefined && header.boot !== bootId;
}

/** Two seconds ago and a random part of a millisecond: nobody's later change gets this time, nor did our own last one. */
function stampInThePast(): bigint {
  return BigInt(Date.now() - 2000) * 1_000_000n + BigInt(Math.floor(Math.random() * 1_000_000));
}

function shardOf(id: string): number {
  return Bun.hash.crc32(id) % SHARDS;
}

function shardFile(shard: number): string {
  return `owners-${shard}`;
}

function pageOf({ family, value }: Ip): string {
  return `used-${formatIp({ family, value: (value >> PAGE_BITS) << PAGE_BITS })}`;
}

function offsetInPage(value: bigint): number {
  return Number(value & BigInt(PAGE - 1));
}

function encodeShard(leases: readonly HeldLease[]): string {
  const rows = leases.map(({ ip, holder }) => [formatIp(ip), holder.id, holder.ifname ?? null]);
  return withChecksum(JSON.stringify(rows));
}

function readShard(files: Files, path: string, shard: number): HeldLease[] | undefined {
  const rows = readChecked(files, `${path}/${shardFile(shard)}`);
  if (!Array.isArray(rows)) return undefined;
  const leases = rows.map(leaseOfRow);
  return leases.every((lease) => lease !== undefined) ? leases : undefined;
}

function leaseOfRow(row: unknown): HeldLease | undefined {
  if (!Array.isArray(row)) return undefined;
  const [address, id, ifname]: unknown[] = row;
  const ip = typeof address === "string" ? tryParseIp(address) : undefined;
  if (ip === undefined || typeof id !== "string") return undefined;
  if (ifname !== null && typeof ifname !== "string") return undefined;
  return { ip, holder: { id, ifname: ifname ?? undefined } };
}

function encodeHeader({ boot, inode, modifiedNs, shards }: Header): string {
  return withChecksum(
    JSON.stringify({ version: VERSION, boot, inode: `${inode}`, modifiedNs: `${modifiedNs}`, shards: [...shards] }),
  );
}

function readHeader(files: Files, path: string): Header | undefined {
  const header = readChecked(files, `${path}/header.json`);
  if (typeof header !== "object" || header === null || !("version" in header) || header.version !== VERSION) {
    return undefined;
  }
  if (!("boot" in header) || typeof header.boot !== "string") return undefined;
  if (!("inode" in header) || typeof header.inode !== "string") return undefined;
  if (!("modifiedNs" in header) || typeof header.modifiedNs !== "string") return undefined;
  if (!("shards" in header) || !Array.isArray(header.shards)) return undefined;
  const shards: unknown[] = header.shards;
  return {
    boot: header.boot,
    inode: BigInt(header.inode),
    modifiedNs: BigInt(header.modifiedNs),
    shards: new Set(shards.filter((shard) => typeof shard === "number")),
  };
}

/** A line with the checksum of the rest, so that a truncated or damaged file is never taken for a shorter list of leases. */
function withChecksum(body: string): string {
  return `${Bun.hash.crc32(body).toString(16)}\n${body}`;
}

/** The JSON value of a file with a right checksum line, else undefined. */
function readChecked(files: Files, path: string): unknown {
  const bytes = readCache(files, path);
  if (bytes === undefined) return undefined;
  const content = text.decode(bytes);
  const cut = content.indexOf("\n");
  const body = content.slice(cut + 1);
  if (cut < 0 || content.slice(0, cut) !== Bun.hash.crc32(body).toString(16)) return undefined;
  return JSON.parse(body);
}

/** Content of one of the index's files, undefined when it is missing or something else has its name. */
function readCache(files: Files, path: string): Uint8Array | undefined {
  return files.stat(path)?.type === "file" ? files.read(path) : undefined;
}
