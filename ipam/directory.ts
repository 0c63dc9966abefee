import { formatIp, type Ip, tryParseIp } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { FileLock, Files } from "../lib/files.ts";
import { decodeLease, encodeLease, type Holder, LEASE_LIMIT, type Owner } from "./lease.ts";

/** A lease file whose holder is known. */
export interface HeldLease {
  readonly ip: Ip;
  readonly holder: Holder;
}

/** Every lease file of a network, told apart by what is in it. */
export interface Scan {
  readonly held: readonly HeldLease[];
  /** Files with nothing in them: their writer died between create and write. */
  readonly empty: readonly Ip[];
  /** Names that are taken by something that is no lease: a directory, a file above {@link LEASE_LIMIT}. */
  readonly foreign: readonly Ip[];
}

/** Longer than any address, bytes. */
const MARKER_LIMIT = 64;

const text = new TextDecoder();

/** The directory of one network in the layout of the reference host-local: a file named by its text form for each
 *  address, `last_reserved_ip.<set>`, and `lock`, on which every user takes flock(2). Keeps nothing in memory. */
export class NetworkDirectory {
  readonly path: string;
  readonly #files: Files;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.path = path;
  }

  exists(): boolean {
    return this.#files.stat(this.path)?.type === "directory";
  }

  /** Takes the lock, making the directory when it isn't there. Throws `busy` after `waitMs` milliseconds. */
  lock(waitMs: number): FileLock {
    const path = `${this.path}/lock`;
    try {
      return this.#files.lock(path, waitMs);
    } catch (error) {
      if (!(error instanceof NetError) || error.errno !== "ENOENT") throw error;
      this.#files.makeDirectory(this.path);
      return this.#files.lock(path, waitMs);
    }
  }

  /** Reads every lease file: one open and read for each. */
  scan(): Scan {
    const held: HeldLease[] = [];
    const empty: Ip[] = [];
    const foreign: Ip[] = [];
    for (const name of this.#files.list(this.path)) {
      const ip = leaseName(name);
      if (ip === undefined) continue;
      const found = this.read(ip);
      if (found === "empty") empty.push(ip);
      else if (found === "foreign") foreign.push(ip);
      else if (found !== "missing") held.push({ ip, holder: found });
    }
    return { held, empty, foreign };
  }

  /** Who holds `ip`, or why nobody does. */
  read(ip: Ip): Holder | "missing" | "empty" | "foreign" {
    let content: Uint8Array | undefined;
    try {
      content = this.#files.read(this.#file(ip), LEASE_LIMIT);
    } catch (error) {
      const stat = this.#files.stat(this.#file(ip));
      if (stat !== undefined && (stat.type !== "file" || stat.size > LEASE_LIMIT)) return "foreign";
      throw error;
    }
    if (content === undefined) return "missing";
    return decodeLease(content) ?? "empty";
  }

  /** Creates the lease file of `ip`; false when a file of that name exists. */
  create(ip: Ip, owner: Owner): boolean {
    return this.#files.create(this.#file(ip), encodeLease(owner));
  }

  remove(ip: Ip): void {
    this.#files.remove(this.#file(ip));
  }

  /** When the lease file of `ip` was written, nanoseconds since 1970; undefined when it is missing. */
  writtenAt(ip: Ip): bigint | undefined {
    return this.#files.stat(this.#file(ip))?.modifiedNs;
  }

  /** The address that range set `set` handed out last; undefined when none is known. Only the order hangs on it, so a
   *  marker that can't be read is as good as none. */
  lastReserved(set: number): Ip | undefined {
    try {
      return tryParseIp(text.decode(this.#files.read(this.#marker(set), MARKER_LIMIT)).trim());
    } catch {
      return undefined;
    }
  }

  setLastReserved(set: number, ip: Ip): void {
    this.#files.write(this.#marker(set), formatIp(ip));
  }

  #file(ip: Ip): string {
    return `${this.path}/${formatIp(ip)}`;
  }

  #marker(set: number): string {
    return `${this.path}/last_reserved_ip.${set}`;
  }
}

/** The address that a file name stands for. Only the canonical text counts: any other spelling is nobody's lease,
 *  because neither the reference nor we would look for it there. */
function leaseName(name: string): Ip | undefined {
  const ip = tryParseIp(name);
  return ip !== undefined && formatIp(ip) === name ? ip : undefined;
}
