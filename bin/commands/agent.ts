import { hostname } from "node:os";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { jsonLog, type Log } from "../../lib/log.ts";
import { type Agent, type AgentParts, startAgent } from "../agent.ts";
import type { DnsState } from "../api/dns.ts";
import { type Api, startApi } from "../api/server.ts";
import type { NamesState } from "../api/state.ts";
import { type App, bootId } from "../app.ts";
import { apiStateOf } from "../cluster/api-state.ts";
import { ClusterMode, startClusterMode } from "../cluster/cluster-mode.ts";
import type { ClusterSource } from "../cluster-source.ts";
import { type Config, ROLES, type Role } from "../config.ts";
import { endLingering } from "../dns/handover.ts";
import type { RunningDns } from "../dns/start.ts";
import type { DockerService } from "../docker.ts";
import type { RunningVips } from "../l4lb/start.ts";
import { UsedDataplanes } from "../l4lb/used-dataplanes.ts";
import { nodesFileSource } from "../nodes.ts";
import { requireRoot } from "../self.ts";

interface Options {
  readonly nodes?: string;
  readonly node?: string;
  readonly role?: Role;
  readonly join?: string;
  readonly secretFile?: string;
  readonly runDir?: string;
}

/** `dcos-net agent`: the daemon of a node. */
export function addAgent(program: Command, app: App): void {
  program
    .command("agent")
    .description("the daemon of a node: keeps tunnel, bridges, routes and CNI configuration as its cluster demands")
    .addOption(new Option("--role <role>", "what this node is for (setting role)").choices(ROLES))
    .option("--join <addresses>", "nodes to join through, separated by commas (setting join)")
    .option("--secret-file <file>", "file with the cluster's secret (setting cluster_secret_file)")
    .option("--nodes <file>", "a static cluster, described in this file (setting nodes_file)")
    .option("--node <name>", "name of this node (setting node)")
    .option("--run-dir <dir>", "where status and lock go (setting run_dir)")
    .addHelpText(
      "after",
      `
With a secret file the node finds the others of its cluster by gossip, through those named with --join. Without one, or
with --nodes, the cluster is what the nodes file says.

Logs one JSON object a line on standard output. SIGTERM and SIGINT end it and leave the kernel as it is: containers
go on talking, and the other nodes wait for it to come back. SIGUSR1 does, too, and tells the others that it leaves.
SIGHUP reads nodes file, secrets and overlay configuration again; the nodes file is also read when it changes.`,
    )
    .action((options: Options) => runAgent(app, options));
}

async function runAgent(app: App, options: Options): Promise<void> {
  requireRoot("start the agent");
  const config = withOptions(app.settings().config, options);
  const log = jsonLog(
    "agent",
    config.log_level,
    () => new Date(),
    (line) => void process.stdout.write(line),
  );
  // Before all else: an engine that boots waits for its plugins.
  const docker = config.docker === "on" ? await serveDocker(app, config, log) : undefined;
  try {
    await serveNode(app, config, log, options.nodes !== undefined, docker);
  } finally {
    await docker?.stop();
  }
}

/** Loads the part for Docker only where it is wanted. */
async function serveDocker({ kernel, files }: App, config: Config, log: Log): Promise<DockerService> {
  const { startDocker } = await import("../docker.ts");
  return startDocker({ config, kernel, files, log, bootId: bootId() });
}

/** Is the agent until it is told to end. */
async function serveNode(
  app: App,
  config: Config,
  log: Log,
  isStatic: boolean,
  docker: DockerService | undefined,
): Promise<void> {
  const { kernel, files } = app;
  const source = await openSource(app, config, log, isStatic);
  let agent: Agent;
  let dns: RunningDns | undefined;
  let vips: RunningVips | undefined;
  try {
    if (config.dns === "on") dns = await serveDns(app, config, log, source);
    else endLingering(files, config.run_dir);
    vips = await serveVips(app, config, log, source, dns);
    const onPass: AgentParts["onPass"] = (cluster, node, networks) => {
      docker?.update(cluster, node, networks);
      dns?.update(cluster);
    };
    agent = startAgent({ config, source, kernel, files, log, onPass, ...(vips && { vips }) });
  } catch (error) {
    await vips?.stop();
    await dns?.stop(true);
    await source.stop(false);
    throw error;
  }
  void dns?.begin(vips?.named ?? Promise.resolve());
  const api = await openApi(config, source, agent, { dns, vips }, log);
  process.on("SIGHUP", () => agent.reload());
  const leaving = await new Promise<boolean>((end) => {
    process.once("SIGTERM", () => end(false));
    process.once("SIGINT", () => end(false));
    process.once("SIGUSR1", () => end(true));
  });
  await api?.stop();
  // First, while the names are whole and the run directory is ours: the next agent finds there who stands in.
  await dns?.stop(leaving);
  await vips?.stop();
  await agent.stop(leaving);
}

/** Loads the DNS server only where it is wanted. */
async function serveDns({ kernel, files }: App, config: Config, log: Log, source: ClusterSource): Promise<RunningDns> {
  const { startDns } = await import("../dns/start.ts");
  return startDns({ config, kernel, files, log, source });
}

/** Loads the virtual IPs only where they are wanted, or were. */
async function serveVips(
  { kernel, files }: App,
  config: Config,
  log: Log,
  source: ClusterSource,
  dns: RunningDns | undefined,
): Promise<RunningVips | undefined> {
  if (!(source instanceof ClusterMode)) return undefined;
  const parts = { config, kernel, files, log };
  if (config.l4lb === "off") {
    if (new UsedDataplanes(files, config.state_dir).others(undefined).length === 0) return undefined;
    const { removeVips } = await import("../l4lb/start.ts");
    removeVips(parts);
    return undefined;
  }
  const { startVips } = await import("../l4lb/start.ts");
  return startVips({ ...parts, mode: source, dns });
}

/** A port that can't be had is reported, and the node goes on without its API, which no container needs. */
async function openApi(
  config: Config,
  source: ClusterSource,
  agent: Agent,
  { dns, vips }: { readonly dns: RunningDns | undefined; readonly vips: RunningVips | undefined },
  log: Log,
): Promise<Api | undefined> {
  const { api_address: address, api_port: port } = config;
  if (address === "") return undefined;
  const dnsState = dns?.dns.state();
  const state = source instanceof ClusterMode ? apiStateOf(source, agent, dnsState, vips) : namesOf(dns, dnsState);
  if (state === undefined) return undefined;
  try {
    return await startApi({ state, address, port, clock: systemClock, log });
  } catch (error) {
    log.error("no API", { problem: messageOf(error) });
    return undefined;
  }
}

/** All that the API tells in a static cluster; nothing without DNS. */
function namesOf(running: RunningDns | undefined, dns: DnsState | undefined): NamesState | undefined {
  return running && { now: () => systemClock.now(), facts: () => running.facts(), dns: () => dns };
}

async function openSource(app: App, config: Config, log: Log, isStatic: boolean): Promise<ClusterSource> {
  const { kernel, files } = app;
  if (config.cluster_secret_file !== "" && !isStatic) return startClusterMode({ config, kernel, files, log });
  const node = config.node === "" ? hostname() : config.node;
  const { nodes_file: path, nodes_poll_ms: pollMs } = config;
  return nodesFileSource({ path, node, pollMs, files, log, clock: systemClock });
}

function withOptions(config: Config, options: Options): Config {
  const { nodes, node, role, join, secretFile, runDir } = options;
  return {
    ...config,
    ...(nodes === undefined ? {} : { nodes_file: resolve(nodes) }),
    ...(node === undefined ? {} : { node }),
    ...(role === undefined ? {} : { role }),
    ...(join === undefined ? {} : { join }),
    ...(secretFile === undefined ? {} : { cluster_secret_file: resolve(secretFile) }),
    ...(runDir === undefined ? {} : { run_dir: resolve(runDir) }),
  };
}
