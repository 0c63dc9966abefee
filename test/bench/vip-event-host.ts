import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { openLinux } from "../../kernel/linux.ts";
import { hostSpec, serve, tool } from "./host.ts";

/** What the process is started with. */
export interface Spec {
  readonly executable: string;
  readonly vips: number;
}

/** So many changes of one backend, one after the other. */
export interface Request {
  readonly changes: number;
}

export interface Reply {
  /** From before a task file is replaced until the kernel has another rule set, milliseconds. */
  readonly delays: readonly number[];
  /** At the end, and at most since the start, bytes. */
  readonly resident: number;
  readonly peak: number;
}

// The other side of test/bench/vip-event.ts: a real agent, alone in its cluster, in a network namespace of its own.

const DIRECTORY = "/run/bench";
const TASKS = `${DIRECTORY}/tasks`;
const ADDRESS = "192.168.77.1";
const BACKENDS = 3;
const TASKS_OF_FILE = 3000;
const LIMIT_MS = 120_000;
/** For the agent to come to rest before the first change. */
const REST_MS = 15_000;
/** Between two changes. */
const PAUSE_MS = 20;
const LOOK_MS = 0.5;

const { executable, vips } = hostSpec<Spec>();
let agent: Bun.Subprocess | undefined;

function taskOf(number: number, address: string) {
  const vip = Math.floor(number / BACKENDS);
  const ports = [{ container: 8080, vips: [`bench${vip}:80`] }];
  return { id: `task.${number}`, name: `bench${vip}`, mode: "container", addresses: [address], ports };
}

function writeTasks(name: string, tasks: readonly object[]): void {
  writeFileSync(`${DIRECTORY}/${name}`, JSON.stringify({ framework: "bench", tasks }));
  renameSync(`${DIRECTORY}/${name}`, `${TASKS}/${name}`);
}

function addressOf(number: number): string {
  return `9.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}

async function start(): Promise<Bun.Subprocess> {
  tool(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wire"]);
  tool(["ip", "link", "set", "wire", "up"]);
  tool(["ip", "address", "add", `${ADDRESS}/24`, "dev", "eth0"]);
  tool(["ip", "link", "set", "eth0", "up"]);
  mkdirSync(TASKS, { recursive: true });
  mkdirSync(`${DIRECTORY}/state`, { mode: 0o700 });
  writeFileSync(`${DIRECTORY}/secret`, "a secret for benchmarks only", { mode: 0o600 });
  const all = Array.from({ length: vips * BACKENDS }, (_, number) => taskOf(number, addressOf(number)));
  for (let at = 0; at < all.length; at += TASKS_OF_FILE) {
    writeTasks(`part-${at}.json`, all.slice(at, at + TASKS_OF_FILE));
  }
  change(0);
  const settings = {
    cluster_secret_file: `${DIRECTORY}/secret`,
    state_dir: `${DIRECTORY}/state`,
    task_dir: TASKS,
    cni_dir: `${DIRECTORY}/cni`,
    data_dir: `${DIRECTORY}/leases`,
    advertise_address: ADDRESS,
    l4lb: "nftables",
    log_level: "warn",
  };
  writeFileSync(`${DIRECTORY}/config.json`, JSON.stringify(settings));
  const child = Bun.spawn([executable, "--config", `${DIRECTORY}/config.json`, "agent"], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", 2, 2],
  });
  const started = performance.now();
  while (services() !== vips + 1) {
    if (child.exitCode !== null) throw new Error("the agent ended: its message is above");
    if (performance.now() - started > LIMIT_MS)
      throw new Error(`after ${LIMIT_MS} ms there are ${services()} services`);
    await Bun.sleep(500);
  }
  await Bun.sleep(REST_MS);
  return child;
}

function services(): number {
  try {
    const text = readFileSync("/run/dcos-net/status.json", "utf8");
    const { vips: status, cluster } = JSON.parse(text) as {
      vips?: { services: number; changes: number };
      cluster?: { isSettled: boolean };
    };
    return cluster?.isSettled === true ? (status?.services ?? 0) : 0;
  } catch {
    return 0;
  }
}

/** Another address for the backend of one more virtual IP. */
function change(number: number): void {
  writeTasks("change.json", [taskOf(vips * BACKENDS, `10.200.0.${1 + (number % 250)}`)]);
}

const { nftables } = openLinux();
let number = 0;

async function delay(): Promise<number> {
  await Bun.sleep(PAUSE_MS);
  const before = nftables.generation();
  const begun = performance.now();
  change(++number);
  while (nftables.generation() === before) {
    if (performance.now() - begun > LIMIT_MS) throw new Error("a change hasn't come to the kernel");
    await Bun.sleep(LOOK_MS);
  }
  return performance.now() - begun;
}

process.on("exit", () => agent?.kill("SIGKILL"));
await serve<Request, Reply>(async ({ changes }) => {
  agent ??= await start();
  const delays: number[] = [];
  while (delays.length < changes) delays.push(await delay());
  const status = readFileSync(`/proc/${agent.pid}/status`, "utf8");
  const bytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
  return { delays, resident: bytes("VmRSS"), peak: bytes("VmHWM") };
});
agent?.kill("SIGKILL");
process.exit(0);
