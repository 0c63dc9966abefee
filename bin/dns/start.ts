import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp } from "../../lib/address.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import { ClusterMode } from "../cluster/cluster-mode.ts";
import type { ClusterSource } from "../cluster-source.ts";
import type { Config } from "../config.ts";
import { AgentDns } from "./agent-dns.ts";
import { taskView } from "./task-view.ts";

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
  /** Takes the nodes of a static cluster. */
  update(cluster: Cluster): void;
  stop(): Promise<void>;
}

/** Starts the DNS server of an agent: over the facts of all nodes, or, in a static cluster, over its nodes and the
 *  tasks that this node's files define. Throws a NetError `invalid` for settings that can't be used. */
export function startDns({ config, kernel, files, log, source }: DnsParts): RunningDns {
  const parts = { config, kernel, log, node: source.node };
  if (source instanceof ClusterMode) {
    const dns = new AgentDns({ ...parts, view: source.member.view });
    return { dns, update: () => {}, stop: () => dns.stop() };
  }
  const self = source.current()?.cluster.nodes.find(({ name }) => name === source.node);
  const addresses = [self?.address, self?.address6].flatMap((ip) => (ip === undefined ? [] : formatIp(ip)));
  const directory = config.task_dir === "" ? undefined : config.task_dir;
  const tasks = taskView({ directory, node: source.node, addresses, files, log });
  try {
    const dns = new AgentDns({ ...parts, view: tasks.view });
    const stop = async (): Promise<void> => {
      await tasks.stop();
      await dns.stop();
    };
    return { dns, update: (cluster) => tasks.show(cluster), stop };
  } catch (error) {
    void tasks.stop();
    throw error;
  }
}
