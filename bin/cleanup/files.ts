import { existsSync, rmSync } from "node:fs";
import { indexDirectory } from "../../ipam/store.ts";
import { isInstalled, uninstallPlugins } from "../cni-install.ts";
import type { Config } from "../config.ts";
import type { Remnant } from "./remnant.ts";

/** The plugins that `cni install` has put into a directory. */
export function pluginRemnants(dir: string): Remnant[] {
  return isInstalled(dir) ? [{ what: `CNI plugins in ${dir}`, remove: () => void uninstallPlugins(dir) }] : [];
}

/** What the node remembers beyond a reboot: its id, its view of the cluster, allocations and records. Leases aren't
 *  among them: the reference host-local goes on with them. */
export function stateRemnants({ state_dir, docker_dir, data_dir }: Config): Remnant[] {
  return [docker_dir, state_dir, indexDirectory(data_dir)]
    .filter((path) => existsSync(path))
    .map((path) => ({ what: path, remove: () => rmSync(path, { recursive: true, force: true }) }));
}
