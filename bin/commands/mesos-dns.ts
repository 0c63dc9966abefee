import { type Command, Option } from "commander";
import { type Endpoint, tryParseUpstream } from "../../dns/endpoint.ts";
import type { Forwarder } from "../../dns/forward/forwarder.ts";
import { type MesosDnsConfig, readMesosDnsConfig } from "../../dns/mesos/config.ts";
import type { SourceRule } from "../../dns/mesos/records.ts";
import { withoutWildcards } from "../../dns/mesos/zone.ts";
import { parseName } from "../../dns/name.ts";
import { DnsServer } from "../../dns/server.ts";
import { Zones } from "../../dns/zones.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { App } from "../app.ts";
import { TABLE_BYTES } from "../dns/agent-dns.ts";
import { hostResolvers, startForwarder } from "../dns/forwarding.ts";
import { MesosDns } from "../dns/mesos-dns.ts";
import { defaultWorkers } from "../dns/settings.ts";
import { daemonLog, endSignal } from "./daemon.ts";

/** Memory for the answers of others. */
const CACHE_BYTES = 64 << 20;

interface Options {
  readonly ipSourceRule: SourceRule;
}

/** `dcos-net mesos-dns`: stands in for Mesos-DNS. */
export function addMesosDns(program: Command, app: App): void {
  program
    .command("mesos-dns")
    .description("stand in for Mesos-DNS: same configuration file, same records, same HTTP API")
    .addOption(
      new Option("--ip-source-rule <rule>", "first: addresses of the first source that has any; together: as DC/OS")
        .choices(["first", "together"])
        .default("first"),
    )
    .addHelpText(
      "after",
      `
Here --config names Mesos-DNS's own configuration file, which is needed.
Logs one JSON object a line on standard output. SIGTERM and SIGINT end it.`,
    )
    .action((options: Options) => run(app, options));
}

async function run(app: App, { ipSourceRule }: Options): Promise<void> {
  const file = app.configFile;
  if (file === undefined) throw new NetError("invalid", { tried: "start", remedy: "name the file with --config FILE" });
  // Our own settings come from their usual place: the file that was named is in Mesos-DNS's format.
  app.configFile = undefined;
  const log = daemonLog(app, "mesos-dns");
  const config = readConfigFile(app, file);
  const forwarder = forwarderOf(config, app.files, log);
  if (!config.SetTruncateBit) log.warn("SetTruncateBit is not heeded: an answer that was cut always says so");
  let server: DnsServer | undefined;
  const mesosDns = new MesosDns({
    config,
    sourceRule: ipSourceRule,
    files: app.files,
    log,
    onRecords: (records) => {
      zones.put("mesos", records);
      server?.publish();
      // As Mesos-DNS, it is silent until it knows the names.
      if (config.DnsOn) server ??= startServer(config, zones, forwarder, log);
    },
  });
  const zones = new Zones([mesosDns.zone]);
  mesosDns.start();
  await endSignal();
  await mesosDns.stop();
  await server?.stop();
  forwarder?.stop();
}

function readConfigFile(app: App, file: string): MesosDnsConfig {
  const bytes = app.files.read(file);
  if (bytes === undefined) {
    const remedy = "name the configuration file of Mesos-DNS with --config";
    throw new NetError("not-found", { tried: `read ${file}`, said: "there is no such file", remedy });
  }
  return readMesosDnsConfig(new TextDecoder().decode(bytes), file, Math.floor(Date.now() / 1000));
}

/** Asks the resolvers of the file about other names; undefined when `ExternalOn` is false. */
function forwarderOf(config: MesosDnsConfig, files: Files, log: Log): Forwarder | undefined {
  if (!config.DnsOn || !config.ExternalOn) return undefined;
  const listen = listenOf(config);
  const resolvers = config.Resolvers.flatMap((text) => tryParseUpstream(text) ?? []);
  const rest = resolvers.length > 0 ? resolvers : hostResolvers(files, listen);
  const zones = Object.entries(config.ZoneResolvers).map(([zone, list]) => ({
    zone: parseName(zone) ?? "",
    upstreams: list.flatMap((text) => tryParseUpstream(text) ?? []),
  }));
  return startForwarder({ zones: [...zones, { zone: "", upstreams: rest }], listen, cacheBytes: CACHE_BYTES, log });
}

function listenOf({ Listener, Port }: MesosDnsConfig): readonly Endpoint[] {
  return [{ ip: parseIp(Listener), port: Port }];
}

function startServer(config: MesosDnsConfig, zones: Zones, forward: Forwarder | undefined, log: Log): DnsServer {
  return new DnsServer({
    listen: listenOf(config),
    zones,
    authority: { aliases: [], rewrite: withoutWildcards },
    forward,
    workers: defaultWorkers(),
    tableBytes: TABLE_BYTES,
    clock: systemClock,
    log,
  });
}
