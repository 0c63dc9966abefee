import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the Docker part of the demo takes, with the Debian package of each. */
const PROGRAMS = {
  dockerd: "docker.io",
  docker: "docker.io",
  containerd: "containerd",
  runc: "runc",
  busybox: "busybox-static",
};
const APPLETS = ["sh", "mkdir", "hostname", "httpd", "wget", "nslookup"];
const CGROUPS = "/sys/fs/cgroup";

/** Why there can be no Docker container on this machine; undefined when there can. */
export function dockerProblem(): string | undefined {
  const missing = Object.entries(PROGRAMS).filter(([program]) => Bun.which(program) === null);
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map(([, name]) => name))].join(" ");
  return `${missing.map(([program]) => program).join(", ")} missing (Debian: ${packages})`;
}

/** Makes an image of busybox and nothing else, so that nothing needs to be fetched, as a tar that is there while `take`
 *  runs. */
export async function withImage<T>(take: (tar: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "dcos-net-demo-"));
  try {
    const bin = join(folder, "root/bin");
    mkdirSync(bin, { recursive: true });
    copyFileSync(Bun.which("busybox") ?? "", join(bin, "busybox"));
    for (const applet of APPLETS) symlinkSync("busybox", join(bin, applet));
    const tar = join(folder, "image.tar");
    await Bun.$`tar -C ${join(folder, "root")} -cf ${tar} .`.quiet();
    return await take(tar);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Control groups of a lab's Docker containers that are still there. */
export function controlGroupsOf(lab: string): string[] {
  const all = readdirSync(CGROUPS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const paths = [CGROUPS, ...all.map(({ name }) => join(CGROUPS, name))];
  return paths.flatMap((path) => readdirSync(path)).filter((name) => name.startsWith(`dcos-net-${lab}-`));
}
