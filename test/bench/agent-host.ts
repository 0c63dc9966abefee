import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { askApi } from "../../bin/api/client.ts";
import { deriveClusterKey } from "../../gossip/key.ts";
import { jsonLog } from "../../lib/log.ts";
import { SimulatedCluster } from "./agent-cluster.ts";
import { hostSpec, serve, tool } from "./host.ts";

/** What the process is started with. */
export interface Spec {
  readonly executable: string;
  readonly nodes: number;
  readonly tasksOfNode: number;
}

/** A span of time, seconds, in which the agent has nothing to do. */
export interface Request {
  readonly seconds: number;
}

export interface Reply {
  /** At the end, bytes: what is resident, and what of it no other process shares. */
  readonly resident: number;
  readonly proportional: number;
  /** What was resident at most since the start. */
  readonly peak: number;
  /** Processor time used meanwhile, per cent of one core. */
  readonly processor: number;
}

// The other side of test/bench/agent.ts: a real agent and a simulated cluster around it, in namespaces of their own.

const DIRECTORY = "/run/bench";
const GUEST = { id: "guest-000000000001", address: "192.168.77.1" };
const API = { address: "127.0.0.1", port: 62_080 };
const SECRET = "a secret for benchmarks only";
/** Time for the agent to learn everything, and to come to rest then, milliseconds. */
const LIMIT_MS = 60_000;
const REST_MS = 20_000;
/** Unit of processor times in /proc, a second's part (sysconf(3), _SC_CLK_TCK). */
const TICKS = 100;

const { executable, nodes, tasksOfNode } = hostSpec<Spec>();
let agent: Bun.Subprocess | undefined;

/** The simulated nodes' addresses are all of this machine; the agent's is on a link, as tunnels want it. */
function prepare(): void {
  tool(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wire"]);
  tool(["ip", "link", "set", "wire", "up"]);
  tool(["ip", "address", "add", `${GUEST.address}/24`, "dev", "eth0"]);
  tool(["ip", "link", "set", "eth0", "up"]);
  tool(["ip", "route", "add", "local", "10.0.0.0/14", "dev", "lo"]);
  mkdirSync(`${DIRECTORY}/state`, { recursive: true, mode: 0o700 });
  writeFileSync(`${DIRECTORY}/secret`, SECRET, { mode: 0o600 });
  writeFileSync(`${DIRECTORY}/state/node-id`, `${GUEST.id}\n`);
}

async function start(): Promise<Bun.Subprocess> {
  prepare();
  const keys = { primary: deriveClusterKey(Buffer.from(SECRET), undefined), others: [] };
  const log = jsonLog(
    "simulated",
    "warn",
    () => new Date(),
    (line) => void process.stderr.write(line),
  );
  const cluster = await SimulatedCluster.start(nodes, tasksOfNode, GUEST, keys, log);
  const child = Bun.spawn([executable, "agent"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      DCOS_NET_CLUSTER_SECRET_FILE: `${DIRECTORY}/secret`,
      DCOS_NET_STATE_DIR: `${DIRECTORY}/state`,
      DCOS_NET_CNI_DIR: `${DIRECTORY}/cni`,
      DCOS_NET_DATA_DIR: `${DIRECTORY}/leases`,
      DCOS_NET_ADVERTISE_ADDRESS: GUEST.address,
      DCOS_NET_GOSSIP_ADDRESS: GUEST.address,
      DCOS_NET_JOIN: cluster.seeds.join(","),
      DCOS_NET_LOG_LEVEL: "warn",
      // The membership alone: names and virtual IPs have benchmarks of their own.
      DCOS_NET_DNS: "off",
      DCOS_NET_L4LB: "off",
    },
    stdio: ["ignore", 2, 2],
  });
  await untilTrue("the agent knows all nodes and tasks, and has set up its overlay", () => isWhole(child, cluster));
  await Bun.sleep(REST_MS);
  return child;
}

async function isWhole(child: Bun.Subprocess, cluster: SimulatedCluster): Promise<boolean> {
  if (child.exitCode !== null) throw new Error("the agent ended: its message is above");
  try {
    const { total } = (await askApi(API, "/v1/tasks?limit=1")) as { total: number };
    await askApi(API, "/health");
    const { peers } = (JSON.parse(readFileSync("/run/dcos-net/status.json", "utf8")) as { counts: { peers: number } })
      .counts;
    return total === nodes * tasksOfNode && peers === nodes && cluster.agreeing(nodes + 1) === nodes;
  } catch {
    return false;
  }
}

async function untilTrue(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!(await isTrue())) {
    if (performance.now() - start > LIMIT_MS) throw new Error(`not within ${LIMIT_MS / 1000} s: ${what}`);
    await Bun.sleep(500);
  }
}

function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** A sum of /proc/<pid>/smaps_rollup, bytes. */
function memory(pid: number, key: "Rss" | "Pss"): number {
  const text = readFileSync(join("/proc", String(pid), "smaps_rollup"), "utf8");
  return Number(new RegExp(`^${key}: +(\\d+) kB`, "m").exec(text)?.[1]) * 1024;
}

/** From /proc/<pid>/status, bytes. */
function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

process.on("exit", () => agent?.kill("SIGKILL"));
await serve<Request, Reply>(async ({ seconds }) => {
  agent ??= await start();
  const before = processorSeconds(agent.pid);
  await Bun.sleep(seconds * 1000);
  const used = processorSeconds(agent.pid) - before;
  return {
    resident: memory(agent.pid, "Rss"),
    proportional: memory(agent.pid, "Pss"),
    peak: peakOf(agent.pid),
    processor: (100 * used) / seconds,
  };
});
agent?.kill("SIGKILL");
process.exit(0);
