import { messageOf, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { asInteger, asText, optional, parseObject, required, type Section } from "./config.ts";
import { CNI_ERROR, CniError, OWN_ERROR } from "./error.ts";
import type { Call, Host } from "./protocol.ts";
import { type Result, readResult } from "./result.ts";
import type { Verb } from "./version.ts";

/** Longest run of a delegated plugin, in milliseconds. Mesos waits for us without any limit and the kubelet two
 *  minutes; below one minute there is time left to undo the ADD and to say why it failed. */
const TIME_LIMIT_MS = 55_000;

/** Most output of a delegated plugin, in bytes of each stream: a result has a few hundred. */
const OUTPUT_LIMIT = 1 << 20;

/** Longest part of a plugin's standard error that becomes an error message, in characters. */
const QUOTE_LIMIT = 1000;

const utf8 = new TextDecoder();

/** Runs ADD of the plugin `type` (specification section 4, delegated plugins) and returns its result. `stdin` is the
 *  whole configuration, unchanged unless the caller's own rules say otherwise. When the plugin fails its DEL is run
 *  before the error is thrown, as the specification asks, because half an ADD may have happened. The plugin's own
 *  error keeps its code. */
export function delegateAdd(call: Call, host: Host, type: string, stdin: string = call.stdin): Result {
  const program = findPlugin(host.files, type, call.path);
  try {
    const output = run(program, type, "ADD", host, stdin);
    const document: Section = { at: `the result of ${type}`, fields: parseObject(output, `the result of ${type}`) };
    return readResult(document, call.version);
  } catch (error) {
    try {
      run(program, type, "DEL", host, stdin);
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
  stdin: string = call.stdin,
): void {
  run(findPlugin(host.files, type, call.path), type, verb, host, stdin);
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
function run(program: string, type: string, verb: Verb, host: Host, stdin: string): string {
  const child = spawn(program, verb, host, stdin);
  const stdout = utf8.decode(child.stdout);
  const stderr = utf8.decode(child.stderr);
  if (stderr !== "") host.writeStderr(stderr);
  if (child.exitCode === 0) return stdout;
  if (child.exitCode !== null) throw pluginError(type, stdout, stderr);
  killGroup(child.pid);
  const tried = `run ${verb} of the plugin ${program}`;
  if (child.exitedDueToTimeout) {
    throw new NetError("timeout", { tried, said: `it did not end within ${TIME_LIMIT_MS / 1000} s and was killed` });
  }
  if (child.exitedDueToMaxBuffer) {
    throw new NetError("io", { tried, said: `it printed more than ${OUTPUT_LIMIT} bytes and was killed` });
  }
  throw new NetError("io", { tried, said: `it was killed by ${child.signalCode}` });
}

function spawn(program: string, verb: Verb, host: Host, stdin: string): Bun.SyncSubprocess<"pipe", "pipe"> {
  try {
    return Bun.spawnSync([program], {
      env: { ...host.env, CNI_COMMAND: verb },
      stdin: new TextEncoder().encode(stdin),
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
      timeout: TIME_LIMIT_MS,
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
function pluginError(type: string, stdout: string, stderr: string): CniError {
  const quote = JSON.stringify(stderr.trim().slice(0, QUOTE_LIMIT));
  if (stdout.trim() === "") {
    const said = stderr.trim() === "" ? "failed with no error message" : `failed: ${quote}`;
    return new CniError(OWN_ERROR.internal, `plugin ${type} ${said}`);
  }
  try {
    const document: Section = { at: `the error of ${type}`, fields: parseObject(stdout, `the error of ${type}`) };
    const code = required(document, "code", asInteger(0, 0xffffffff));
    return new CniError(code, optional(document, "msg", asText) ?? "", optional(document, "details", asText));
  } catch (error) {
    return new CniError(CNI_ERROR.decoding, `plugin ${type} failed, and its error can't be read: ${messageOf(error)}`);
  }
}
