import { CNI_ERROR, CniError } from "./error.ts";
import { isVerb, type Verb } from "./version.ts";

/** What the runtime said through the environment, checked. Text that the verb doesn't need may be empty. */
export interface Environment {
  readonly verb: Verb;
  readonly containerId: string;
  /** Path of the container's network namespace. */
  readonly netnsPath: string;
  readonly ifname: string;
  /** CNI_ARGS, not yet parsed: only plugins that use it judge it (`cni/arguments.ts`). */
  readonly args: string;
  /** Directories of CNI_PATH, in order, empty ones left out. */
  readonly path: readonly string[];
  /** The caller allows CNI_NETNS to be the plugin's own namespace. */
  readonly netnsOverride: boolean;
}

/** Longest container id and network name, in characters. The specification and the reference know no limit, but both
 *  become names of files and directories here and in libcni's cache, and Linux ends those at 255 bytes (NAME_MAX): a
 *  longer one would fail half-way through an ADD. A Mesos container nested five deep has 221 characters. */
export const NAME_LIMIT = 255;

/** linux/if.h IFNAMSIZ less the terminating zero. */
const IFNAME_BYTES = 15;
const LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const utf8 = new TextEncoder();

interface Variable {
  readonly name: string;
  readonly requiredFor: readonly Verb[];
  /** Judges a value that the verb requires. */
  readonly check?: (value: string) => void;
}

/** The only table of variables, in the order in which missing ones are reported. CNI_PATH is optional by the
 *  specification and required by the Go skeleton; all runtimes give it, and callers know the skeleton's answer. */
const VARIABLES = [
  { name: "CNI_COMMAND", requiredFor: [] },
  { name: "CNI_CONTAINERID", requiredFor: ["ADD", "DEL", "CHECK"], check: checkContainerId },
  { name: "CNI_NETNS", requiredFor: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", requiredFor: ["ADD", "DEL", "CHECK"], check: checkInterfaceName },
  { name: "CNI_ARGS", requiredFor: [] },
  { name: "CNI_PATH", requiredFor: ["ADD", "DEL", "CHECK", "GC", "STATUS"] },
  { name: "CNI_NETNS_OVERRIDE", requiredFor: [] },
] as const satisfies readonly Variable[];

/** Reads and checks the environment of a call; undefined when CNI_COMMAND is missing or empty. An empty value counts
 *  as missing. The verb is judged first, then all missing variables at once, then each value. Throws codes 3 and 4. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment | undefined {
  const value = (name: (typeof VARIABLES)[number]["name"]) => env[name] ?? "";
  const verb = value("CNI_COMMAND");
  if (verb === "") return undefined;
  if (!isVerb(verb)) throw invalid(`unknown CNI_COMMAND: ${verb.slice(0, 100)}`);
  requireVariables(verb, env);
  return {
    verb,
    containerId: value("CNI_CONTAINERID"),
    netnsPath: value("CNI_NETNS"),
    ifname: value("CNI_IFNAME"),
    args: value("CNI_ARGS"),
    path: value("CNI_PATH")
      .split(":")
      .filter((directory) => directory !== ""),
    netnsOverride: ["1", "true"].includes(value("CNI_NETNS_OVERRIDE").toLowerCase()),
  };
}

function requireVariables(verb: Verb, env: Readonly<Record<string, string | undefined>>): void {
  const missing: string[] = [];
  for (const { name, requiredFor } of VARIABLES as readonly Variable[]) {
    if (requiredFor.includes(verb) && (env[name] ?? "") === "") missing.push(name);
  }
  if (missing.length > 0) throw invalid(`required env variables [${missing.join(",")}] missing`);
  for (const { name, requiredFor, check } of VARIABLES as readonly Variable[]) {
    if (requiredFor.includes(verb)) check?.(env[name] ?? "");
  }
}

/** Throws code 3 or 4 unless `id` is one that may name a file. */
export function checkContainerId(id: string): void {
  if (id === "") throw new CniError(CNI_ERROR.unknownContainer, "missing containerID");
  if (!isName(id)) throw invalid("invalid characters in containerID", id.slice(0, NAME_LIMIT));
  if (id.length > NAME_LIMIT)
    throw invalid("containerID is too long", `${id.length} characters, at most ${NAME_LIMIT}`);
}

/** Throws code 7 unless `name` is a network's name that may name a directory. */
export function checkNetworkName(name: string): void {
  if (name === "") throw new CniError(CNI_ERROR.invalidConfig, "missing network name");
  if (!isName(name)) {
    const shown = name.slice(0, NAME_LIMIT);
    throw new CniError(CNI_ERROR.invalidConfig, "invalid characters found in network name", shown);
  }
  if (name.length > NAME_LIMIT) {
    const details = `${name.length} characters, at most ${NAME_LIMIT}`;
    throw new CniError(CNI_ERROR.invalidConfig, "network name is too long", details);
  }
}

/** Throws code 4 unless Linux takes `name` as an interface name (net/core/dev.c dev_valid_name). */
export function checkInterfaceName(name: string): void {
  if (name === "") throw invalid("interface name is empty");
  if (isName(name) && name.length <= IFNAME_BYTES) return;
  if (utf8.encode(name).length > IFNAME_BYTES) {
    throw invalid("interface name is too long", "interface name should be less than 16 characters");
  }
  if (name === "." || name === "..") throw invalid("interface name is . or ..");
  if (/[\s\u0085/:]/u.test(name)) throw invalid("interface name contains / or : or whitespace characters");
}

/** `[a-zA-Z0-9][a-zA-Z0-9_.-]*`. A regular expression would have to be compiled first, for 40 µs of every call. */
function isName(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (!LETTERS_AND_DIGITS.includes(character) && (at === 0 || !"_.-".includes(character))) return false;
  }
  return text !== "";
}

function invalid(message: string, details?: string): CniError {
  return new CniError(CNI_ERROR.invalidEnvironment, message, details);
}
