import { resolve } from "node:path";
import type { Command } from "commander";
import { jsonLog, type Log } from "../../lib/log.ts";
import { type App, EXIT } from "../app.ts";
import { isClean, stepLines } from "../cleanup/remnant.ts";
import { DEFAULT_PLUGIN_DIR } from "../cni-install.ts";
import { show } from "../output.ts";
import { holdRunDir } from "../run-dir.ts";
import { requireRoot } from "../self.ts";

interface Options {
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly state?: boolean;
  readonly cniBinDir: string;
  readonly json?: boolean;
}

/** `dcos-net cleanup`: the host as if there had never been an agent. */
export function addCleanup(program: Command, app: App): void {
  program
    .command("cleanup")
    .description("remove all that dcos-net has made on this host; exit status 1 when something is left")
    .option("--dry-run", "only list what there is")
    .option("--force", "also what containers still use: they lose their network")
    .option("--state", "also what this node remembers: its id, allocations and records")
    .option("--cni-bin-dir <dir>", "where `cni install` has put the plugins", DEFAULT_PLUGIN_DIR)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Stop the agent first: systemctl disable --now dcos-net-agent. This removes links, rules, routes, addresses, nftables
tables, virtual IPs of every data plane, Docker networks, CNI configurations and plugins, and restores resolv.conf.
It leaves logs, leases, settings in /etc/dcos-net, bridges of other CNI networks, labs, and sysctls (ip_forward).
What can't be removed is named, with the reason; run it again once that no longer holds.`,
    )
    .action((options: Options) => cleanup(app, options));
}

async function cleanup(app: App, options: Options): Promise<void> {
  requireRoot("clean up this host");
  const { kernel, files } = app;
  const { config } = app.settings();
  const lock = holdRunDir(files, config.run_dir, process.pid, {
    tried: "clean up this host",
    remedy: "stop it first, or it puts everything back",
  });
  try {
    // Only this command needs the parts of all features.
    const { cleanHost } = await import("../cleanup/clean-host.ts");
    const { dryRun = false, force = false, state = false, cniBinDir } = options;
    const plugins = resolve(cniBinDir);
    const steps = await cleanHost({ config, kernel, files }, { dryRun, force, state, plugins, log: logTo(app) });
    show(app.out, options.json === true, steps, stepLines);
    if (!dryRun && !isClean(steps)) app.exitCode = EXIT.bad;
  } finally {
    lock.release();
  }
}

/** Beside the answer, which may be JSON. */
function logTo(app: App): Log {
  return jsonLog(
    "cleanup",
    app.settings().config.log_level,
    () => new Date(),
    (line) => app.out.note(line.trimEnd()),
  );
}
