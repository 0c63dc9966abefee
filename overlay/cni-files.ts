import type { Files } from "../lib/files.ts";
import { isObject } from "./section.ts";

/** Far above any CNI configuration; a bigger file isn't one of ours. */
const LARGEST_FILE = 1024 * 1024;
/** Runtimes that run as other users read these files; they hold no secrets. */
const MODE = 0o644;

/** What a pass over the folder of CNI configurations finds to do; paths. */
export interface CniFileChanges {
  readonly write: readonly { readonly path: string; readonly text: string }[];
  readonly remove: readonly string[];
  /** Files of others that have a name we need, in sentences. */
  readonly conflicts: readonly string[];
}

/** Compares the folder with what it should hold (`wanted`: file name → text). Only files with our mark are ever
 *  replaced or removed; a folder that isn't there is empty. */
export function cniFileChanges(files: Files, dir: string, wanted: ReadonlyMap<string, string>): CniFileChanges {
  const write: { path: string; text: string }[] = [];
  const conflicts: string[] = [];
  for (const [name, text] of wanted) {
    const path = `${dir}/${name}`;
    const present = read(files, path);
    if (present === text) continue;
    if (present === undefined || isManaged(present)) write.push({ path, text });
    else conflicts.push(`${path} was not written by us and stays as it is: move it away or rename the overlay`);
  }
  const remove = files
    .list(dir)
    .filter((name) => /\.conf(list)?$/.test(name) && !wanted.has(name))
    .map((name) => `${dir}/${name}`)
    .filter((path) => isManaged(read(files, path) ?? ""));
  return { write, remove, conflicts };
}

/** Writes each file in one step: a runtime that reads the folder meanwhile sees the old or the new text, never half
 *  of one. */
export function writeCniFiles(files: Files, dir: string, { write }: CniFileChanges): void {
  if (write.length > 0) files.makeDirectory(dir);
  for (const { path, text } of write) files.replace(path, text, MODE);
}

export function removeCniFiles(files: Files, { remove }: CniFileChanges): void {
  for (const path of remove) files.remove(path);
}

function read(files: Files, path: string): string | undefined {
  const bytes = files.read(path, LARGEST_FILE);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

function isManaged(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    const mark = isObject(value) ? value["dcosNet"] : undefined;
    return isObject(mark) && mark["managed"] === true;
  } catch {
    // Not JSON, so not ours.
    return false;
  }
}
