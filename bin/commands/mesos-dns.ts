import { type Command, Option } from "commander";
import { MesosDnsApi } from "../../dns/mesos/api.ts";
import { labelModeOf, type MesosDnsConfig, parseHostPort, readMesosDnsConfig } from "../../dns/mesos/config.ts";
import { type MesosRecords, mesosRecords, type SourceRule } from "../../dns/mesos/records.ts";
import type { MesosState } from "../../dns/mesos/state.ts";
import { mesosZone, servedRecords, withoutWildcards } from "../../dns/mesos/zone.ts";
import { DnsServer } from "../../dns/server.ts";
import { Zones } from "../../dns/zones.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { startLoop } from "../../lib/loop.ts";
import type { App } from "../app.ts";
import { TABLE_BYTES } from "../dns/agent-dns.ts";
import { resolveHosts } from "../dns/hosts.ts";
import { fetchState } from "../dns/mesos-state.ts";
import { ownAddresses } from "../dns/own-addresses.ts";
import { defaultWorkers } from "../dns/settings.ts";
import { VERSION } from "../version.ts";
import { daemonLog, endSignal } from "./dns.ts";

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
  if (!config.SetTruncateBit) log.warn("SetTruncateBit is not heeded: an answer that was cut always says so");
  const zone = mesosZone(config, config.SOASerial);
  const zones = new Zones([zone]);
  let made: MesosRecords | undefined;
  let server: DnsServer | undefined;
  let http: { stop(): unknown } | undefined;
  const api = new MesosDnsApi(() => ({ config, made, serial: zone.soa.serial, version: VERSION }));
  const loop = startLoop({
    run: async () => {
      const onSkipped = (what: string): void => log.warn("left out of the state", { what });
      const state = await fetchState({ config, files: app.files, onSkipped });
      made = mesosRecords(state, await recordOptions(config, state, ipSourceRule));
      const left = zones.put("mesos", servedRecords(made.records, config));
      log.debug("state read", { records: made.records.length, unservable: left });
      server?.publish();
      // As Mesos-DNS, it is silent until it knows the names.
      if (config.DnsOn) server ??= startServer(config, zones, log);
      if (config.HttpOn) http ??= startHttp(config, api);
    },
    clock: systemClock,
    random: Math.random,
    leastGapMs: 100,
    longestGapMs: config.RefreshSeconds * 1000,
    firstRetryMs: 500,
    longestRetryMs: config.RefreshSeconds * 1000,
    onFailure: (error, retry_ms) => log.warn("cannot refresh", { error: messageOf(error), retry_ms }),
  });
  await endSignal();
  http?.stop();
  await loop.stop();
  await server?.stop();
}

function readConfigFile(app: App, file: string): MesosDnsConfig {
  const bytes = app.files.read(file);
  if (bytes === undefined) throw new NetError("not-found", { tried: `read ${file}`, said: "there is no such file" });
  const config = readMesosDnsConfig(new TextDecoder().decode(bytes), file, Math.floor(Date.now() / 1000));
  if (config.Masters === null || config.Masters.length === 0)
    throw new NetError("unsupported", {
      tried: `use ${file}`,
      said: "it has Zk only",
      remedy: "name the masters in Masters, as <host>:<port>",
    });
  if (config.DnsOn && config.ExternalOn)
    throw new NetError("unsupported", {
      tried: `use ${file}`,
      said: "ExternalOn is true, and names outside the domain are not forwarded",
      remedy: "set ExternalOn to false and point clients to their own resolver for other names",
    });
  return config;
}

async function recordOptions(config: MesosDnsConfig, state: MesosState, sourceRule: SourceRule) {
  const masters = (config.Masters ?? []).flatMap((master) => parseHostPort(master) ?? []);
  const resolve = await resolveHosts([
    state.leader.host,
    ...masters.map(({ host }) => host),
    ...state.agents.flatMap(({ endpoint }) => endpoint?.host ?? []),
    ...state.frameworks.flatMap(({ scheduler }) => scheduler?.host ?? []),
  ]);
  return {
    domain: config.Domain,
    labels: labelModeOf(config),
    sources: config.IPSources,
    sourceRule,
    masters,
    server: config.SOAMname,
    serverAddresses: config.Listener === "0.0.0.0" ? ownAddresses() : [config.Listener],
    resolve,
  };
}

function startServer(config: MesosDnsConfig, zones: Zones, log: Log): DnsServer {
  return new DnsServer({
    listen: [{ ip: parseIp(config.Listener), port: config.Port }],
    zones,
    authority: { aliases: [], rewrite: withoutWildcards },
    forward: undefined,
    workers: defaultWorkers(),
    tableBytes: TABLE_BYTES,
    clock: systemClock,
    log,
  });
}

function startHttp(config: MesosDnsConfig, api: MesosDnsApi): { stop(): unknown } {
  return Bun.serve({
    hostname: config.HTTPListener,
    port: config.HttpPort,
    fetch(request) {
      const accept = request.headers.get("accept") ?? "";
      const { status, type, body } = api.answer({
        method: request.method,
        path: new URL(request.url).pathname,
        accept,
      });
      return new Response(body, { status, headers: { "Content-Type": type } });
    },
  });
}
