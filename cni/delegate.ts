import { messageOf, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { asInteger, asText, optional, parseObject, required, type Section } from "./config.ts";
import { CNI_ERROR, CniError, OWN_ERROR } from "./error.ts";
import type { Call, Host } from "./protocol.ts";
import type { Result } from "./result.ts";
import { readResult } from "./result-reader.ts";
import type { Verb } from "./version.ts";

/** How a delegated plugin is run. */
export interface DelegateOptions {
  /** What the plugin gets on standard input: the caller's whole configuration, unchanged, when absent. */
  readonly stdin?: string;
  /** Longest run, in milliseconds; {@link TIME_LIMIT_MS} when absent. */
  readonly timeLimitMs?: number;
}

/** Longest run of a delegated plugin. Mesos waits for us without any limit and the kubelet two minutes; below one
 *  minute there is time left to undo the ADD and to say why it failed. */
const TIME_LIMIT_MS = 55_000;

/** Most output of a delegated plugin, in bytes of each stream: a result has a few hundred. */
const OUTPUT_LIMIT = 1 << 20;

/** Longest part of a plugin's standard error that becomes an error message, in characters. */
const QUOTE_LIMIT = 1000;

const utf8 = new TextDecoder();

/** Runs ADD of the plugin `type` (specification section 4, delegated plugins) and returns its result. When the plugin
 *  fails its DEL is run before the error is thrown, as the specification asks, because half an ADD may have happened.
 *  The plugin's own error keeps its code. */
export function delegateAdd(call: Call, host: Host, type: string, options: DelegateOptions = {}): Result {
  const program = findPlugin(host.files, type, call.path);
  try {
    const output = run(program, "ADD", call, host, options);
    const document: Section = { at: `the result of ${type}`, fields: parseObject(output, `the result of ${type}`) };
    return readResult(document, call.version);
  } catch (error) {
    try {
      run(program, "DEL", call, host, options);
    } catch (cause) {
      call.note(`DEL of ${type} after its failed ADD failed too: ${messageOf(cause)}`);
    }
    throw error;
  }
}

/** Runs a verb that answers nothing. */
export function delegate(
  verb: Exclude<Verb, "ADD" | "VERSION">,
  call: Call,
  host: Host,
  type: string,
  options: DelegateOptions = {},
): void {
  run(findPlugin(host.files, type, call.path), verb, call, host, options);
}

/** The file of the plugin `type` in the directories of CNI_PATH, searched in order. As the reference, it doesn't
 *  look at the permission to execute: a file without it is an error, not a reason to search on. A symbolic link will
 *  do. */
export function findPlugin(files: Files, type: string, path: readonly string[]): string {
  if (type === "") throw new CniError(CNI_ERROR.invalidConfig, "no plugin name provided");
  if (/[/\0]/.test(type)) throw new CniError(CNI_ERROR.invalidConfig, `invalid plugin name: ${JSON.stringify(type)}`);
  for (const directory of path) {
    const candidate = `${directory}/${type}`;
    const kind = files.stat(candidate)?.type;
    if (kind === "file" || kind === "symlink") return candidate;
  }
  const message = `failed to find plugin ${JSON.stringify(type)} in path [${path.join(" ")}]`;
  throw new CniError(OWN_ERROR.notFound, message, "install it in a directory of CNI_PATH");
}

/** Runs the program to its end and returns its standard output. Both output streams are pipes of ours, never our own
 *  streams: Mesos waits until every holder of those has closed them, and a plugin may leave a child behind. It gets
 *  a process group of its own so that such children die with it when it exceeds a limit. */
function run(program: string, verb: Verb, call: Call, host: Host, options: DelegateOptions): string {
  const { stdin = call.stdin, timeLimitMs = TIME_LIMIT_MS } = options;
  const child = spawn(program, { ...host.env, CNI_COMMAND: verb }, stdin, timeLimitMs);
  const stdout = utf8.decode(child.stdout);
  const stderr = utf8.decode(child.stderr);
  if (stderr !== "") host.writeStderr(stderr);
  if (child.exitCode === 0) return stdout;
  if (child.exitCode !== null) throw pluginError(program, stdout, stderr);
  killGroup(child.pid);
  const tried = `run ${verb} of the plugin ${program}`;
  if (child.exitedDueToTimeout) {
    throw new NetError("timeout", { tried, said: `it did not end within ${timeLimitMs / 1000} s and was killed` });
  }
  if (child.exitedDueToMaxBuffer) {
    throw new NetError("io", { tried, said: `it printed more than ${OUTPUT_LIMIT} bytes and was killed` });
  }
  throw new NetError("io", { tried, said: `it was killed by ${child.signalCode}` });
}

function spawn(
  program: string,
  env: Readonly<Record<string, string | undefined>>,
  stdin: string,
  timeLimitMs: number,
): Bun.SyncSubprocess<"pipe", "pipe"> {
  try {
    return Bun.spawnSync([program], {
      env,
      stdin: new TextEncoder().encode(stdin),
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
      timeout: timeLimitMs,
      maxBuffer: OUTPUT_LIMIT,
      killSignal: "SIGKILL",
    });
  } catch (error) {
    throw new NetError("io", { tried: `run the plugin ${program}`, said: messageOf(error), cause: error });
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // The group is empty: the plugin had no children.
  }
}

/** The error of a plugin that ended with a failure: its own document, or what it left on standard error (as libcni
 *  does). */
function pluginError(program: string, stdout: string, stderr: string): CniError {
  const quote = JSON.stringify(stderr.trim().slice(0, QUOTE_LIMIT));
  if (stdout.trim() === "") {
    const said = stderr.trim() === "" ? "failed with no error message" : `failed: ${quote}`;
    return new CniError(OWN_ERROR.plugin, `plugin ${program} ${said}`);
  }
  try {
    const document: Section = { at: "the error", fields: parseObject(stdout, "the error") };
    const code = required(document, "code", asInteger(0, 0xffffffff));
    return new CniError(code, optional(document, "msg", asText) ?? "", optional(document, "details", asText));
  } catch (error) {
    return new CniError(OWN_ERROR.plugin, `plugin ${program} failed: ${messageOf(error)}`);
  }
}
