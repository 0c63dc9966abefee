import { join } from "node:path";
import type { Kernel } from "../../kernel/kernel.ts";
import type { LoadOrder, LoadReport } from "./vip-load-protocol.ts";

const PROGRAM = join(import.meta.dir, "vip-load.ts");

/** A load program that runs. */
export interface Load {
  /** Ends it and tells what came of everything. */
  end(): Promise<LoadReport>;
  /** Kills it, when it hasn't ended. */
  abandon(): Promise<void>;
}

/** Starts the load program in the namespace of `kernel`, in the control group `cgroup` (a directory of cgroup2) when
 *  given. */
export function startLoad(kernel: Kernel, order: LoadOrder, cgroup?: string): Load {
  const program = [process.execPath, PROGRAM, JSON.stringify(order)];
  const command =
    cgroup === undefined ? program : ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, ...program];
  const child = kernel.enter(() => Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" }));
  const output = child.stdout.text();
  return {
    async end() {
      child.stdin.end();
      return JSON.parse(await output) as LoadReport;
    },
    async abandon() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
