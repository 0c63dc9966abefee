import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };

// Packs what `make build` left into dist/dcos-net-VERSION-linux-ARCH.tar.gz: the executable, its CNI names (hard links,
// so one body), the systemd unit, license and manual. The same tree gives the same bytes. A failure leaves no archive.

const ROOT = join(import.meta.dir, "..");
const NAME = `dcos-net-${manifest.version}-linux-${process.arch}`;
const ARCHIVE = `dist/${NAME}.tar.gz`;
const UNFINISHED = `${ARCHIVE}.${process.pid}.tmp`;

/** Of the last commit, in seconds since 1970; 0 where the tree isn't a checkout or git isn't installed. */
function timeOfTree(): string {
  if (Bun.which("git") === null) return "0";
  const { stdout } = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { cwd: ROOT });
  return stdout.toString().trim() || "0";
}

/** What the documents of `docs` refer to beside each other. */
function manualOfRooms(): string[] {
  const rooms = "{bin,cnm-driver,dns,facts,gossip,ipam,l4lb,overlay}/**/README.md";
  return [...new Bun.Glob(rooms).scanSync({ cwd: ROOT })].sort();
}

const { exitCode } = Bun.spawnSync(
  [
    "tar",
    "--create",
    "--use-compress-program=gzip -n",
    `--file=${UNFINISHED}`,
    "--sort=name",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    `--mtime=@${timeOfTree()}`,
    `--transform=s,^\\(dist\\|packaging\\)/,,;s,^,${NAME}/,`,
    "dist/dcos-net",
    "dist/cni",
    "packaging/dcos-net-agent.service",
    "packaging/dcos-net.logrotate",
    "LICENSE",
    "README.md",
    "docs",
    "scripts/packages",
    ...manualOfRooms(),
  ],
  { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] },
);
if (exitCode === 0) {
  renameSync(join(ROOT, UNFINISHED), join(ROOT, ARCHIVE));
  console.log(`packed ${ARCHIVE}`);
} else {
  rmSync(join(ROOT, UNFINISHED), { force: true });
  process.exitCode = exitCode;
}
