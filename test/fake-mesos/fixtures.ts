import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Folder with captures of real systems; tests that need it skip without. */
export const FIXTURES = process.env["DCOS_NET_FIXTURES"];

/** Bytes of a captured file, by its path below the folder. */
export function fixture(path: string): Uint8Array {
  return readFileSync(join(FIXTURES ?? "", path));
}

export function fixtureText(path: string): string {
  return new TextDecoder().decode(fixture(path));
}

/** Names of the files of a captured folder that end in `ending`. */
export function fixtureNames(folder: string, ending: string): string[] {
  return FIXTURES === undefined
    ? []
    : readdirSync(join(FIXTURES, folder))
        .filter((name) => name.endsWith(ending))
        .sort();
}

/** `describe` for what needs captures: without them its tests are skipped, and its name says why. */
export function describeWithFixtures(name: string, body: () => void): void {
  if (FIXTURES === undefined) describe.skip(`${name} (skipped: DCOS_NET_FIXTURES isn't set)`, body);
  else describe(name, body);
}
