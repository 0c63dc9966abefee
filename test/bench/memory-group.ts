import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { mounts } from "../../kernel/mounts.ts";
import { inCgroup } from "../support/in-cgroup.ts";

/** A control group that tells how much of the kernel's memory its processes have asked for, also after their end. */
export interface MemoryGroup {
  /** The command that runs `command` in the group. */
  enter(command: readonly string[]): string[];
  /** Bytes that the kernel holds on behalf of the group. */
  kernelBytes(): number;
  /** Nothing may run in it any more. */
  close(): void;
}

/** Why there can't be one here; undefined when there can. */
export function memoryGroupUnavailable(): string | undefined {
  return findRoot() === undefined ? "no control groups with the memory controller" : undefined;
}

let number = 0;

/** Throws where {@link memoryGroupUnavailable} says something. */
export function openMemoryGroup(): MemoryGroup {
  const root = findRoot();
  if (root === undefined) throw new Error("no control groups with the memory controller");
  const path = join(root.path, `dcos-net-bench-${process.pid}-${number++}`);
  mkdirSync(path);
  return {
    enter: (command) => inCgroup(path, command),
    kernelBytes: () => root.kernelBytes(path),
    close: () => rmdirSync(path),
  };
}

interface Root {
  readonly path: string;
  kernelBytes(group: string): number;
}

/** The kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst (`kernel` in memory.stat is there
 *  since Linux 5.18). */
function findRoot(): Root | undefined {
  for (const { path, type } of mounts()) {
    if (type === "cgroup" && existsSync(join(path, "memory.kmem.usage_in_bytes"))) {
      return { path, kernelBytes: (group) => Number(readFileSync(join(group, "memory.kmem.usage_in_bytes"), "utf8")) };
    }
    if (type !== "cgroup2") continue;
    const passedOn = readFileSync(join(path, "cgroup.subtree_control"), "utf8").trim().split(" ");
    if (passedOn.includes("memory")) return { path, kernelBytes: (group) => kernelOf(join(group, "memory.stat")) };
  }
  return undefined;
}

function kernelOf(file: string): number {
  const [, bytes] = /^kernel (\d+)$/m.exec(readFileSync(file, "utf8")) ?? [];
  if (bytes === undefined) throw new Error(`${file} says nothing of the kernel's memory: it takes Linux 5.18`);
  return Number(bytes);
}
