import type { Log } from "../../lib/log.ts";
import { dnsRemnants } from "./dns.ts";
import { dockerRemnants } from "./docker.ts";
import { pluginRemnants, stateRemnants } from "./files.ts";
import type { Host } from "./host.ts";
import { overlayRemnants } from "./overlay.ts";
import { type CleanupOptions, type CleanupStep, cleanUp, isClean, type Remnant } from "./remnant.ts";
import { tableRemnants } from "./tables.ts";
import { vipRemnants } from "./vips.ts";

export interface HostCleanup extends CleanupOptions {
  /** What the node remembers goes, too. */
  readonly state: boolean;
  /** Directory of the CNI plugins. */
  readonly plugins: string;
  readonly log: Log;
}

/** Takes everything of ours off the host. What the node remembers goes last and only when nothing else is left: a later
 *  call needs it to find the rest. */
export async function cleanHost(host: Host, { state, plugins, log, ...options }: HostCleanup): Promise<CleanupStep[]> {
  const remnants: Remnant[] = [
    ...overlayRemnants(host),
    ...(await dockerRemnants(host, log)),
    ...vipRemnants(host),
    ...dnsRemnants(host),
    ...tableRemnants(host),
    ...pluginRemnants(plugins),
  ];
  const steps = await cleanUp(remnants, options);
  if (!state || !(options.dryRun || isClean(steps))) return steps;
  return [...steps, ...(await cleanUp(stateRemnants(host.config), options))];
}
