import { readFileSync, rmSync } from "node:fs";
import { hasErrno, NetError } from "../../lib/error.ts";
import { endProcesses, netnsIdentity, processesIn } from "../process.ts";
import { removeCgroups } from "./cgroup.ts";
import { type LabContext, labNames, locked } from "./lab.ts";
import { labLayout } from "./layout.ts";

const GRACE_MS = 2000;

/** What {@link labDown} found and removed. */
export interface LabRemains {
  readonly processes: number;
  readonly namespaces: number;
}

/** Takes a lab down, whole, half made or half taken down: ends every process in its namespaces, then removes the
 *  namespaces, with which their links, addresses and firewall tables go, and the lab's directory. Looks at what there
 *  is and not at what should be, so nothing is left behind by a command that was killed in the middle. Throws a
 *  NetError when there is no such lab. */
export async function labDown(context: LabContext, name: string): Promise<LabRemains> {
  const layout = labLayout(context.root, name);
  const present = labNames(context.root);
  if (!present.includes(name)) {
    const said = present.length === 0 ? "no lab is up" : `there are: ${present.join(", ")}`;
    throw new NetError("not-found", { tried: `take down lab ${name}`, said });
  }
  return locked(context, layout, async () => {
    const namespaces = mountsBelow(layout.dir);
    const processes = await endAll(namespaces, name);
    await removeCgroups(context.files, layout);
    for (const path of namespaces) context.kernel.deleteNetns(path);
    rmSync(layout.dir, { recursive: true, force: true });
    removeIfEmpty(context, context.root);
    return { processes, namespaces: namespaces.length };
  });
}

async function endAll(namespaces: readonly string[], name: string): Promise<number> {
  const identities = new Set(namespaces.flatMap((path) => netnsIdentity(path) ?? []));
  // Before a namespace is mounted its file is an ordinary one, and nothing runs in it; ours is never among them.
  identities.delete(netnsIdentity("/proc/self/ns/net") ?? "");
  const found = processesIn(identities).length;
  if (await endProcesses(() => processesIn(identities), GRACE_MS)) return found;
  const left = processesIn(identities).map(({ pid }) => pid);
  throw new NetError("busy", {
    tried: `take down lab ${name}`,
    said: `these processes did not end: ${left.join(", ")}`,
    remedy: "end them, then try again",
  });
}

/** The last lab takes the directory of labs with it. */
function removeIfEmpty({ files }: LabContext, directory: string): void {
  try {
    files.removeDirectory(directory);
  } catch (error) {
    if (!hasErrno(error, "ENOTEMPTY")) throw error;
  }
}

/** Mount points below a directory: field 5 of /proc/self/mountinfo, where white space is written in octal (proc(5)). */
function mountsBelow(dir: string): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const paths = lines.map((line) => line.split(" ")[4] ?? "");
  const decoded = paths.map((path) =>
    path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
  );
  return decoded.filter((path) => path.startsWith(`${dir}/`));
}
