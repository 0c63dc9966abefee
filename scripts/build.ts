import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { OPTIONS } from "./build-options.ts";

// Builds dist/dcos-net, one executable that holds the program and its runtime, and dist/cni, the same file under the
// name of each CNI plugin: ours, and those of the reference plugins that it can stand in for.

const ROOT = join(import.meta.dir, "..");
const EXECUTABLE = join(ROOT, "dist/dcos-net");
const LINKS = join(ROOT, "dist/cni");
const OWN_NAMES = ["dcos", "dcos-ipam", "dcos-l4lb", "dcos-portmap", "mesos-cni-port-mapper"];
const REFERENCE_NAMES = ["bridge", "host-local", "loopback", "portmap"];
const PLUGINS = [...OWN_NAMES, ...REFERENCE_NAMES];

/** Compiles into a temporary file and renames it, so that a program running from the old file isn't disturbed. */
function compile(): void {
  const temporary = `${EXECUTABLE}.${process.pid}.tmp`;
  try {
    const { exitCode } = Bun.spawnSync(
      [process.execPath, "build", ...OPTIONS, `--outfile=${temporary}`, "bin/dcos-net.ts", "dns/fast/worker.ts"],
      { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] },
    );
    if (exitCode !== 0) throw new Error(`bun build ended with status ${exitCode}`);
    chmodSync(temporary, 0o755);
    renameSync(temporary, EXECUTABLE);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Hard links: the kernel maps one file for all names, and `cp -a` and `tar` copy the directory with one body. Each
 *  name changes in one step, so that a plugin called meanwhile is there. */
function link(): void {
  mkdirSync(LINKS, { recursive: true });
  for (const name of PLUGINS) {
    const temporary = join(LINKS, `.${name}.${process.pid}.tmp`);
    linkSync(EXECUTABLE, temporary);
    renameSync(temporary, join(LINKS, name));
    // Renaming between two names of one file does nothing, and leaves both.
    rmSync(temporary, { force: true });
  }
}

mkdirSync(join(ROOT, "dist"), { recursive: true });
compile();
link();
const megabytes = Math.round(statSync(EXECUTABLE).size / 1e6);
console.log(`built dist/dcos-net (${megabytes} MB) and its names in dist/cni: ${PLUGINS.join(", ")}`);
