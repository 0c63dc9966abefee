import { hasErrno } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { LabLayout } from "./layout.ts";

const ROOT = "/sys/fs/cgroup";
const TRIES = 100;
const PAUSE_MS = 20;

/** Name of the control groups of the Docker containers of a host, which are the only thing of a lab outside its
 *  namespaces and its directory. Two labs of one name, in two directories, have different ones. */
export function cgroupOf(layout: LabLayout, node: string): string {
  return `${prefixOf(layout)}${node}`;
}

function prefixOf({ dir, name }: LabLayout): string {
  return `dcos-net-${name}-${Bun.hash.crc32(dir).toString(16)}-`;
}

/** Removes the control groups of all hosts of a lab, in every hierarchy (cgroup v1) or in the one (v2). The processes
 *  in them have been killed, but some may not have ended yet. */
export async function removeCgroups(files: Files, layout: LabLayout): Promise<void> {
  const prefix = prefixOf(layout);
  for (const parent of [ROOT, ...childrenOf(files, ROOT)]) {
    for (const path of childrenOf(files, parent)) {
      if (path.startsWith(`${parent}/${prefix}`)) await removeTree(files, path);
    }
  }
}

async function removeTree(files: Files, path: string): Promise<void> {
  for (const child of childrenOf(files, path)) await removeTree(files, child);
  for (let tries = 1; ; tries++) {
    try {
      files.removeDirectory(path);
      return;
    } catch (error) {
      if (!hasErrno(error, "EBUSY") || tries === TRIES) throw error;
      await Bun.sleep(PAUSE_MS);
    }
  }
}

/** Paths of the directories in a directory. */
function childrenOf(files: Files, path: string): string[] {
  const paths = files.list(path).map((name) => `${path}/${name}`);
  return paths.filter((child) => files.stat(child)?.type === "directory");
}
