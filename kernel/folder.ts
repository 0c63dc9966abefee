import { cString } from "../lib/bytes.ts";
import { systemCall, trySystemCall } from "./ffi.ts";

const AT_FDCWD = 0xffffff9c;
const O_CLOEXEC = 0o2000000;
/** Differs between x86-64 and arm64 (asm/fcntl.h). */
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;

/** A descriptor of a folder, for system calls that take one: a control group is named by its folder. */
export function openFolder(path: string): number {
  return systemCall(`open folder ${path}`, "openat", AT_FDCWD, cString(path), O_DIRECTORY | O_CLOEXEC, 0);
}

export function closeFolder(descriptor: number): void {
  trySystemCall("close", descriptor);
}
