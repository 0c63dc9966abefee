import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The program of Debian's package user-mode-linux. */
export const UML = "linux.uml";
/** Everything that a boot needs. */
export const UML_PROGRAMS: readonly string[] = [UML, "modprobe", "setpriv"];

const ROOT = join(import.meta.dir, "../..");
const INIT = join(import.meta.dir, "uml-init.sh");
/** Where the file of {@link UmlCommand.record} is inside. */
export const UML_RECORD = "/dev/tty1";
const MEMORY = "mem=1G";
/** SIGTERM makes user-mode Linux end its helpers too. */
const DIES_WITH_US = ["setpriv", "--pdeathsig", "TERM"];

export interface UmlCommand {
  /** Words of the command, run in the tree's root as root of a Linux 6.1 with IPVS; its own root file system is the
   *  machine's, read-only. */
  readonly command: readonly string[];
  /** A file of the machine to which goes what the command writes to {@link UML_RECORD}. */
  readonly record?: string;
  /** Each line that the command prints, without its end. */
  readonly onLine: (line: string) => void;
}

/** Boots user-mode Linux, runs the command and returns its exit status. Throws with what the kernel said when it ended
 *  before the command did. Nothing of it outlives the caller, however that ends; several can run at once. */
export async function runInUml({ command, record = "/dev/null", onLine }: UmlCommand): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-uml-"));
  const recorder = openSync(record, "a");
  const words = [
    MEMORY,
    "root=/dev/root",
    "rootfstype=hostfs",
    "rootflags=/",
    "ro",
    "quiet",
    // Refusals that a test asks for aren't shown.
    "loglevel=1",
    `uml_dir=${directory}/`,
    "con=null",
    "con0=null,fd:1",
    "con1=null,fd:3",
    `init=${INIT}`,
    `TREE=${ROOT}`,
    `COMMAND="${command.map(inTree).map(quoted).join(" ")}"`,
  ];
  const child = Bun.spawn([...DIES_WITH_US, UML, ...words], { stdio: ["ignore", "pipe", "inherit", recorder] });
  try {
    return await statusOf(child.stdout, onLine);
  } finally {
    // The kernel inside leads a process group of its own.
    process.kill(-child.pid, "SIGKILL");
    await child.exited;
    closeSync(recorder);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Reads to the end of the command. What comes before its beginning is the kernel's. */
async function statusOf(output: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<number> {
  const decoder = new TextDecoder();
  const boot: string[] = [];
  let begun = false;
  let rest = "";
  for await (const chunk of output) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.map((each) => each.replace(/\r$/, ""))) {
      const status = /^uml: end (\d+)$/.exec(line)?.[1];
      if (status !== undefined) return Number(status);
      if (begun) onLine(line);
      else boot.push(line);
      begun ||= line === "uml: begin";
    }
  }
  throw new Error(`user-mode Linux ended before its command: ${[...boot, rest].slice(-20).join("\n")}`);
}

/** A path of the tree as it is inside, where the tree is somewhere else. */
function inTree(word: string): string {
  return word.startsWith(`${ROOT}/`) ? word.slice(ROOT.length + 1) : word;
}

/** A word for the shell inside; the kernel's command line can't carry double quotes. */
function quoted(word: string): string {
  if (word.includes('"')) throw new Error(`a double quote in ${word}`);
  return `'${word.replaceAll("'", "'\\''")}'`;
}
