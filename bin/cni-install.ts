import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { messageOf, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";

/** Where container runtimes look for plugins. */
export const DEFAULT_PLUGIN_DIR = "/opt/cni/bin";
/** The plugins that the executable is under its own names. */
export const OWN_PLUGINS = [
  "dcos",
  "dcos-ipam",
  "dcos-l4lb",
  "dcos-portmap",
  "mesos-cni-port-mapper",
  "loopback",
] as const;
/** Names of reference plugins that it can stand in for. */
export const REFERENCE_PLUGINS = ["bridge", "host-local", "portmap"] as const;

/** What an installation put into a directory: enough to undo exactly that. */
interface Manifest {
  readonly version: 1;
  /** Inode number of the executable, which all our names share: it tells our files from what somebody put in their
   *  place. */
  readonly inode: number;
  readonly entries: readonly { readonly name: string; readonly saved: boolean }[];
}

/** What became of one name. */
export interface InstallStep {
  readonly name: string;
  readonly did: "installed" | "installed, original saved" | "removed" | "original put back" | "left alone";
}

const MANIFEST = ".dcos-net.json";

/** Installs the executable under plugin names: one copy in the directory, hard-linked. A file that has such a name is
 *  saved beside it and comes back with {@link uninstallPlugins}. Each name changes in one step, so that a runtime
 *  that calls it meanwhile gets the old or the new plugin. Installing again replaces our own files and leaves what
 *  was saved. */
export function installPlugins(files: Files, executable: string, dir: string, names: readonly string[]): InstallStep[] {
  mkdirSync(dir, { recursive: true });
  const body = join(dir, `.dcos-net.${process.pid}.tmp`);
  try {
    copyFileSync(executable, body);
    chmodSync(body, 0o755);
    const before = readManifest(dir);
    const { ino: inode } = statSync(body);
    const entries = names.map((name) => ({ name, saved: saveOriginal(dir, name, before) }));
    const others = before?.entries.filter(({ name }) => !names.includes(name)) ?? [];
    // Written before the first name changes, so that an installation that is broken off can be undone.
    writeManifest(files, dir, { version: 1, inode, entries: [...entries, ...others] });
    for (const { name } of [...entries, ...others]) placeLink(body, join(dir, name));
    return entries.map(({ name, saved }) => ({ name, did: saved ? "installed, original saved" : "installed" }));
  } finally {
    rmSync(body, { force: true });
  }
}

/** True when {@link installPlugins} has put something there. */
export function isInstalled(dir: string): boolean {
  return existsSync(join(dir, MANIFEST));
}

/** Undoes {@link installPlugins}: saved originals come back, our other names go. A name that somebody has replaced
 *  since is left alone. Throws a NetError `not-found` when nothing of ours is installed there. */
export function uninstallPlugins(dir: string): InstallStep[] {
  const manifest = readManifest(dir);
  if (manifest === undefined) {
    throw new NetError("not-found", {
      tried: `uninstall from ${dir}`,
      said: `there is no ${MANIFEST}`,
      remedy: "name the directory of the installation with --dir",
    });
  }
  const steps = manifest.entries.map(({ name, saved }): InstallStep => {
    const path = join(dir, name);
    const present = existsSync(path);
    if (present && statSync(path).ino !== manifest.inode && !isOriginal(dir, name)) {
      rmSync(savedPath(dir, name), { force: true });
      return { name, did: "left alone" };
    }
    if (saved) {
      renameSync(savedPath(dir, name), path);
      // rename(2) does nothing when both names are one file: the original, where the installation was broken off.
      rmSync(savedPath(dir, name), { force: true });
      return { name, did: "original put back" };
    }
    rmSync(path, { force: true });
    return { name, did: "removed" };
  });
  rmSync(join(dir, MANIFEST));
  return steps;
}

/** Keeps what stands under a name that isn't ours, by a second link to it. True when there is an original to come
 *  back. */
function saveOriginal(dir: string, name: string, before: Manifest | undefined): boolean {
  const path = join(dir, name);
  const entry = before?.entries.find((candidate) => candidate.name === name);
  if (!existsSync(path)) return entry?.saved ?? false;
  if (entry !== undefined && statSync(path).ino === before?.inode) return entry.saved;
  rmSync(savedPath(dir, name), { force: true });
  linkSync(path, savedPath(dir, name));
  return true;
}

function isOriginal(dir: string, name: string): boolean {
  const saved = savedPath(dir, name);
  return existsSync(saved) && statSync(saved).ino === statSync(join(dir, name)).ino;
}

/** Hidden, so that no runtime takes it for a plugin. */
function savedPath(dir: string, name: string): string {
  return join(dir, `.${name}.dcos-net-saved`);
}

function placeLink(body: string, path: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  linkSync(body, temporary);
  renameSync(temporary, path);
}

function readManifest(dir: string): Manifest | undefined {
  if (!isInstalled(dir)) return undefined;
  const path = join(dir, MANIFEST);
  try {
    const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
    if (manifest.version === 1 && Array.isArray(manifest.entries)) return manifest;
    throw new Error("it has an unknown form");
  } catch (error) {
    throw new NetError("invalid", {
      tried: `read ${path}`,
      said: messageOf(error),
      remedy: "remove our plugins and this file by hand; saved originals are called .NAME.dcos-net-saved",
    });
  }
}

function writeManifest(files: Files, dir: string, manifest: Manifest): void {
  files.replace(join(dir, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, 0o644);
}
