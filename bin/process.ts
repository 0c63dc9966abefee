import { readdirSync, readFileSync, statSync } from "node:fs";

/** A process that can't be mistaken for a later one of the same number. */
export interface ProcessId {
  readonly pid: number;
  /** When it was started, clock ticks since boot: field 22 of /proc/<pid>/stat (proc(5)). */
  readonly start: string;
}

/** The process that now has this number; undefined when there is none, or when it has ended and only waits for its
 *  parent. */
export function processOf(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, start] = [fields[0], fields[19]];
    return state === undefined || "ZX".includes(state) || start === undefined ? undefined : { pid, start };
  } catch {
    return undefined;
  }
}

export function isAlive({ pid, start }: ProcessId): boolean {
  return processOf(pid)?.start === start;
}

/** Processes whose main thread is in one of the namespaces, given as identities by {@link netnsIdentity}. */
export function processesIn(namespaces: ReadonlySet<string>): ProcessId[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const identity = netnsIdentity(`/proc/${name}/ns/net`);
    if (identity === undefined || !namespaces.has(identity)) return [];
    return processOf(Number(name)) ?? [];
  });
}

/** Device and inode of a namespace file; undefined when it is missing. Equal for all files of one namespace. */
export function netnsIdentity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** Asks processes to end, and ends those that have not after `graceMs` milliseconds. `find` is asked again each time,
 *  so that children born meanwhile are included. Returns when none is left, or false when some survive even SIGKILL
 *  for two seconds. */
export async function endProcesses(find: () => readonly ProcessId[], graceMs: number): Promise<boolean> {
  if (await signalUntilGone(find, "SIGTERM", graceMs)) return true;
  return signalUntilGone(find, "SIGKILL", 2000);
}

async function signalUntilGone(
  find: () => readonly ProcessId[],
  signal: NodeJS.Signals,
  limitMs: number,
): Promise<boolean> {
  const told = new Set<string>();
  const deadline = performance.now() + limitMs;
  for (;;) {
    const left = find();
    if (left.length === 0) return true;
    for (const { pid, start } of left) {
      if (told.has(`${pid}:${start}`)) continue;
      told.add(`${pid}:${start}`);
      send(pid, signal);
    }
    if (performance.now() >= deadline) return false;
    await Bun.sleep(20);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in the meantime.
  }
}
