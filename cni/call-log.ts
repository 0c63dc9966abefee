import type { Clock } from "../lib/clock.ts";
import { hasErrno } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { jsonLog } from "../lib/log.ts";
import type { CniError } from "./error.ts";

/** Where the line of each call goes unless the configuration says otherwise (`dcosNet.logFile`). Mesos gives plugins no
 *  environment of the operator's, so a default must do. */
export const DEFAULT_LOG_FILE = "/var/log/dcos-net/cni.log";

/** What the line of one call says; what was not known when the call ended is left out. */
export interface CallLine {
  readonly plugin: string;
  readonly verb: string | undefined;
  readonly container: string | undefined;
  readonly network: string | undefined;
  readonly ifname: string | undefined;
  /** Microseconds. */
  readonly durationUs: number;
  /** What went wrong without making the call fail. */
  readonly notes: readonly string[];
}

/** Longest text in a line, in characters: messages may quote what another program printed, and the environment is
 *  not yet checked when it is what the call fails for. */
const TEXT_LIMIT = 2000;

/** Appends the one line that a call leaves, in a single write and without reading anything. The directory is made
 *  when the first append misses it. Only root and its group may read: lines name containers. Throws what `files`
 *  throws. */
export function logCall(
  files: Files,
  clock: Pick<Clock, "now">,
  path: string,
  { notes, ...line }: CallLine,
  failure: CniError | undefined,
): void {
  const log = jsonLog(
    "cni",
    "info",
    () => new Date(clock.now()),
    (text) => appendLine(files, path, text),
  );
  const known = { ...line, verb: cut(line.verb), container: cut(line.container), ifname: cut(line.ifname) };
  const noted = notes.length === 0 ? undefined : notes.map((note) => note.slice(0, TEXT_LIMIT));
  if (failure === undefined) {
    log.info("call", { ...known, outcome: "ok", notes: noted });
    return;
  }
  const { code, message, details } = failure;
  log.error("call", { ...known, outcome: "error", code, message: cut(message), details: cut(details), notes: noted });
}

function cut(text: string | undefined): string | undefined {
  return text?.slice(0, TEXT_LIMIT);
}

function appendLine(files: Files, path: string, line: string): void {
  try {
    files.append(path, line, 0o640);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
    files.makeDirectory(path.slice(0, Math.max(1, path.lastIndexOf("/"))), 0o750);
    files.append(path, line, 0o640);
  }
}
