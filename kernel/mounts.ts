import { cString } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import { errnoError } from "./errno.ts";
import { trySystemCall } from "./ffi.ts";
import { linuxFiles } from "./file.ts";

/** A mounted file system (proc(5), /proc/pid/mountinfo). */
export interface Mount {
  readonly path: string;
  /** `cgroup2`, `bpf`, `nsfs`, … */
  readonly type: string;
}

/** The mounts that the calling thread sees, in the order in which they were made. */
export function mounts(): Mount[] {
  const text = new TextDecoder().decode(linuxFiles.read("/proc/thread-self/mountinfo") ?? new Uint8Array());
  return mountsIn(text);
}

/** The mounts in the text of mountinfo: ` - ` parts what is before the type from what is after. Blanks in paths are
 *  written in octal. */
export function mountsIn(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before, after] = line.split(" - ");
    const path = before?.split(" ")[4];
    const type = after?.split(" ")[0];
    if (path === undefined || type === undefined) return [];
    return {
      path: path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))),
      type,
    };
  });
}

/** Where the root of the control groups of version 2 is. Throws a NetError when it isn't mounted. */
export function cgroupRoot(): string {
  const found = mounts().find(({ type }) => type === "cgroup2");
  if (found !== undefined) return found.path;
  throw new NetError("unavailable", {
    tried: "find the control groups of version 2",
    said: "no cgroup2 is mounted",
    remedy: "mount it: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
  });
}

/** Mounts the BPF file system at `folder`, unless it is there already. Throws a NetError when the kernel can't. */
export function mountBpfFilesystem(folder: string): void {
  if (mounts().findLast(({ path }) => path === folder)?.type === "bpf") return;
  const result = trySystemCall("mount", cString("bpf"), cString(folder), cString("bpf"), 0, null);
  if (result >= 0) return;
  throw errnoError(-result, {
    tried: `mount the BPF file system at ${folder}`,
    remedy: "the folder must be there, and the kernel needs CONFIG_BPF_SYSCALL",
  });
}
