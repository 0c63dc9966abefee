import { DnsKeeper } from "../../dns/apply.ts";
import { NetError } from "../../lib/error.ts";
import { lingering } from "../dns/handover.ts";
import { DEFAULT_RESOLV_CONF, ResolvConfFile } from "../dns/resolv-conf-file.ts";
import { backupPath, dnsSettings } from "../dns/settings.ts";
import { endProcesses } from "../process.ts";
import type { Host } from "./host.ts";
import type { Remnant } from "./remnant.ts";

/** How long the process that stands in for an agent has to end by itself, milliseconds. */
const GRACE_MS = 5000;

/** resolv.conf first, so that the host's programs never ask an address that is gone. */
export function dnsRemnants(host: Host): Remnant[] {
  const { config, kernel } = host;
  const { addresses, untracked } = dnsSettings(config);
  const { dns_device: device, dns_port: port } = config;
  const keeper = new DnsKeeper({ kernel, device, addresses, untracked, port });
  const path = config.dns_resolv_conf || DEFAULT_RESOLV_CONF;
  const resolvConf = new ResolvConfFile({ path, backup: backupPath(config) });
  const kept = keeper.remains();
  return [
    ...(resolvConf.isOwn() ? [{ what: `our ${path}`, remove: () => void resolvConf.restore() }] : []),
    ...standInRemnants(host),
    ...(kept.length === 0 ? [] : [{ what: kept.join(" and "), remove: () => void keeper.remove() }]),
  ];
}

/** The process that answers names for an agent that has ended. */
function standInRemnants({ config: { run_dir: runDir }, files }: Host): Remnant[] {
  const running = () => {
    const found = lingering(files, runDir);
    return found === undefined ? [] : [found];
  };
  const [process] = running();
  if (process === undefined) return [];
  const what = `process ${process.pid}, which answers names for the agent`;
  const remove = async () => {
    if (await endProcesses(running, GRACE_MS)) return;
    throw new NetError("busy", { tried: `end ${what}`, said: "it goes on running", remedy: "try again" });
  };
  return [{ what, remove }];
}
