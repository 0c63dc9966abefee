import { cString } from "../lib/bytes.ts";
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

/** Where the root of the control groups of version 2 is. When they are mounted nowhere, which is so on hosts that use
 *  only version 1, they are mounted at `folder`: every process is in that hierarchy all the same. */
export function cgroupRoot(folder: string): string {
  const found = mounts().find(({ type }) => type === "cgroup2");
  if (found !== undefined) return found.path;
  linuxFiles.makeDirectory(folder);
  mount("cgroup2", folder, "the kernel needs CONFIG_CGROUPS");
  return folder;
}

/** Mounts the BPF file system at `folder`; false when it is there already. Throws a NetError when the kernel can't. */
export function mountBpfFilesystem(folder: string): boolean {
  if (mounts().findLast(({ path }) => path === folder)?.type === "bpf") return false;
  mount("bpf", folder, "the folder must be there, and the kernel needs CONFIG_BPF_SYSCALL");
  return true;
}

function mount(type: string, folder: string, remedy: string): void {
  const result = trySystemCall("mount", cString(type), cString(folder), cString(type), 0, null);
  if (result < 0) throw errnoError(-result, { tried: `mount a file system of type ${type} at ${folder}`, remedy });
}
