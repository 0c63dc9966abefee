import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/** The newest when this was written. Debian has no package of CoreDNS. */
const VERSION = "v1.15.0";
const PROGRAMS = join(import.meta.dir, "../../bench-results/programs");
const LIMIT_MS = 20 * 60_000;

/** The program's file, once {@link buildCoreDns} has made it. */
export const COREDNS = join(PROGRAMS, `coredns-${VERSION}`);

/** Builds CoreDNS with this machine's Go, unless it is there already: that takes minutes, and 3 GB of disk until it is
 *  done. Gives the reason when it can't be had. */
export async function buildCoreDns(): Promise<string | undefined> {
  if (existsSync(COREDNS)) return undefined;
  if (Bun.which("go") === null) return "no Go to build it with";
  console.log(`CoreDNS ${VERSION} is built, once`);
  mkdirSync(PROGRAMS, { recursive: true });
  const directory = mkdtempSync(join(PROGRAMS, "build-"));
  try {
    return await install(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Everything that Go fetches and makes stays in the directory, and can be removed from there (`-modcacherw`). */
async function install(directory: string): Promise<string | undefined> {
  const place = { GOPATH: directory, GOBIN: directory, GOCACHE: join(directory, "cache"), GOTMPDIR: directory };
  const env = { ...process.env, ...place, GOFLAGS: "-modcacherw", GOTOOLCHAIN: "local" };
  const command = ["go", "install", `github.com/coredns/coredns@${VERSION}`];
  const go = Bun.spawn(command, { env, timeout: LIMIT_MS, stdio: ["ignore", "ignore", "pipe"] });
  const said = await new Response(go.stderr).text();
  if ((await go.exited) !== 0) return `go install: ${said.trim().split("\n").at(-1) || "it took too long"}`;
  renameSync(join(directory, "coredns"), COREDNS);
  return undefined;
}
