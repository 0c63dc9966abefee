import { closeSync, openSync, readFileSync } from "node:fs";
import { NetError } from "../../lib/error.ts";
import { SCHEMA } from "../config.ts";
import { isAlive, type ProcessId, processOf } from "../process.ts";
import { cgroupOf } from "./cgroup.ts";
import { inNamespace, type LabContext } from "./lab.ts";
import { type LabLayout, type NodeLayout, nodeLayout } from "./layout.ts";
import type { LabNode, LabOverlay } from "./topology.ts";

const READY_LIMIT_MS = 60_000;
const ANSWER_LIMIT_MS = 5000;
const POLL_MS = 100;
/** Where the agent of every host answers names: the first of `dns_addresses`. */
const RESOLVER = SCHEMA.dns_addresses.fallback.split(",")[0] ?? "";
/** What an engine of a lab is made of, with the Debian package of each. */
const PROGRAMS = { dockerd: "docker.io", docker: "docker.io", containerd: "containerd", runc: "runc" } as const;

/** Makes a host for the engine out of the directory `$1` in fresh mount and process namespaces, then is its first
 *  process, which ends with the engine. The engine sees an empty /run, so that it finds neither Docker nor containerd
 *  of the machine, no /etc/docker, the host's DNS server `$2` as its only one, and below /sys the host's links: since
 *  release 28 it looks there whether a bridge forwards yet. What it writes to /etc or /opt is gone with it. */
const HOST = `
set -e
mkdir -p "$1/plugins" "$1/run"
mount -t tmpfs -o mode=755 docker-host "$1/run"
mkdir -p "$1/run/host" "$1/run/docker/plugins" "$1/run/layers"
mount --bind "$1" "$1/run/host"
mount --bind "$1/plugins" "$1/run/docker/plugins"
for name in etc opt; do
  mkdir -p "$1/run/layers/$name/upper" "$1/run/layers/$name/work"
  mount -t overlay -o "lowerdir=/$name,upperdir=$1/run/layers/$name/upper,workdir=$1/run/layers/$name/work" host "/$name"
done
rm -rf /etc/docker /etc/resolv.conf
echo "nameserver $2" >/etc/resolv.conf
mount --rbind "$1/run" /run
mkdir /run/sys
mount -t sysfs host /run/sys
for directory in class/net devices/virtual/net; do mount --bind "/run/sys/$directory" "/sys/$directory"; done
shift 2
dockerd "$@" &
wait
`;

/** Throws a NetError `unavailable` unless Docker engines can be started here. */
export function requireDocker(): void {
  const missing = Object.entries(PROGRAMS).filter(([program]) => Bun.which(program) === null);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  throw new NetError("unavailable", {
    tried: "start a Docker engine on every host",
    said: `missing: ${missing.map(([program]) => program).join(", ")}`,
    remedy: `apt-get install --no-install-recommends ${packages.join(" ")}`,
  });
}

/** Settings of the agent of a host with an engine. */
export function dockerSettings({ docker }: NodeLayout): Readonly<Record<string, string>> {
  return {
    docker: "on",
    docker_tasks: "on",
    docker_socket: engineSocket(docker),
    docker_plugin_socket: `${docker}/plugins/dcos.sock`,
    docker_dir: `${docker}/state`,
  };
}

/** Where the engine of a host listens; `docker` is its directory. */
function engineSocket(docker: string): string {
  return `${docker}/engine.sock`;
}

/** Variables of commands on a host: Docker's own client asks the host's engine. */
export function dockerEnvironment(host: NodeLayout | undefined): Record<string, string> {
  return host === undefined ? {} : { DOCKER_HOST: `unix://${engineSocket(host.docker)}` };
}

/** Starts an engine on every host, with everything of its own: data, sockets, mounts, process numbers, and the host's
 *  network. They are sessions that outlive this command. Returns when each has a network for every overlay, which the
 *  hosts' agents make. */
export async function startEngines(
  context: LabContext,
  layout: LabLayout,
  nodes: readonly LabNode[],
  overlays: readonly LabOverlay[],
  signal: AbortSignal,
): Promise<void> {
  // Docker before release 28 makes no network without IPv4.
  const networks = overlays.filter(({ subnet }) => subnet !== undefined).map(({ name }) => name);
  const places = nodes.map(({ name }) => nodeLayout(layout, name));
  await Promise.all(places.map((place) => startEngine(context, layout, place, networks, signal)));
  context.out.note(`a Docker engine on every host, with networks: ${networks.join(" ")}`);
}

async function startEngine(
  context: LabContext,
  layout: LabLayout,
  place: NodeLayout,
  networks: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { kernel, files } = context;
  files.makeDirectory(place.docker);
  const log = openSync(`${place.docker}/dockerd.log`, "a", 0o644);
  const options = [
    ...["--host=unix:///run/host/engine.sock", "--data-root=/run/host/data"],
    ...["--exec-opt=native.cgroupdriver=cgroupfs", `--cgroup-parent=${cgroupOf(layout, place.name)}`],
  ];
  try {
    const child = await inNamespace(kernel, place.netns, (host) =>
      host.enter(() =>
        Bun.spawn(
          [
            ...["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"],
            ...["sh", "-c", HOST, "docker-host", place.docker, RESOLVER, ...options],
          ],
          {
            cwd: "/",
            env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
            stdio: ["ignore", log, log],
            detached: true,
          },
        ),
      ),
    );
    child.unref();
    await untilReady(place, processOf(child.pid), networks, signal);
  } finally {
    closeSync(log);
  }
}

async function untilReady(
  place: NodeLayout,
  engine: ProcessId | undefined,
  networks: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  while (engine !== undefined && isAlive(engine) && performance.now() - start < READY_LIMIT_MS) {
    signal.throwIfAborted();
    const present = await networksOf(engineSocket(place.docker));
    if (present !== undefined && networks.every((name) => present.includes(name))) return;
    await Bun.sleep(POLL_MS);
  }
  const end = readFileSync(`${place.docker}/dockerd.log`, "utf8").trimEnd().split("\n").slice(-3).join(" | ");
  throw new NetError("unavailable", {
    tried: `start the Docker engine of host ${place.name}`,
    said: `it doesn't have the networks of its overlays; end of its log: ${end}`,
  });
}

/** Names of an engine's networks; undefined while it doesn't answer. */
async function networksOf(unix: string): Promise<readonly string[] | undefined> {
  try {
    const response = await fetch("http://docker/networks", { unix, signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    return ((await response.json()) as readonly { readonly Name: string }[]).map(({ Name }) => Name);
  } catch {
    return undefined;
  }
}
