import { closeSync, mkdirSync, openSync, readFileSync, symlinkSync } from "node:fs";
import type { Kernel } from "../../kernel/kernel.ts";
import { parsePrefix } from "../../lib/address.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import { parseOverlayNetworkText } from "../../overlay/leader/network.ts";
import { parseNodesFile } from "../../overlay/nodes-file.ts";
import { count } from "../output.ts";
import { isAlive, type ProcessId, processOf } from "../process.ts";
import { healthOf, readStatus } from "../status-file.ts";
import { dockerSettings, requireDocker, startEngines } from "./docker.ts";
import { labDown } from "./down.ts";
import { inNamespace, type LabContext, type LabRecord, locked } from "./lab.ts";
import { type LabLayout, labLayout, type NodeLayout, nodeLayout } from "./layout.ts";
import {
  checkMasters,
  type LabCluster,
  type LabNode,
  type LabOverlay,
  labNodes,
  nodesFileOf,
  overlayNetworkFileOf,
  overlaysOf,
  UNDERLAY_PREFIX,
} from "./topology.ts";
import { requireZooKeeper, startZooKeeper, ZOOKEEPER_URL } from "./zookeeper.ts";

/** Names that the executable gets in a lab: its own, for commands in containers, and those of the plugins. */
const NAMES = ["dcos-net", "dcos", "dcos-ipam", "dcos-portmap", "loopback"];
const UNDERLAY_BRIDGE = "underlay";
const CONVERGE_LIMIT_MS = 30_000;
const POLL_MS = 50;
const LOG_LINES_SHOWN = 3;

export interface LabUpOptions {
  readonly name: string;
  readonly nodes: number;
  readonly overlays: readonly LabOverlay[];
  readonly ipv4Only: boolean;
  /** Undefined for a static cluster. */
  readonly cluster: LabCluster | undefined;
  /** Every host has a Docker engine of its own. */
  readonly docker: boolean;
  /** Ends the work; what was made is taken down again. */
  readonly signal: AbortSignal;
}

/** Brings up a cluster on this machine: hosts as network namespaces on a bridge in a namespace of its own, an agent
 *  in each. Nothing is created in the namespace of the caller. Returns when every agent has converged; on any failure
 *  everything is taken down again before the failure is thrown. Refuses a name in use and a wrong topology before
 *  anything is made. */
export async function labUp(context: LabContext, options: LabUpOptions): Promise<void> {
  const { files, out } = context;
  const { overlays, ipv4Only } = options;
  const layout = labLayout(context.root, options.name);
  const nodes = labNodes(options.nodes, options.ipv4Only);
  const plan = planCluster(layout, nodes, options);
  claim(context, layout);
  try {
    await locked(context, layout, async () => {
      for (const { path, content, mode } of plan.files) files.write(path, content, mode);
      const record: LabRecord = { version: 1, name: options.name, nodes };
      linkPlugins(context, layout);
      await makeUnderlay(context, layout, nodes, options.signal);
      out.note(`${count(nodes.length, "host")} on a bridge: ${nodes.map(addressesOf).join("; ")}`);
      if (options.cluster?.zooKeeper === true) {
        await startZooKeeper(context, layout, UNDERLAY_BRIDGE);
        out.note(`a ZooKeeper serves at ${ZOOKEEPER_URL}`);
      }
      const agents = await Promise.all(nodes.map((node) => startAgent(context, layout, node, plan.settings(node))));
      await Promise.all(agents.map((agent) => converged(context, agent, nodes.length - 1, options.signal)));
      if (options.docker) await startEngines(context, layout, nodes, overlaysOf(overlays, ipv4Only), options.signal);
      files.replace(layout.record, `${JSON.stringify(record, null, 2)}\n`);
    });
  } catch (error) {
    out.note(`failed, taking lab ${options.name} down: ${messageOf(error)}`);
    await labDown(context, options.name);
    throw error;
  }
}

type Settings = Readonly<Record<string, string>>;

/** What the agents of a lab read. */
interface ClusterPlan {
  readonly files: readonly { readonly path: string; readonly content: string; readonly mode: number }[];
  /** Settings of a host's agent beside its own directories. */
  readonly settings: (node: LabNode) => Settings;
}

/** Decides how the hosts learn of each other. Throws a NetError for a topology that can't be. */
function planCluster(layout: LabLayout, nodes: readonly LabNode[], options: LabUpOptions): ClusterPlan {
  const { overlays, ipv4Only, cluster } = options;
  // Its parser also checks what the overlays and the hosts' addresses have to do with each other.
  const nodesFile = nodesFileOf(nodes, overlays, ipv4Only);
  parseNodesFile(nodesFile, "the topology asked for");
  if (options.docker) requireDocker();
  const docker = (node: LabNode) => (options.docker ? dockerSettings(nodeLayout(layout, node.name)) : {});
  if (cluster === undefined) {
    const file = { path: layout.nodesFile, content: nodesFile, mode: 0o644 };
    return { files: [file], settings: (node) => ({ nodes_file: layout.nodesFile, ...docker(node) }) };
  }
  checkMasters(nodes.length, cluster);
  if (cluster.zooKeeper) requireZooKeeper();
  const network = overlayNetworkFileOf(overlays, ipv4Only);
  parseOverlayNetworkText(network, "the topology asked for");
  const secret = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  return {
    files: [
      { path: layout.secret, content: `${secret}\n`, mode: 0o600 },
      { path: layout.overlayNetwork, content: network, mode: 0o644 },
    ],
    settings: (node) => ({ ...memberSettings(layout, nodes, cluster, node), ...docker(node) }),
  };
}

/** Masters of a lab run containers, too, so that every host can be used. */
function memberSettings(
  layout: LabLayout,
  nodes: readonly LabNode[],
  { masters, zooKeeper }: LabCluster,
  node: LabNode,
): Settings {
  const place = nodeLayout(layout, node.name);
  const seeds = nodes.slice(0, masters);
  return {
    role: seeds.includes(node) ? "master" : "agent",
    join: seeds.map(({ address }) => address).join(","),
    cluster_secret_file: layout.secret,
    state_dir: place.stateDir,
    overlay_network_file: layout.overlayNetwork,
    overlay_store: zooKeeper ? ZOOKEEPER_URL : "file",
    overlay_subnets: "yes",
  };
}

/** Makes the lab's directory, which is what claims the name: of two that try, one fails. */
function claim({ files, root }: LabContext, layout: LabLayout): void {
  for (;;) {
    files.makeDirectory(root);
    try {
      mkdirSync(layout.dir, { mode: 0o755 });
      return;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      // The last of the other labs went down between the two steps and took the directory of labs with it.
      if (code === "ENOENT") continue;
      if (code !== "EEXIST") throw error;
      throw new NetError("already-exists", {
        tried: `bring up lab ${layout.name}`,
        said: `${layout.dir} exists, so a lab of this name is up or half up`,
        remedy: `take it down with \`dcos-net lab down --lab ${layout.name}\`, or choose another name with --lab`,
      });
    }
  }
}

function linkPlugins({ executable }: LabContext, layout: LabLayout): void {
  mkdirSync(layout.bin);
  for (const name of NAMES) symlinkSync(executable, `${layout.bin}/${name}`);
}

function addressesOf({ name, address, address6 }: LabNode): string {
  return `${name} ${[address, address6].filter((text) => text !== undefined).join(" ")}`;
}

/** The bridge in its namespace, then each host: a namespace with `eth0` on that bridge. */
async function makeUnderlay(
  context: LabContext,
  layout: LabLayout,
  nodes: readonly LabNode[],
  signal: AbortSignal,
): Promise<void> {
  context.kernel.createNetns(layout.underlay);
  await inNamespace(context.kernel, layout.underlay, async (underlay) => {
    underlay.apply([{ do: "link.add", link: { kind: "bridge", name: UNDERLAY_BRIDGE, up: true } }]);
    for (const node of nodes) {
      // Lets a signal be noticed between two hosts.
      await Bun.sleep(0);
      signal.throwIfAborted();
      await makeHost(context, layout, node, underlay);
    }
  });
}

async function makeHost(context: LabContext, layout: LabLayout, node: LabNode, underlay: Kernel): Promise<void> {
  const { kernel, files } = context;
  const place = nodeLayout(layout, node.name);
  files.makeDirectory(place.containers);
  files.makeDirectory(place.cniDir);
  files.makeDirectory(place.tasks);
  kernel.createNetns(place.netns);
  const netns = kernel.openNetns(place.netns);
  if (netns === undefined) throw new Error(`${place.netns} was made just now`);
  try {
    underlay.apply([
      { do: "link.add", link: { kind: "veth", name: node.name, up: true, peer: { name: "eth0", netns } } },
      { do: "link.set", dev: node.name, set: { master: UNDERLAY_BRIDGE } },
    ]);
  } finally {
    netns.close();
  }
  await inNamespace(kernel, place.netns, (host) => {
    host.apply([
      { do: "link.set", dev: "lo", set: { up: true } },
      { do: "link.set", dev: "eth0", set: { up: true } },
    ]);
    host.apply(underlayAddresses(node).map((address) => ({ do: "address.add", address })));
  });
}

function underlayAddresses({ address, address6 }: LabNode) {
  const v4 = { dev: "eth0", address: parsePrefix(`${address}/${UNDERLAY_PREFIX[4]}`) };
  if (address6 === undefined) return [v4];
  // Every address of the lab is ours to give, so there is no duplicate to detect and nothing to wait for.
  return [v4, { dev: "eth0", address: parsePrefix(`${address6}/${UNDERLAY_PREFIX[6]}`), noDad: true }];
}

interface StartedAgent {
  readonly place: NodeLayout;
  readonly process: ProcessId | undefined;
}

/** Starts the agent of a host inside its namespace, as a session of its own that outlives this command. */
async function startAgent(
  context: LabContext,
  layout: LabLayout,
  node: LabNode,
  settings: Settings,
): Promise<StartedAgent> {
  const { kernel, files, executable } = context;
  const place = nodeLayout(layout, node.name);
  const own = {
    node: node.name,
    run_dir: place.runDir,
    cni_dir: place.cniDir,
    data_dir: place.leases,
    task_dir: place.tasks,
  };
  // Hosts share the machine's control groups, so that only what works in their own namespaces tells them apart.
  const config = { ...own, lab_dir: context.root, dns: "on", l4lb: "nftables", ...settings };
  files.replace(place.config, `${JSON.stringify(config, null, 2)}\n`);
  const log = openSync(place.agentLog, "a", 0o644);
  try {
    const child = await inNamespace(kernel, place.netns, (host) =>
      host.enter(() =>
        Bun.spawn([executable, "--config", place.config, "agent"], {
          cwd: "/",
          env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
          stdio: ["ignore", log, log],
          detached: true,
        }),
      ),
    );
    child.unref();
    return { place, process: processOf(child.pid) };
  } finally {
    closeSync(log);
  }
}

/** Waits until the agent has done its first good pass with all its peers. */
async function converged(
  { files, out }: LabContext,
  { place, process: agent }: StartedAgent,
  peers: number,
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  for (;;) {
    const status = readStatus(files, place.runDir);
    if (status !== undefined && healthOf(status, place.runDir).healthy && status.counts.peers === peers) {
      const took = Math.round(performance.now() - start);
      out.note(
        `${place.name}: agent (process ${status.process.pid}) converged after ${took} ms, ${count(peers, "peer")}`,
      );
      return;
    }
    signal.throwIfAborted();
    if (agent === undefined || !isAlive(agent)) throw agentFailure(place, "its agent has ended");
    if (performance.now() - start > CONVERGE_LIMIT_MS) {
      throw agentFailure(place, status?.failure ?? `no good pass within ${CONVERGE_LIMIT_MS / 1000} s`);
    }
    await Bun.sleep(POLL_MS);
  }
}

function agentFailure(place: NodeLayout, what: string): NetError {
  return new NetError("unavailable", {
    tried: `start host ${place.name}`,
    said: `${what}; end of its log: ${lastLines(place.agentLog)}`,
  });
}

function lastLines(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join(" | ");
}
