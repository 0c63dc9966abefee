import { messageOf } from "../lib/error.ts";
import type { answer } from "./answer.ts";
import { DEFAULT_LOG_FILE, logCall } from "./call-log.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { type CniError, formatError, OWN_ERROR, toCniError } from "./error.ts";
import type { CallRecord, Host, Plugin } from "./protocol.ts";
import { CNI_VERSIONS, NEWEST_VERSION, versionAnswer } from "./version.ts";

/** A plugin whose code is loaded by its first verb: VERSION needs none of it, nor of what reads configurations. */
export interface Program {
  /** The name it is called by. */
  readonly name: string;
  load(): { readonly plugin: Plugin; readonly answer: typeof answer };
}

/** Serves one call of `program` and returns the exit code: 0, or 1 with one error document on standard output. Never
 *  throws. */
export function serve(program: Program, host: Host): number {
  const record: CallRecord = { began: host.clock.monotonic(), notes: [] };
  let failure: CniError | undefined;
  try {
    const environment = readEnvironment(host.env);
    if (environment === undefined) return introduce(program, host);
    record.environment = environment;
    const output = environment.verb === "VERSION" ? versionAnswer() : carryOut(program, environment, host, record);
    if (output !== "") host.writeStdout(output);
  } catch (error) {
    failure = toCniError(error, record.environment?.verb ?? "");
    reportFailure(host, record, failure, error);
  }
  leaveLine(program, host, record, failure);
  return failure === undefined ? 0 : 1;
}

function carryOut(program: Program, environment: Environment, host: Host, record: CallRecord): string {
  const { plugin, answer } = program.load();
  return answer(plugin, environment, host, record);
}

/** Without CNI_COMMAND somebody runs the plugin by hand; the Go skeleton answers so, with success. */
function introduce(program: Program, host: Host): number {
  tell(host, `${program.load().plugin.about}\nCNI protocol versions supported: ${CNI_VERSIONS.join(", ")}`);
  return 0;
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
function leaveLine({ name }: Program, host: Host, record: CallRecord, failure: CniError | undefined): void {
  const line = {
    plugin: name,
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
