import { type Command, Option } from "commander";
import { type Endpoint, tryParseUpstream } from "../../dns/endpoint.ts";
import type { Forwarder } from "../../dns/forward/forwarder.ts";
import { MesosDnsApi } from "../../dns/mesos/api.ts";
import { labelModeOf, type MesosDnsConfig, readMesosDnsConfig } from "../../dns/mesos/config.ts";
import { type MesosRecords, mesosRecords, type SourceRule } from "../../dns/mesos/records.ts";
import type { HostPort, MesosState } from "../../dns/mesos/state.ts";
import { mesosZone, servedRecords, withoutWildcards } from "../../dns/mesos/zone.ts";
import { parseName } from "../../dns/name.ts";
import { DnsServer } from "../../dns/server.ts";
import { Zones } from "../../dns/zones.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import { startLoop } from "../../lib/loop.ts";
import type { App } from "../app.ts";
import { TABLE_BYTES } from "../dns/agent-dns.ts";
import { hostResolvers, startForwarder } from "../dns/forwarding.ts";
import { resolveHosts } from "../dns/hosts.ts";
import { mesosMasters } from "../dns/mesos-masters.ts";
import { fetchState } from "../dns/mesos-state.ts";
import { ownAddresses } from "../dns/own-addresses.ts";
import { defaultWorkers } from "../dns/settings.ts";
import { VERSION } from "../version.ts";
import { daemonLog, endSignal } from "./dns.ts";

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
  const masters = mesosMasters(config, app.files);
  const forwarder = forwarderOf(config, app.files, log);
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
      const known = await masters.list();
      const state = await fetchState({ config, masters: known, files: app.files, onSkipped });
      made = mesosRecords(state, await recordOptions(config, known, state, ipSourceRule));
      const left = zones.put("mesos", servedRecords(made.records, config));
      log.debug("state read", { records: made.records.length, unservable: left });
      server?.publish();
      // As Mesos-DNS, it is silent until it knows the names.
      if (config.DnsOn) server ??= startServer(config, zones, forwarder, log);
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
  masters.watch(() => loop.request());
  await endSignal();
  http?.stop();
  await masters.stop();
  await loop.stop();
  await server?.stop();
  forwarder?.stop();
}

function readConfigFile(app: App, file: string): MesosDnsConfig {
  const bytes = app.files.read(file);
  if (bytes === undefined) throw new NetError("not-found", { tried: `read ${file}`, said: "there is no such file" });
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

async function recordOptions(
  config: MesosDnsConfig,
  masters: readonly HostPort[],
  state: MesosState,
  sourceRule: SourceRule,
) {
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
