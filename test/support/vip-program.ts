import { join } from "node:path";
import type { Kernel } from "../../kernel/kernel.ts";
import { inCgroup } from "./in-cgroup.ts";

/** A program that works until it is told to end. */
export interface RunningProgram<Report> {
  /** Ends it and gives what it reports. */
  end(): Promise<Report>;
  /** Kills it, when it hasn't ended. */
  abandon(): Promise<void>;
}

/** Starts a program of test/support that takes its order as JSON in its one argument, works until its input ends, and
 *  then prints a report as JSON. It runs in the namespace of `kernel`, in the control group `cgroup` (a directory of
 *  cgroup2) when given. */
export function startProgram<Report>(
  name: "vip-load.ts" | "vip-lookups.ts" | "vip-connects.ts",
  kernel: Kernel,
  order: object,
  cgroup?: string,
): RunningProgram<Report> {
  const program = [process.execPath, join(import.meta.dir, name), JSON.stringify(order)];
  const command = cgroup === undefined ? program : inCgroup(cgroup, program);
  const child = kernel.enter(() => Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" }));
  const output = child.stdout.text();
  return {
    async end() {
      child.stdin.end();
      return JSON.parse(await output) as Report;
    },
    async abandon() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
