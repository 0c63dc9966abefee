import type { Kernel, Netns } from "../kernel/kernel.ts";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { type Attachment, readAttachments } from "./attachment.ts";
import { DEFAULT_LOG_FILE, logCall } from "./call-log.ts";
import { asText, child, type Decode, optional, parseConfig, type Section, unexpected } from "./config.ts";
import { checkNetworkName, type Environment, readEnvironment } from "./environment.ts";
import { CNI_ERROR, CniError, formatError, OWN_ERROR, toCniError } from "./error.ts";
import { formatResult, type Result } from "./result.ts";
import {
  CNI_VERSIONS,
  type CniVersion,
  NEWEST_VERSION,
  negotiateVersion,
  requireVerb,
  type Verb,
  versionAnswer,
} from "./version.ts";

/** Everything of the process and the machine that a call may use, handed in so that tests call {@link serve} as a
 *  function. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads standard input to its end; throws a NetError when it is larger than `limit` bytes. */
  readStdin(limit: number): Uint8Array;
  writeStdout(text: string): void;
  writeStderr(text: string): void;
  /** The kernel, seen from the runtime's namespace; opened at the first call. */
  kernel(): Kernel;
  readonly files: Files;
  readonly clock: Pick<Clock, "now" | "monotonic">;
}

/** One call with everything checked that does not depend on the plugin. */
export interface Call extends Environment {
  /** The configuration's `name`. */
  readonly network: string;
  readonly version: CniVersion;
  readonly config: Section;
  /** Standard input as it came: what a delegated plugin gets. */
  readonly stdin: string;
  /** CNI_NETNS opened; undefined when it is not given or no longer a namespace. The dispatcher closes it. */
  readonly netns: Netns | undefined;
  /** GC: what is still in use; undefined when the runtime gave no list, so that nothing is known to be unused. */
  readonly attachments: readonly Attachment[] | undefined;
  /** Adds a sentence to the call's log line: what went wrong without making the call fail. */
  note(sentence: string): void;
}

/** A plugin: three to six functions. Each throws to fail; a verb that is absent succeeds without doing anything. */
export interface Plugin {
  /** The name it is called by. */
  readonly name: string;
  /** One line on what it is, printed when it is run by hand. */
  readonly about: string;
  /** Must undo what it did before it throws. */
  add(call: Call, host: Host): Result;
  /** Must succeed when there is nothing to delete, and with `call.netns` undefined. */
  del(call: Call, host: Host): void;
  check?(call: Call, host: Host): void;
  gc?(call: Call, host: Host): void;
  status?(call: Call, host: Host): void;
}

/** Largest standard input accepted, in bytes. A configuration has a few hundred; GC lists about 120 for each
 *  attachment, so that eight thousand containers on one node fit. */
export const STDIN_LIMIT = 1 << 20;

/** Serves one call of `plugin` and returns the exit code: 0, or 1 with one error document on standard output. Never
 *  throws. */
export function serve(plugin: Plugin, host: Host): number {
  const record: CallRecord = { began: host.clock.monotonic(), notes: [] };
  let failure: CniError | undefined;
  try {
    const environment = readEnvironment(host.env);
    if (environment === undefined) return introduce(plugin, host);
    record.environment = environment;
    const output = answer(plugin, environment, host, record);
    if (output !== "") host.writeStdout(output);
  } catch (error) {
    failure = toCniError(error, record.environment?.verb ?? "");
    reportFailure(host, record, failure, error);
  }
  leaveLine(plugin, host, record, failure);
  return failure === undefined ? 0 : 1;
}

/** What is known of the call so far, for the error document and for the log. */
interface CallRecord {
  /** Milliseconds, monotonic. */
  readonly began: number;
  readonly notes: string[];
  environment?: Environment;
  network?: string;
  version?: CniVersion;
  logFile?: string;
}

/** Without CNI_COMMAND somebody runs the plugin by hand; the Go skeleton answers so, with success. */
function introduce(plugin: Plugin, host: Host): number {
  tell(host, `${plugin.about}\nCNI protocol versions supported: ${CNI_VERSIONS.join(", ")}`);
  return 0;
}

/** Carries out the call and returns what belongs on standard output. */
function answer(plugin: Plugin, environment: Environment, host: Host, record: CallRecord): string {
  if (environment.verb === "VERSION") return versionAnswer();
  const call = readCall(environment, host, record);
  const netns = call.netnsPath === "" || !usesNetns(call.verb) ? undefined : host.kernel().openNetns(call.netnsPath);
  try {
    refuseOwnNetns(call, netns, host);
    return dispatch(plugin, { ...call, netns }, host);
  } finally {
    netns?.close();
  }
}

function usesNetns(verb: Verb): boolean {
  return verb === "ADD" || verb === "DEL" || verb === "CHECK";
}

/** Reads and judges standard input. Nothing has been changed when it throws. */
function readCall(environment: Environment, host: Host, record: CallRecord): Omit<Call, "netns"> {
  const { text, config } = parseConfig(readStdin(host));
  const network = optional(config, "name", orUndecodable(asText)) ?? "";
  checkNetworkName(network);
  record.network = network;
  const version = negotiateVersion(optional(config, "cniVersion", orUndecodable(asText)));
  record.version = version;
  requireVerb(environment.verb, version);
  const logFile = optional(child(config, "dcosNet"), "logFile", asAbsolutePath);
  if (logFile !== undefined) record.logFile = logFile;
  const attachments = environment.verb === "GC" ? readAttachments(config) : undefined;
  const note = (sentence: string) => void record.notes.push(sentence);
  return { ...environment, network, version, config, stdin: text, attachments, note };
}

function readStdin(host: Host): Uint8Array {
  try {
    return host.readStdin(STDIN_LIMIT);
  } catch (error) {
    throw new CniError(CNI_ERROR.io, messageOf(error));
  }
}

/** A `name` or `cniVersion` of the wrong type is a decoding error (code 6) for the Go skeleton, and libcni's users
 *  know it so. */
function orUndecodable<T>(decode: Decode<T>): Decode<T> {
  return (value, at) => {
    try {
      return decode(value, at);
    } catch (error) {
      throw new CniError(CNI_ERROR.decoding, messageOf(error));
    }
  };
}

const asAbsolutePath: Decode<string> = (value, at) => {
  const path = asText(value, at);
  if (!/^\/[^\0]*$/.test(path) || path.length > 4095) throw unexpected(value, at, "an absolute path");
  return path;
};

/** Throws code 8 when the container's namespace is the one that the runtime lives in, where ADD and DEL would change
 *  the host's own interfaces. The Go library looks only after the plugin has done so. */
function refuseOwnNetns(call: Omit<Call, "netns">, netns: Netns | undefined, host: Host): void {
  if (netns === undefined || call.netnsOverride || call.verb === "CHECK") return;
  const own = host.kernel().netns();
  own.close();
  if (netns.id !== own.id) return;
  throw new CniError(
    CNI_ERROR.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
    `CNI_NETNS is ${call.netnsPath}`,
  );
}

/** Only ADD prints on success. */
function dispatch(plugin: Plugin, call: Call, host: Host): string {
  switch (call.verb) {
    case "ADD":
      return formatResult(plugin.add(call, host), call.version);
    case "DEL":
      plugin.del(call, host);
      break;
    case "CHECK":
      plugin.check?.(call, host);
      break;
    case "GC":
      if (call.attachments === undefined)
        call.note("the runtime gave no list of valid attachments: nothing was removed");
      else plugin.gc?.(call, host);
      break;
    case "STATUS":
      plugin.status?.(call, host);
  }
  return "";
}

/** Prints the error document; of a mistake of ours also where it happened. A closed standard output leaves only the
 *  exit code. */
function reportFailure(host: Host, record: CallRecord, failure: CniError, error: unknown): void {
  try {
    host.writeStdout(formatError(failure, record.version ?? NEWEST_VERSION));
  } catch (unwritable) {
    record.notes.push(`the error could not be printed: ${messageOf(unwritable)}`);
  }
  const mistake = failure !== error && failure.code === OWN_ERROR.internal;
  if (mistake && error instanceof Error) tell(host, error.stack ?? error.message);
}

/** A call never fails because it could not be logged. */
function leaveLine(plugin: Plugin, host: Host, record: CallRecord, failure: CniError | undefined): void {
  const line = {
    plugin: plugin.name,
    verb: host.env["CNI_COMMAND"],
    container: host.env["CNI_CONTAINERID"],
    network: record.network,
    ifname: host.env["CNI_IFNAME"],
    durationUs: Math.round((host.clock.monotonic() - record.began) * 1000),
    notes: record.notes,
  };
  try {
    logCall(host.files, host.clock, record.logFile ?? DEFAULT_LOG_FILE, line, failure);
  } catch (error) {
    tell(host, messageOf(error));
  }
}

/** Standard error is free text to runtimes. When it is closed there is nobody left to tell. */
function tell(host: Host, text: string): void {
  try {
    host.writeStderr(`${text}\n`);
  } catch {
    return;
  }
}
