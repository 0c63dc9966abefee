import { cString } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import { errnoError } from "./errno.ts";
import { systemCall, trySystemCall } from "./ffi.ts";
import { linuxFiles, writeAll } from "./file.ts";
import type { OpenNetns } from "./link.ts";

/** Constants of linux/sched.h, linux/fcntl.h, linux/mount.h, linux/nsfs.h and linux/stat.h. */
const CLONE_NEWNET = 0x40000000;
const AT_FDCWD = 0xffffff9c;
const AT_EMPTY_PATH = 0x1000;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const NS_GET_NSTYPE = 0xb703;
const STATX_BASIC_STATS = 0x7ff;
const ENOENT = 2;
const ENOTDIR = 20;
const EINVAL = 22;

/** The calling thread's namespace: setns(2) acts on threads, so /proc/self would name the main thread's. */
const OWN_NETNS = "/proc/thread-self/ns/net";

/** Opens a namespace by path; undefined when there is no such file or it isn't a network namespace. Without O_NONBLOCK
 *  a named pipe at that path would make the caller wait for a writer. */
export function openNetns(path: string): OpenNetns | undefined {
  const descriptor = trySystemCall("openat", AT_FDCWD, cString(path), O_CLOEXEC | O_NONBLOCK, 0);
  if (descriptor === -ENOENT || descriptor === -ENOTDIR) return undefined;
  if (descriptor < 0) throw errnoError(-descriptor, { tried: `open network namespace ${path}` });
  if (trySystemCall("ioctl", descriptor, NS_GET_NSTYPE, 0) !== CLONE_NEWNET) {
    trySystemCall("close", descriptor);
    return undefined;
  }
  let open = true;
  return {
    path,
    id: identity(descriptor, path),
    descriptor,
    close() {
      if (open) trySystemCall("close", descriptor);
      open = false;
    },
  };
}

/** The calling thread's own namespace. */
export function ownNetns(): OpenNetns {
  const netns = openNetns(OWN_NETNS);
  if (netns === undefined) {
    throw new NetError("unavailable", { tried: `open ${OWN_NETNS}`, said: "it is missing", remedy: "mount /proc" });
  }
  return netns;
}

function identity(descriptor: number, path: string): string {
  const buffer = new Uint8Array(256);
  systemCall(
    `identify network namespace ${path}`,
    "statx",
    descriptor,
    cString(""),
    AT_EMPTY_PATH,
    STATX_BASIC_STATS,
    buffer,
  );
  const view = new DataView(buffer.buffer);
  return `${view.getUint32(136, true)}:${view.getUint32(140, true)}:${view.getBigUint64(32, true)}`;
}

/** Where the thread is now, once it has been asked; kept because every entering needs it for the way back. */
let current: OpenNetns | undefined;

/** Runs `action` with the calling thread inside `netns` and comes back before returning, whatever happens. `action`
 *  must be synchronous: anything awaited would run in the wrong namespace. */
export function inNetns<T>(netns: OpenNetns, action: () => T): T {
  current ??= ownNetns();
  const home = current;
  if (home.id === netns.id) return action();
  systemCall(`enter network namespace ${netns.path}`, "setns", netns.descriptor, CLONE_NEWNET);
  current = netns;
  try {
    return action();
  } finally {
    comeBack(home);
  }
}

/** A thread that is stuck in a foreign namespace would configure somebody else's network: there is no going on from
 *  here. */
function comeBack(home: OpenNetns): void {
  const result = trySystemCall("setns", home.descriptor, CLONE_NEWNET);
  current = home;
  if (result < 0) {
    const { message } = errnoError(-result, { tried: `return to network namespace ${home.path}` });
    writeAll(2, "standard error", `${message}\n`);
    process.abort();
  }
}

/** Creates a namespace and keeps it by a bind mount at `path` (`ip netns add` does the same below /run/netns). */
export function createNetns(path: string): void {
  if (!linuxFiles.create(path, "", 0o444)) {
    throw new NetError("already-exists", {
      tried: `create network namespace ${path}`,
      said: "the file exists",
      errno: "EEXIST",
    });
  }
  current ??= ownNetns();
  const home = current;
  try {
    systemCall("create a network namespace", "unshare", CLONE_NEWNET);
    try {
      systemCall(
        `mount the namespace at ${path}`,
        "mount",
        cString(OWN_NETNS),
        cString(path),
        cString("none"),
        MS_BIND,
        null,
      );
    } finally {
      comeBack(home);
    }
  } catch (error) {
    linuxFiles.remove(path);
    throw error;
  }
}

/** Unmounts and removes what {@link createNetns} made; false when there was nothing. The namespace itself lives on
 *  while a process or a handle uses it. */
export function deleteNetns(path: string): boolean {
  const result = trySystemCall("umount2", cString(path), MNT_DETACH);
  if (result < 0 && result !== -EINVAL && result !== -ENOENT) throw errnoError(-result, { tried: `unmount ${path}` });
  return linuxFiles.remove(path);
}
