import type { Kernel, Netns } from "../kernel/kernel.ts";
import type { Clock } from "../lib/clock.ts";
import type { Files } from "../lib/files.ts";
import type { Attachment } from "./attachment.ts";
import type { Section } from "./config.ts";
import type { Environment } from "./environment.ts";
import type { Result } from "./result.ts";
import type { CniVersion } from "./version.ts";

/** Everything of the process and the machine that a call may use, handed in so that tests call `serve` as a function. */
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

/** What is known of the call so far, for the error document and for the log. */
export interface CallRecord {
  /** Milliseconds, monotonic. */
  readonly began: number;
  readonly notes: string[];
  environment?: Environment;
  network?: string;
  version?: CniVersion;
  logFile?: string;
}
