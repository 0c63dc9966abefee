import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";
const PREFIX = "dcos-net-peer-";

let made = 0;

/** A name for the control groups of one machine. It holds the process number of its owner, so that {@link sweepCgroups}
 *  knows when nobody wants it any more. */
export function cgroupName(): string {
  return `${PREFIX}${process.pid}-${made++}`;
}

/** Removes the control groups of one machine, in every hierarchy (cgroup v1) or in the one (v2). Control groups are the
 *  only thing that a container leaves outside the machine's namespaces. */
export function removeCgroups(name: string): void {
  for (const parent of [ROOT, ...readdirSync(ROOT).map((entry) => join(ROOT, entry))]) removeTree(join(parent, name));
}

/** Removes the control groups left by test processes that died. */
export function sweepCgroups(): void {
  const names = [ROOT, ...readdirSync(ROOT).map((entry) => join(ROOT, entry))].flatMap(directories);
  for (const name of new Set(names)) {
    const owner = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split("-")[0] : undefined;
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) removeCgroups(name);
  }
}

function directories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function removeTree(path: string): void {
  for (const child of directories(path)) removeTree(join(path, child));
  try {
    rmdirSync(path);
  } catch {
    // Not there in this hierarchy, or a dying process still counts as a member: the next sweep gets it.
  }
}
