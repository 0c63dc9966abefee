/** What is known of a file without opening it. */
export interface FileStat {
  readonly device: bigint;
  readonly inode: bigint;
  /** Bytes. */
  readonly size: number;
  /** Last change of the content (of the entries, for a directory), nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  readonly type: "file" | "directory" | "symlink" | "other";
}

/** A lock held on a file; releasing twice is harmless. */
export interface FileLock {
  release(): void;
}

/** The file operations that folders without kernel access are handed. Synchronous, because their users are short-lived
 *  processes that hold a lock; small, because every one must cost one or two system calls. Each throws a NetError with
 *  the errno name and the path; only the stated "missing" answers are values. */
export interface Files {
  /** Whole content; undefined when there is no such file. Refuses files above `limit` bytes (default 16 MiB). */
  read(path: string, limit?: number): Uint8Array | undefined;
  /** Creates or overwrites in place; not atomic. Mode applies on creation (default 0o600). */
  write(path: string, content: string | Uint8Array, mode?: number): void;
  /** Creates a file that must not exist; false when it does. */
  create(path: string, content: string | Uint8Array, mode?: number): boolean;
  /** Replaces the whole file in one step (temporary file beside it, then rename): readers see old or new, never
   *  half. */
  replace(path: string, content: string | Uint8Array, mode?: number): void;
  /** Gives a file another name in one step, in the place of whatever has it. */
  rename(from: string, to: string): void;
  /** Adds to the end of the file, creating it; a single write, so that lines of parallel writers don't mix. */
  append(path: string, content: string | Uint8Array, mode?: number): void;
  /** Removes a file; false when it was not there. */
  remove(path: string): boolean;
  /** Removes an empty directory; false when it was not there. */
  removeDirectory(path: string): boolean;
  /** Names in a directory, without `.` and `..`, in no order; empty when there is no such directory. */
  list(path: string): string[];
  /** Creates the directory and its parents (default mode 0o755); fine when it exists. */
  makeDirectory(path: string, mode?: number): void;
  /** undefined when there is no such file. Doesn't follow a final symbolic link. */
  stat(path: string): FileStat | undefined;
  /** Sets the modification time of a file or directory (utimensat(2)), nanoseconds since 1970. Leaves the access
   *  time. */
  touch(path: string, modifiedNs: bigint): void;
  /** Takes the write lock of one byte of `path` (fcntl(2), open file description locks), creating the file: as many
   *  locks as there are numbers from 0 to 2^53−1, in one file that stays empty. Waits up to `waitMs` milliseconds, then
   *  throws `busy`. */
  lockByte(path: string, offset: number, waitMs: number): FileLock;
  /** Takes flock(2) LOCK_EX on `path`, creating the file; waits up to `waitMs` milliseconds, then throws `busy`. */
  lock(path: string, waitMs: number): FileLock;
}
