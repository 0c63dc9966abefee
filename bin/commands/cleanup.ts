import { resolve } from "node:path";
import type { Command } from "commander";
import { jsonLog } from "../../lib/log.ts";
import { type App, EXIT } from "../app.ts";
import { dnsRemnants } from "../cleanup/dns.ts";
import { dockerRemnants } from "../cleanup/docker.ts";
import { pluginRemnants, stateRemnants } from "../cleanup/files.ts";
import type { Host } from "../cleanup/host.ts";
import { overlayRemnants } from "../cleanup/overlay.ts";
import { type CleanupStep, cleanUp, isClean, type Remnant, stepLines } from "../cleanup/remnant.ts";
import { tableRemnants } from "../cleanup/tables.ts";
import { vipRemnants } from "../cleanup/vips.ts";
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
It leaves logs, leases, the settings in /etc/dcos-net, bridges of other CNI networks, labs, and sysctls such as
ip_forward.
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
    const steps = await cleanHost(app, { config, kernel, files }, options);
    show(app.out, options.json === true, steps, stepLines);
    if (options.dryRun !== true && !isClean(steps)) app.exitCode = EXIT.bad;
  } finally {
    lock.release();
  }
}

/** What the node remembers goes last and only when nothing else is left: a later call needs it to find the rest. */
async function cleanHost(app: App, host: Host, options: Options): Promise<CleanupStep[]> {
  const { dryRun = false, force = false, state = false, cniBinDir } = options;
  const log = jsonLog(
    "cleanup",
    host.config.log_level,
    () => new Date(),
    (line) => app.out.note(line.trimEnd()),
  );
  const remnants: Remnant[] = [
    ...overlayRemnants(host),
    ...(await dockerRemnants(host, log)),
    ...vipRemnants(host),
    ...dnsRemnants(host),
    ...tableRemnants(host),
    ...pluginRemnants(resolve(cniBinDir)),
  ];
  const steps = await cleanUp(remnants, { dryRun, force });
  if (!state || !(dryRun || isClean(steps))) return steps;
  return [...steps, ...(await cleanUp(stateRemnants(host.config), { dryRun, force }))];
}
