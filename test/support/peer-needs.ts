import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The reference plugins as Debian installs them. */
export const REFERENCE = "/usr/lib/cni";

const { CI, DCOS_NET_FIXTURES, PLUGIN_DIR } = process.env;

/** The directory of the plugins under test: `PLUGIN_DIR`, or what the build leaves. Naming the reference's directory
 *  proves that a test asks for behaviour that both share. */
export const PLUGINS = PLUGIN_DIR ?? fileURLToPath(new URL("../../dist/cni", import.meta.url));

/** True when the plugins under test are the reference itself. */
export const TESTING_REFERENCE = existsSync(PLUGINS) && realpathSync(PLUGINS) === realpathSync(REFERENCE);

export interface Needs {
  /** Programs to find on PATH. */
  readonly programs?: readonly string[];
  /** Files by path. */
  readonly files?: readonly string[];
  /** A path below the directory of recordings, which not every machine has: without it the suite is skipped even there
   *  where everything must run. */
  readonly recordings?: string;
  /** Why something is missing that not every machine can have: the suite is skipped then, even where everything must
   *  run. */
  readonly unavailable?: string | undefined;
  /** The suite asks for behaviour that the reference doesn't have: say which. */
  readonly beyondReference?: string;
}

/** Where recordings are, below `DCOS_NET_FIXTURES`; undefined when that is unset. */
export function recordingsAt(path: string): string | undefined {
  return DCOS_NET_FIXTURES === undefined ? undefined : join(DCOS_NET_FIXTURES, path);
}

/** A suite that runs where its needs are met. Elsewhere its tests are listed as pending under a title that says
 *  why; with `CI=true` they fail instead. */
export function describePeer(title: string, needs: Needs, body: (this: Mocha.Suite) => void): void {
  const reason = whyNot(needs);
  if (reason === undefined) {
    describe(title, body);
  } else if (CI === "true" && hasRecordings(needs) && needs.unavailable === undefined) {
    describe(title, () => {
      it("can run here", () => {
        throw new Error(reason);
      });
    });
  } else {
    describe.skip(`${title} (skipped: ${reason})`, body);
  }
}

function hasRecordings({ recordings }: Needs): boolean {
  return recordings === undefined || existsSync(recordingsAt(recordings) ?? "");
}

function whyNot(needs: Needs): string | undefined {
  const { programs = [], files = [], beyondReference, unavailable } = needs;
  if (unavailable !== undefined) return unavailable;
  if (!hasRecordings(needs)) return "DCOS_NET_FIXTURES names no directory with the recordings";
  if (process.getuid?.() !== 0) return "needs root";
  for (const program of ["unshare", "nsenter", "ip", "nft", "conntrack", ...programs]) {
    if (Bun.which(program) === null) return `${program} is not installed`;
  }
  for (const file of [PLUGINS, ...files]) if (!existsSync(file)) return `${file} is missing`;
  if (TESTING_REFERENCE && beyondReference !== undefined) return `the reference plugins ${beyondReference}`;
  return undefined;
}
