import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { parsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { isAlive, type ProcessId, processOf } from "../process.ts";
import { inNamespace, type LabContext } from "./lab.ts";
import type { LabLayout } from "./layout.ts";

/** On the bridge of the underlay, where all hosts reach it. */
const ADDRESS = "10.77.0.254";
const PORT = 2181;
/** Debian's package `zookeeper` puts its class path here. */
const JAR = "/usr/share/java/zookeeper.jar";
const READY_LIMIT_MS = 30_000;
const POLL_MS = 50;
/** State of a listening socket in /proc/net/tcp (include/net/tcp_states.h). */
const LISTENING = "0A";

/** What the masters of a lab with a ZooKeeper have as `overlay_store`. */
export const ZOOKEEPER_URL = `zk://${ADDRESS}:${PORT}/dcos-net`;

/** Throws a NetError `unavailable` unless a ZooKeeper can be started here. */
export function requireZooKeeper(): void {
  const missing = [
    ...(existsSync(JAR) ? [] : ["zookeeper"]),
    ...(Bun.which("java") === null ? ["default-jre-headless"] : []),
  ];
  if (missing.length === 0) return;
  const remedy = `apt-get install --no-install-recommends ${missing.join(" ")}`;
  throw new NetError("unavailable", { tried: "start a ZooKeeper", said: `missing: ${missing.join(", ")}`, remedy });
}

/** Starts Debian's ZooKeeper on the lab's underlay, with a directory of its own, as a session that outlives this
 *  command; `bridge` gets its address. Waits until it serves. */
export async function startZooKeeper(context: LabContext, layout: LabLayout, bridge: string): Promise<void> {
  const { kernel, files } = context;
  const dir = layout.zooKeeper;
  files.makeDirectory(`${dir}/data`);
  const lines = [
    "tickTime=500",
    `dataDir=${dir}/data`,
    `clientPortAddress=${ADDRESS}`,
    `clientPort=${PORT}`,
    "admin.enableServer=false",
  ];
  files.replace(`${dir}/zoo.cfg`, `${lines.join("\n")}\n`, 0o644);
  const command = [
    ...["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", `${dir}:${JAR}`],
    ...["org.apache.zookeeper.server.quorum.QuorumPeerMain", `${dir}/zoo.cfg`],
  ];
  // For starting it by hand, inside the underlay's namespace, after it was stopped to see what happens.
  files.replace(`${dir}/command`, command.join("\n"), 0o644);
  const log = openSync(`${dir}/zookeeper.log`, "a", 0o644);
  try {
    const child = await inNamespace(kernel, layout.underlay, (underlay) => {
      underlay.apply([
        { do: "link.set", dev: "lo", set: { up: true } },
        { do: "address.add", address: { dev: bridge, address: parsePrefix(`${ADDRESS}/24`) } },
      ]);
      return underlay.enter(() =>
        Bun.spawn(command, {
          cwd: dir,
          env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
          stdio: ["ignore", log, log],
          detached: true,
        }),
      );
    });
    child.unref();
    files.replace(`${dir}/pid`, `${child.pid}\n`, 0o644);
    await untilListening(processOf(child.pid), dir);
  } finally {
    closeSync(log);
  }
}

async function untilListening(started: ProcessId | undefined, dir: string): Promise<void> {
  const start = performance.now();
  while (started !== undefined && isAlive(started) && performance.now() - start < READY_LIMIT_MS) {
    if (listens(started)) return;
    await Bun.sleep(POLL_MS);
  }
  const end = readFileSync(`${dir}/zookeeper.log`, "utf8").trimEnd().split("\n").slice(-3).join(" | ");
  throw new NetError("unavailable", { tried: "start a ZooKeeper", said: `it does not serve; end of its log: ${end}` });
}

/** Whether anybody listens on ZooKeeper's port in the process's network namespace (proc_pid_net(5), `tcp`). */
function listens({ pid }: ProcessId): boolean {
  const port = `:${PORT.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["tcp", "tcp6"].some((table) => {
    const path = `/proc/${pid}/net/${table}`;
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
    return lines.some((line) => {
      const [, local = "", , state] = line.trim().split(/\s+/);
      return local.endsWith(port) && state === LISTENING;
    });
  });
}
