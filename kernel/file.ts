import { cString, fromCString } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import type { FileLock, FileStat, Files } from "../lib/files.ts";
import { errnoError } from "./errno.ts";
import { systemCall, trySystemCall } from "./ffi.ts";

/** "Relative to the working directory" (linux/fcntl.h AT_FDCWD, −100); the kernel reads only the low 32 bits. */
const AT_FDCWD = 0xffffff9c;
const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;
/** These two differ between x86-64 and arm64 (asm/fcntl.h). */
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const LOCK_EX = 2;
const LOCK_NB = 4;
const F_WRLCK = 1;
const F_OFD_SETLK = 37;
const ENOENT = 2;
const EAGAIN = 11;
const EEXIST = 17;
const ENOTDIR = 20;

const READ_LIMIT = 16 << 20;
/** First size of a read buffer: most of what we read is one line, and a larger buffer has to be zeroed. */
const CHUNK = 4 << 10;
const utf8 = new TextEncoder();

/** Opens `path` and returns a descriptor, or a negated errno. */
function open(path: string, flags: number, mode = 0): number {
  return trySystemCall("openat", AT_FDCWD, cString(path), flags | O_CLOEXEC, mode);
}

function openOrThrow(tried: string, path: string, flags: number, mode = 0): number {
  const descriptor = open(path, flags, mode);
  if (descriptor < 0) throw errnoError(-descriptor, { tried: `${tried} ${path}` });
  return descriptor;
}

/** Closes `descriptor` when `action` is over, however it ends. */
function closing<T>(descriptor: number, action: () => T): T {
  try {
    return action();
  } finally {
    trySystemCall("close", descriptor);
  }
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? utf8.encode(content) : content;
}

/** Reads everything that `descriptor` has, up to `limit` bytes; throws `invalid` above that. */
export function readAll(descriptor: number, what: string, limit: number): Uint8Array {
  let buffer = new Uint8Array(Math.min(CHUNK, limit + 1));
  let length = 0;
  for (;;) {
    const count = systemCall(`read ${what}`, "read", descriptor, buffer.subarray(length), buffer.length - length);
    if (count === 0) return buffer.subarray(0, length);
    length += count;
    if (length > limit)
      throw new NetError("invalid", { tried: `read ${what}`, said: `it is larger than ${limit} bytes` });
    if (length === buffer.length) {
      const larger = new Uint8Array(Math.min(buffer.length * 4, limit + 1));
      larger.set(buffer);
      buffer = larger;
    }
  }
}

/** Writes all bytes, however many calls that takes. */
export function writeAll(descriptor: number, what: string, content: string | Uint8Array): void {
  let rest = bytesOf(content);
  while (rest.length > 0) {
    rest = rest.subarray(systemCall(`write ${what}`, "write", descriptor, rest, rest.length));
  }
}

function writeNew(path: string, flags: number, content: string | Uint8Array, mode: number): void {
  const descriptor = openOrThrow("write", path, O_WRONLY | O_CREAT | flags, mode);
  closing(descriptor, () => writeAll(descriptor, path, content));
}

/** Overwrites and then cuts, because emptying the file first (O_TRUNC) makes ext4 give back its blocks and flush the
 *  new ones at close: 0.6 ms where this takes a tenth. */
function write(path: string, content: string | Uint8Array, mode = 0o600): void {
  const descriptor = openOrThrow("write", path, O_WRONLY | O_CREAT, mode);
  const bytes = bytesOf(content);
  closing(descriptor, () => {
    writeAll(descriptor, path, bytes);
    systemCall(`cut ${path} to length`, "ftruncate", descriptor, bytes.length);
  });
}

function read(path: string, limit = READ_LIMIT): Uint8Array | undefined {
  const descriptor = open(path, 0);
  if (descriptor === -ENOENT || descriptor === -ENOTDIR) return undefined;
  if (descriptor < 0) throw errnoError(-descriptor, { tried: `read ${path}` });
  return closing(descriptor, () => readAll(descriptor, path, limit));
}

function create(path: string, content: string | Uint8Array, mode = 0o600): boolean {
  const descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (descriptor === -EEXIST) return false;
  if (descriptor < 0) throw errnoError(-descriptor, { tried: `create ${path}` });
  closing(descriptor, () => writeAll(descriptor, path, content));
  return true;
}

/** A name beside `path` that no other process uses: the process number tells them apart. */
function replace(path: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeNew(temporary, O_TRUNC, content, mode);
    rename(temporary, path);
  } catch (error) {
    unlink(temporary, 0);
    throw error;
  }
}

function rename(from: string, to: string): void {
  systemCall(`replace ${to}`, "renameat", AT_FDCWD, cString(from), AT_FDCWD, cString(to));
}

function unlink(path: string, flags: number): number {
  return trySystemCall("unlinkat", AT_FDCWD, cString(path), flags);
}

function removeWith(flags: number): (path: string) => boolean {
  return (path) => {
    const result = unlink(path, flags);
    if (result === -ENOENT || result === -ENOTDIR) return false;
    if (result < 0) throw errnoError(-result, { tried: `remove ${path}` });
    return true;
  };
}

/** About a thousand names for each system call. */
const LIST_BUFFER = 32 << 10;

/** Names from getdents64(2): struct linux_dirent64 has the record length at 16 and the name at 19. */
function list(path: string): string[] {
  const descriptor = open(path, O_DIRECTORY);
  if (descriptor === -ENOENT) return [];
  if (descriptor < 0) throw errnoError(-descriptor, { tried: `list ${path}` });
  return closing(descriptor, () => {
    const names: string[] = [];
    const buffer = new Uint8Array(LIST_BUFFER);
    const view = new DataView(buffer.buffer);
    for (;;) {
      const length = systemCall(`list ${path}`, "getdents64", descriptor, buffer, buffer.length);
      if (length === 0) return names;
      for (let offset = 0; offset < length; ) {
        const size = view.getUint16(offset + 16, true);
        const name = fromCString(buffer.subarray(offset + 19, offset + size));
        if (name !== "." && name !== "..") names.push(name);
        offset += size;
      }
    }
  });
}

function makeDirectory(path: string, mode = 0o755): void {
  const result = trySystemCall("mkdirat", AT_FDCWD, cString(path), mode);
  if (result >= 0 || result === -EEXIST) return;
  const slash = path.lastIndexOf("/");
  if (result !== -ENOENT || slash <= 0) throw errnoError(-result, { tried: `make directory ${path}` });
  makeDirectory(path.slice(0, slash), mode);
  makeDirectory(path, mode);
}

const STATX_SIZE = 256;
const STATX_BASIC_STATS = 0x7ff;
const FILE_TYPE: Readonly<Record<number, FileStat["type"]>> = { 4: "directory", 8: "file", 10: "symlink" };

/** Offsets are those of struct statx (linux/stat.h), which is the same on every architecture. */
function stat(path: string): FileStat | undefined {
  const buffer = new Uint8Array(STATX_SIZE);
  const result = trySystemCall("statx", AT_FDCWD, cString(path), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, buffer);
  if (result === -ENOENT || result === -ENOTDIR) return undefined;
  if (result < 0) throw errnoError(-result, { tried: `stat ${path}` });
  const view = new DataView(buffer.buffer);
  return {
    device: (BigInt(view.getUint32(136, true)) << 32n) | BigInt(view.getUint32(140, true)),
    inode: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    modifiedNs: view.getBigInt64(112, true) * 1_000_000_000n + BigInt(view.getUint32(120, true)),
    type: FILE_TYPE[view.getUint16(28, true) >> 12] ?? "other",
  };
}

/** "Leave this time alone" in the nanoseconds of a timespec (linux/stat.h UTIME_OMIT). */
const UTIME_OMIT = 0x3ffffffen;

function touch(path: string, modifiedNs: bigint): void {
  const times = BigInt64Array.of(0n, UTIME_OMIT, modifiedNs / 1_000_000_000n, modifiedNs % 1_000_000_000n);
  systemCall(`set the time of ${path}`, "utimensat", AT_FDCWD, cString(path), new Uint8Array(times.buffer), 0);
}

/** How long to sleep between two tries for a lock. The lock is held for a millisecond or two; with shorter sleeps,
 *  thirty waiters take the processor from the holder. */
const LOCK_RETRY_MS = 3;

function lock(path: string, waitMs: number): FileLock {
  return polledLock(path, waitMs, (descriptor) => trySystemCall("flock", descriptor, LOCK_EX | LOCK_NB));
}

/** struct flock (asm-generic/fcntl.h): type, whence, start, length, process; the last must be 0 for locks of open
 *  files. */
function lockByte(path: string, offset: number, waitMs: number): FileLock {
  const range = new BigInt64Array([BigInt(F_WRLCK), BigInt(offset), 1n, 0n]);
  const request = new Uint8Array(range.buffer);
  return polledLock(path, waitMs, (descriptor) => trySystemCall("fcntl", descriptor, F_OFD_SETLK, request));
}

/** The calls that wait for a lock have no time limit, so this polls; a waiter that blocked for ever would hang its
 *  container runtime. `attempt` answers with a negated errno. */
function polledLock(path: string, waitMs: number, attempt: (descriptor: number) => number): FileLock {
  const descriptor = openOrThrow("lock", path, O_RDWR | O_CREAT, 0o600);
  for (let waited = 0; ; waited += LOCK_RETRY_MS) {
    const result = attempt(descriptor);
    if (result >= 0) break;
    if (result === -EAGAIN && waited < waitMs) {
      Bun.sleepSync(LOCK_RETRY_MS);
      continue;
    }
    trySystemCall("close", descriptor);
    if (result !== -EAGAIN) throw errnoError(-result, { tried: `lock ${path}` });
    throw new NetError("busy", {
      tried: `lock ${path}`,
      said: `another process has held it for more than ${waitMs} ms`,
      remedy: `see who with: fuser ${path}`,
    });
  }
  let held = true;
  return {
    release() {
      if (held) trySystemCall("close", descriptor);
      held = false;
    },
  };
}

/** The machine's files, by system calls: node:fs alone would cost a CNI call 1 ms of start-up. */
export const linuxFiles: Files = {
  read,
  write,
  create,
  replace,
  rename,
  append: (path, content, mode = 0o600) => writeNew(path, O_APPEND, content, mode),
  remove: removeWith(0),
  removeDirectory: removeWith(AT_REMOVEDIR),
  list,
  makeDirectory,
  stat,
  touch,
  lock,
  lockByte,
};
