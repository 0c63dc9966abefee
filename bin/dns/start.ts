import type { Endpoint } from "../../dns/endpoint.ts";
import type { MesosDnsConfig } from "../../dns/mesos/config.ts";
import type { FactView, Snapshot } from "../../facts/view.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp, formatPrefix, parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import { ClusterMode } from "../cluster/cluster-mode.ts";
import type { ClusterSource } from "../cluster-source.ts";
import type { Config } from "../config.ts";
import { AgentDns } from "./agent-dns.ts";
import { agentMesosDns } from "./agent-mesos-dns.ts";
import { endLingering, lingering, startLinger } from "./handover.ts";
import { MesosDns } from "./mesos-dns.ts";
import { type TaskView, taskView } from "./task-view.ts";

export interface DnsParts {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
  readonly source: ClusterSource;
}

/** The DNS server of an agent, and what keeps its names where there is no gossip. */
export interface RunningDns {
  readonly dns: AgentDns;
  /** What its names are made of. */
  facts(): Snapshot;
  /** Takes the overlays of the cluster, and the nodes of a static one. */
  update(cluster: Cluster): void;
  /** Begins to answer. Where another process stands in for the agent before, that goes on until `named` has resolved,
   *  for some seconds at most, and ends when this one answers: then no query is without an answer, nor is a name
   *  missing that only comes a moment later. */
  begin(named: Promise<unknown>): Promise<void>;
  /** Ends answering. Unless `leaving`, another process stands in until the next agent answers. */
  stop(leaving: boolean): Promise<void>;
}

/** How long the names of others are waited for, while somebody else answers, milliseconds. */
const NAMED_MS = 5000;
const LOOK_MS = 5;

/** Starts the DNS server of an agent: over the facts of all nodes, or, in a static cluster, over its nodes and the
 *  tasks that this node's files define. Throws a NetError `invalid` for settings that can't be used. */
export function startDns(parts: DnsParts): RunningDns {
  const { source } = parts;
  if (source instanceof ClusterMode) return running(parts, source.member.view, undefined);
  const tasks = staticView(parts);
  try {
    return running(parts, tasks.view, tasks);
  } catch (error) {
    void tasks.stop();
    throw error;
  }
}

function running(
  { config, kernel, files, log, source }: DnsParts,
  view: FactView,
  tasks: TaskView | undefined,
): RunningDns {
  const mesosNamed = Promise.withResolvers<void>();
  const mesosConfig = config.mesos_dns === "on" ? agentMesosDns(config, files, startedAt()) : undefined;
  const mesosDns =
    mesosConfig &&
    new MesosDns({
      config: mesosConfig,
      sourceRule: "together",
      files,
      log,
      onRecords(records) {
        dns.takeMesosRecords(records);
        mesosNamed.resolve();
      },
    });
  const mesos = mesosDns && mesosConfig && { zone: mesosDns.zone, listen: listenOf(mesosConfig) };
  const dns = new AgentDns({ config, kernel, log, node: source.node, view, ...(mesos && { mesos }) });
  const takeOverlays = overlayTaker(dns);
  const known = source.current()?.cluster;
  if (known !== undefined) takeOverlays(known);
  mesosDns?.start();
  // Masters are asked from time to time, and where this node hears sooner of a task, soon after that.
  const unsubscribe =
    mesosDns &&
    view.subscribe(({ tasks }) => {
      if (tasks.added.length + tasks.changed.length + tasks.removed.length > 0) mesosDns.refreshSoon();
    });
  if (mesosDns === undefined) mesosNamed.resolve();
  const runDir = config.run_dir;
  const ending = Promise.withResolvers<void>();
  let hasEnded = false;
  return {
    dns,
    facts: () => view.snapshot(),
    update(cluster) {
      tasks?.show(cluster);
      takeOverlays(cluster);
    },
    async begin(named) {
      const other = lingering(files, runDir);
      const all = Promise.all([named, tasks?.ready, mesosNamed.promise]);
      if (other !== undefined) await within(NAMED_MS, Promise.race([all, ending.promise]));
      if (hasEnded) return;
      dns.listen();
      if (other === undefined) return;
      for (const end = performance.now() + NAMED_MS; !hasEnded && !dns.isListening() && performance.now() < end; ) {
        await Bun.sleep(LOOK_MS);
      }
      if (!hasEnded) endLingering(files, runDir);
    },
    async stop(leaving) {
      hasEnded = true;
      ending.resolve();
      unsubscribe?.();
      await mesosDns?.stop();
      await tasks?.stop();
      // An agent that ends before it has begun to answer leaves that to the process that stands in already.
      const isAnswering = lingering(files, runDir) === undefined || dns.isListening();
      if (leaving) endLingering(files, runDir);
      else if (isAnswering) await startLinger({ handover: dns.handover(), zones: dns.names.zones, runDir, files, log });
      await dns.stop();
    },
  };
}

/** Hands on the ranges of the overlays when they are others than before. */
function overlayTaker(dns: AgentDns): (cluster: Cluster) => void {
  let taken: string | undefined;
  return ({ overlays }) => {
    const ranges = overlays.flatMap(({ v4, v6 }) => [v4, v6].flatMap((range) => range?.subnet ?? []));
    const text = ranges.map(formatPrefix).join();
    if (text === taken) return;
    taken = text;
    dns.takeOverlays(ranges);
  };
}

/** Waits for `work`, but not longer than this; nothing is left waiting. */
async function within(limitMs: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = systemClock.schedule(limitMs, resolve);
  await Promise.race([work, promise]);
  cancel();
}

function startedAt(): number {
  return Math.floor(Date.now() / 1000);
}

function listenOf({ DnsOn, Listener, Port }: MesosDnsConfig): Endpoint[] {
  return DnsOn ? [{ ip: parseIp(Listener), port: Port }] : [];
}

function staticView({ config, files, log, source }: DnsParts): TaskView {
  const self = source.current()?.cluster.nodes.find(({ name }) => name === source.node);
  const addresses = [self?.address, self?.address6].flatMap((ip) => (ip === undefined ? [] : formatIp(ip)));
  const directory = config.task_dir === "" ? undefined : config.task_dir;
  return taskView({ directory, node: source.node, addresses, files, log });
}
