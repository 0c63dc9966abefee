import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };

// Packs what `make build` left into dist/dcos-net-VERSION-linux-ARCH.tar.gz: the executable, its CNI names (hard links,
// so one body), the systemd unit, license and manual. The same tree gives the same bytes.

const ROOT = join(import.meta.dir, "..");
const NAME = `dcos-net-${manifest.version}-linux-${process.arch}`;
const ARCHIVE = `dist/${NAME}.tar.gz`;

const { stdout } = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { cwd: ROOT });
const seconds = stdout.toString().trim() || "0";
const { exitCode } = Bun.spawnSync(
  [
    "tar",
    "--create",
    "--use-compress-program=gzip -n",
    `--file=${ARCHIVE}`,
    "--sort=name",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    `--mtime=@${seconds}`,
    `--transform=s,^\\(dist\\|packaging\\)/,,;s,^,${NAME}/,`,
    "dist/dcos-net",
    "dist/cni",
    "packaging/dcos-net-agent.service",
    "LICENSE",
    "README.md",
  ],
  { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] },
);
if (exitCode === 0) console.log(`packed ${ARCHIVE}`);
process.exitCode = exitCode;
