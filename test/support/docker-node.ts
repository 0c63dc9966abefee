import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DockerEngine } from "./docker-engines.ts";
import { nameServer, ROOTFS_TAR, writeImage } from "./peer-image.ts";
import { INTERNET, Machine, NODE, type Running } from "./peer-machine.ts";

const ENGINE_SOCKET = "/run/docker.sock";
export const PLUGIN_SOCKET = "/run/docker/plugins/dcos.sock";
const NODES_FILE = "/etc/dcos-net/nodes.json";
const CNI_PLUGIN = fileURLToPath(new URL("../../dist/cni/dcos", import.meta.url));
const EXECUTABLE = fileURLToPath(new URL("../../dist/dcos-net", import.meta.url));
export const IMAGE = "busybox:test";
/** Ends when something listens on port 80 of a container: state 0A in proc(5). */
const LISTENS = 'until busybox grep -q ":0050 .* 0A " /proc/net/tcp /proc/net/tcp6; do sleep 0.02; done';

/** Shows the machine's own links below /sys in place of the real ones: since release 28 Docker looks there whether the
 *  bridge forwards yet. */
const OWN_LINKS = `
  mkdir /run/sys
  mount -t sysfs sysfs /run/sys
  for directory in class/net devices/virtual/net; do mount --bind /run/sys/$directory /sys/$directory; done
`;

/** Overlays of the test cluster: two nodes, both families, and one that is closed. */
export const CLUSTER = {
  overlays: [
    { name: "dcos", subnet: "9.0.0.0/8", prefix: 24, subnet6: "fd01:b::/64", prefix6: 80 },
    { name: "closed", subnet: "10.64.0.0/16", prefix: 24, isolated: true },
  ],
  nodes: [
    { name: "n1", address: NODE.v4 },
    { name: "n2", address: INTERNET.v4 },
  ],
};

export interface DockerNodeOptions {
  readonly liveRestore?: boolean;
  /** Without it there is no engine, and the test calls the plugin in its place. */
  readonly engine?: DockerEngine;
  /** The agent doesn't find the engine, so that all its networks are those of the test. */
  readonly hidden?: boolean;
}

/** Node `n1` of a cluster, with a Docker engine and our agent as its plugin, in a machine of its own that is gone when
 *  it stops. Node `n2` is the namespace behind its uplink, with an agent and without Docker. */
export class DockerNode {
  readonly machine: Machine;
  readonly #plugins: string;
  readonly #options: DockerNodeOptions;
  #engine: Running | undefined;
  #agent: Running | undefined;

  private constructor(machine: Machine, plugins: string, options: DockerNodeOptions) {
    this.machine = machine;
    this.#plugins = plugins;
    this.#options = options;
  }

  /** A node whose agents and engine run and whose engine has {@link IMAGE}. */
  static async start(options: DockerNodeOptions = {}): Promise<DockerNode> {
    const plugins = mkdtempSync(join(tmpdir(), "docker-node-"));
    const machine = await Machine.start(plugins, options.engine?.directories);
    const node = new DockerNode(machine, plugins, options);
    try {
      await machine.write(NODES_FILE, JSON.stringify(CLUSTER));
      await machine.start(agentCommand("n2", "off", "ip netns exec internet"));
      if (options.engine !== undefined) {
        await machine.script(OWN_LINKS);
        await writeImage(machine);
        await node.startEngine();
        await node.docker("import", ROOTFS_TAR, IMAGE);
      }
      await node.startAgent();
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  /** Gives both agents another cluster, in the form of {@link CLUSTER}. */
  async changeCluster(cluster: object): Promise<void> {
    await this.machine.write(NODES_FILE, JSON.stringify(cluster));
  }

  async startEngine(): Promise<void> {
    const { liveRestore = false } = this.#options;
    const options = [
      `--host=unix://${ENGINE_SOCKET} --pidfile=/run/docker.pid --data-root=/run/docker-data`,
      `--exec-root=/run/docker-exec --storage-driver=vfs --bip=172.31.7.1/24 --live-restore=${liveRestore}`,
      `--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent=${this.machine.cgroup}`,
    ].join(" ");
    const command = `echo $$; exec dockerd ${options} >>/run/dockerd.log 2>&1`;
    this.#engine = await this.machine.start(["sh", "-c", command]);
    await this.until("the Docker engine answers", async () => {
      return (await this.machine.run(this.#argv(["version"]))).code === 0;
    });
  }

  /** Ends the engine as an administrator would, and waits until it is gone. */
  async stopEngine(): Promise<void> {
    await this.#end(this.#engine, "TERM");
    this.#engine = undefined;
  }

  async killEngine(): Promise<void> {
    await this.#end(this.#engine, "KILL");
    this.#engine = undefined;
  }

  async startAgent(): Promise<void> {
    this.#agent = await this.machine.start(agentCommand("n1", "on", "", this.#options.hidden));
    await this.until("the plugin answers", async () => (await this.call("Plugin.Activate")).includes("IpamDriver"));
    await this.until("the overlay stands", async () => {
      return (await this.machine.run(["ip", "link", "show", "m-closed"])).code === 0;
    });
  }

  async stopAgent(): Promise<void> {
    await this.#end(this.#agent, "TERM");
    this.#agent = undefined;
  }

  async killAgent(): Promise<void> {
    await this.#end(this.#agent, "KILL");
    this.#agent = undefined;
  }

  /** Calls a method of the plugin as Docker does; gives what it answers, whatever the status. */
  async call(method: string, body: object | string = ""): Promise<string> {
    const data = typeof body === "string" ? body : JSON.stringify(body);
    const url = `http://plugin/${method}`;
    const options = ["--silent", "--max-time", "20", "--unix-socket", PLUGIN_SOCKET, "--data-binary", "@-"];
    return (await this.machine.run(["curl", ...options, url], { stdin: data })).stdout;
  }

  /** True when the plugin answers Docker's first call, asked from outside of the machine. */
  async answers(): Promise<boolean> {
    const unix = this.machine.path(PLUGIN_SOCKET);
    const response = await fetch("http://plugin/Plugin.Activate", { method: "POST", unix }).catch(() => undefined);
    return response?.status === 200;
  }

  /** Runs the command line client and gives what it prints; throws when it fails. */
  async docker(...argv: readonly string[]): Promise<string> {
    return (await this.machine.must(this.#argv(argv), { timeoutMs: 120_000 })).trim();
  }

  /** What the command line client says when it fails. */
  async refusal(...argv: readonly string[]): Promise<string> {
    const { code, stderr } = await this.machine.run(this.#argv(argv), { timeoutMs: 120_000 });
    if (code === 0) throw new Error(`docker ${argv.join(" ")} was not refused`);
    return stderr;
  }

  /** Starts a container that answers HTTP on port 80 with its name, with these options of `docker run`, and waits until
   *  it listens. */
  async run(name: string, ...options: readonly string[]): Promise<void> {
    const command = [...options, IMAGE, ...nameServer(name)];
    await this.docker("run", "--detach", "--init=false", "--name", name, ...command);
    await this.docker("exec", name, "sh", "-c", LISTENS);
  }

  /** Address of a container on a network: `9.0.0.130`, or with `v6` the IPv6 one. */
  address(name: string, network = "dcos", v6 = false): Promise<string> {
    const key = v6 ? "GlobalIPv6Address" : "IPAddress";
    return this.docker("inspect", "--format", `{{(index .NetworkSettings.Networks "${network}").${key}}}`, name);
  }

  /** What the container's HTTP server is answered from inside another container. */
  fetch(from: string, address: string): Promise<string> {
    const host = address.includes(":") ? `[${address}]` : address;
    const script = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host.replace(/[[\]]/g, "")} 80 | tail -n 1`;
    return this.docker("exec", from, "sh", "-c", script);
  }

  /** Attaches a namespace to the overlay through CNI, on node 1 or 2, and gives its IPv4 address. */
  async cni(number: 1 | 2, name: string, overlay = "dcos"): Promise<string> {
    const env = `CNI_COMMAND=ADD CNI_CONTAINERID=${name} CNI_NETNS=/run/netns/${name} CNI_IFNAME=eth0 CNI_PATH=/opt/cni`;
    const prefix = number === 1 ? "" : "ip netns exec internet";
    const result = await this.machine.script(`
      ip netns add ${name}
      ${prefix} env ${env} ${CNI_PLUGIN} < /run/cni-n${number}/${overlay}.conf
    `);
    const { ip4 } = JSON.parse(result) as { ip4: { ip: string } };
    return ip4.ip.replace(/\/.*$/, "");
  }

  /** True when one echo request from a container (`docker`) or a namespace is answered within two seconds. */
  async pings(from: string, target: string): Promise<boolean> {
    const ping = target.includes(":") ? "ping6" : "ping";
    const argv = from.startsWith("netns-")
      ? ["ip", "netns", "exec", from, "ping", "-c", "1", "-W", "2", target]
      : this.#argv(["exec", from, ping, "-c", "1", "-W", "2", target]);
    return (await this.machine.run(argv)).code === 0;
  }

  /** What of ours is on the node for containers: links, leases, records of endpoints, elements of firewall tables. */
  async leftovers(): Promise<string[]> {
    return lines(
      await this.machine.script(`
        ip -o link show type veth | grep -oE 'v(eth|con)[0-9a-f]{11}' | sort -u || true
        find /var/lib/leases-n1/*.docker* -name '9.*' -o -name '10.*' -o -name 'fd*' || true
        ls /var/lib/dcos-net/docker | grep endpoint || true
        nft list ruleset | grep -oE 'comment "[^"]*docker[^"]*"' || true
      `),
    );
  }

  /** Removes all containers. */
  async clear(): Promise<void> {
    const ids = lines(await this.docker("ps", "--all", "--quiet"));
    if (ids.length > 0) await this.docker("rm", "--force", ...ids);
  }

  /** Waits until `action` gives true; a failure is a false. */
  async until(what: string, action: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      if (await action().catch(() => false)) return;
      if (performance.now() > deadline) throw new Error(`in vain: ${what}\n${await this.logs()}`);
      await Bun.sleep(100);
    }
  }

  /** The ends of the engine's and the agents' logs. */
  async logs(): Promise<string> {
    const { stdout } = await this.machine.run(["tail", "-n", "15", "/run/dockerd.log", "/run/agent-n1.log"]);
    return stdout;
  }

  async stop(): Promise<void> {
    await this.machine.stop();
    rmSync(this.#plugins, { recursive: true, force: true });
  }

  async #end(running: Running | undefined, signal: string): Promise<void> {
    if (running === undefined) return;
    const pid = running.firstLine;
    await this.machine.run(["kill", `-${signal}`, pid]);
    await this.until(`process ${pid} ends`, async () => (await this.machine.run(["kill", "-0", pid])).code !== 0);
  }

  #argv(argv: readonly string[]): string[] {
    return ["docker", "--host", `unix://${ENGINE_SOCKET}`, ...argv];
  }
}

/** Prints its process number, then is the agent of a node with directories of its own. */
function agentCommand(node: string, docker: "on" | "off", prefix: string, hidden = false): string[] {
  const settings = {
    DCOS_NET_NODE: node,
    DCOS_NET_NODES_FILE: NODES_FILE,
    DCOS_NET_RUN_DIR: `/run/dcos-net/${node}`,
    DCOS_NET_CNI_DIR: `/run/cni-${node}`,
    DCOS_NET_DATA_DIR: `/var/lib/leases-${node}`,
    DCOS_NET_DOCKER: docker,
    DCOS_NET_DNS: "off",
    DCOS_NET_DOCKER_SOCKET: hidden ? "/run/nowhere.sock" : ENGINE_SOCKET,
  };
  const env = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  const command = `echo $$; exec ${prefix} env ${env.join(" ")} ${EXECUTABLE} agent >>/run/agent-${node}.log 2>&1`;
  return ["sh", "-c", command];
}

/** Lines without empty ones. */
export function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
