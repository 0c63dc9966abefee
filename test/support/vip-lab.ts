import { renameSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import type { VipEntry } from "../../bin/api/vips.ts";
import { type AgentStatus, statusPath } from "../../bin/status-file.ts";
import type { Kernel, Netns } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { backendName, type Service, serviceName } from "../../l4lb/service.ts";
import { systemClock } from "../../lib/clock.ts";
import { ClusterLab } from "./cluster-lab.ts";
import { eventually, SOON_MS } from "./lab.ts";
import type { SocketPlace } from "./socket-place.ts";
import type { LoadOrder, LoadReport } from "./vip-load-protocol.ts";
import type { LookupOrder, LookupReport } from "./vip-lookups-protocol.ts";
import { BACKEND_PORT } from "./vip-network.ts";
import { type Peer, startPeer } from "./vip-peers.ts";
import { type RunningProgram, startProgram } from "./vip-program.ts";

const FRAMEWORK = "lab";
/** Name of named virtual IPs in DNS after their label. */
export const VIP_SUFFIX = `${FRAMEWORK}.l4lb.thisdcos.directory`;

/** What the node of a container says of it: an entry of a task file (facts/README.md). */
export interface SaidTask {
  /** By protocol, the labels of port 8080. */
  readonly vips: Readonly<Partial<Record<"tcp" | "udp", readonly string[]>>>;
  readonly state?: "running" | "killing";
  readonly health?: "healthy" | "unhealthy";
}

/** A container of a lab in which a program serves TCP and UDP on port 8080. */
export interface VipContainer {
  readonly name: string;
  readonly node: number;
  /** IPv4. */
  readonly address: string;
  readonly kernel: Kernel;
  peer: Peer;
}

/** A lab whose tasks are defined by what a test writes into the directories of task files. */
export class VipLab {
  readonly cluster = new ClusterLab();
  readonly #machine = openLinux();
  readonly #hosts = new Map<number, Kernel>();
  readonly #undo: (() => void | Promise<void>)[] = [];

  /** Brings up hosts whose agents have these settings beside those of every lab. */
  async up(hosts: number, settings: Readonly<Record<string, string | number>>): Promise<void> {
    await this.cluster.up("--nodes", String(hosts));
    for (let number = 1; number <= hosts; number++) {
      this.#hosts.set(number, this.#within(this.cluster.path(number, "netns")));
      await this.restart(number, settings);
    }
    await this.agree();
  }

  /** The numbers of the hosts. */
  get hosts(): number[] {
    return [...this.#hosts.keys()];
  }

  /** All daemons are healthy and know the same. */
  agree(): Promise<void> {
    return this.cluster.agree(this.hosts, this.hosts.length);
  }

  /** The kernel in the namespace of a host. */
  kernel(host: number): Kernel {
    const kernel = this.#hosts.get(host);
    if (kernel === undefined) throw new Error(`the lab has no host n${host}`);
    return kernel;
  }

  /** Ends the daemon of a host and starts it anew, with other settings beside those that it had. */
  async restart(
    host: number,
    settings: Readonly<Record<string, string | number>> = {},
    signal: NodeJS.Signals = "SIGTERM",
  ): Promise<void> {
    await this.cluster.signal(host, signal);
    this.cluster.configure(host, { ...this.cluster.config(host), ...settings } as Record<string, string>);
    await this.cluster.start(host);
  }

  /** Starts a container with its servers, in a control group where one is given. Nobody knows of it yet. */
  async container(name: string, host: number, cgroup?: string): Promise<VipContainer> {
    const { labs } = this.cluster;
    await labs.ok("lab", "run", "--node", String(host), "--name", name, "--", "sleep", "1h");
    this.withdraw({ name, node: host });
    const kernel = this.#within(await this.cluster.netnsOf(name));
    const address = await this.cluster.addressOf(name);
    const container = { name, node: host, address, kernel, peer: await this.#serve(kernel, address, cgroup) };
    this.#undo.push(() => container.peer.stop());
    return container;
  }

  /** Kills the program of a container as no program can prevent. The one that takes its place tells what still
   *  comes. */
  async kill(container: VipContainer): Promise<void> {
    await container.peer.kill();
    container.peer = await this.#serve(container.kernel, container.address, undefined);
  }

  /** Lets the container's node say this of it from now on. */
  declare({ name, node, address }: VipContainer, { vips, ...said }: SaidTask): void {
    const ports = Object.entries(vips).map(([protocol, labels]) => ({
      ...{ protocol, container: BACKEND_PORT, vips: labels },
    }));
    const task = { id: name, name, mode: "container", addresses: [address], ports, ...said };
    this.writeTasks(node, name, [task]);
  }

  /** Replaces a task file as a whole. */
  writeTasks(host: number, file: string, tasks: readonly object[]): void {
    const path = this.cluster.path(host, `tasks/lab-${file}.json`);
    writeFileSync(`${path}.new`, JSON.stringify({ framework: FRAMEWORK, tasks }));
    renameSync(`${path}.new`, path);
  }

  /** Lets the container's node say nothing of it any more. */
  withdraw({ name, node }: Pick<VipContainer, "name" | "node">): void {
    rmSync(this.cluster.path(node, `tasks/lab-${name}.json`), { force: true });
  }

  /** Virtual IPs as the API of a host shows them. */
  async vips(host: number): Promise<VipEntry[]> {
    return JSON.parse(await this.cluster.onHost(host, "curl", "-sS", "http://127.0.0.1:62080/v1/vips")) as VipEntry[];
  }

  /** The one of a name, or address, before the first dot or colon of what it is shown as. */
  async vip(host: number, label: string): Promise<VipEntry | undefined> {
    return (await this.vips(host)).find(({ vip }) => vip.startsWith(`${label}.`) || vip.startsWith(`${label}:`));
  }

  /** What the daemon of a host says of itself. */
  async status(host: number): Promise<AgentStatus> {
    return (await Bun.file(statusPath(this.cluster.path(host, "run"))).json()) as AgentStatus;
  }

  /** The address of a name on a host; undefined when it has none there. */
  async addressOf(host: number, label: string): Promise<string | undefined> {
    return (await this.vip(host, label))?.addresses.find(({ ip }) => !ip.includes(":"))?.ip;
  }

  /** Services and their backends with weights, as the kernel of a host has them. */
  inKernel(host: number, place?: SocketPlace): Record<string, Record<string, number>> {
    const plane =
      place === undefined ? openNftablesDataplane(this.kernel(host), systemClock) : openSocketDataplane(place);
    try {
      return Object.fromEntries(plane.read().map((service) => [serviceName(service), weightsOf(service)]));
    } finally {
      plane.close();
    }
  }

  /** Waits until the kernel of a host has these backends of a service. */
  async has(
    host: number,
    service: string,
    backends: Readonly<Record<string, number>> | undefined,
    place?: SocketPlace,
  ): Promise<void> {
    const wanted =
      backends && Object.entries(backends).map(([address, weight]) => [`${address}:${BACKEND_PORT}`, weight]);
    await eventually(
      SOON_MS,
      async () => this.inKernel(host, place)[service],
      (found) => Bun.deepEquals(found, wanted && Object.fromEntries(wanted)),
    );
  }

  /** Starts the load program in the namespace of `kernel`, in a control group where one is given. */
  load(kernel: Kernel, order: LoadOrder, cgroup?: string): RunningProgram<LoadReport> {
    return this.#begun(startProgram("vip-load.ts", kernel, order, cgroup));
  }

  /** Starts the look-up program in the namespace of `kernel`. */
  lookUps(kernel: Kernel, order: LookupOrder): RunningProgram<LookupReport> {
    return this.#begun(startProgram("vip-lookups.ts", kernel, order));
  }

  #begun<Report>(program: RunningProgram<Report>): RunningProgram<Report> {
    this.#undo.push(() => program.abandon());
    return program;
  }

  async clear(): Promise<void> {
    for (const step of this.#undo.splice(0).reverse()) await step();
    await this.cluster.labs.clear();
    this.#machine.close();
  }

  async #serve(kernel: Kernel, address: string, cgroup: string | undefined): Promise<Peer> {
    const peer = await startPeer(kernel, cgroup);
    for (const protocol of ["tcp", "udp"] as const) await peer.serve({ protocol, address, port: BACKEND_PORT });
    return peer;
  }

  #within(path: string): Kernel {
    const netns: Netns | undefined = this.#machine.openNetns(path);
    expect(netns, `network namespace ${path}`).to.not.equal(undefined);
    if (netns === undefined) throw new Error(`no namespace at ${path}`);
    const kernel = this.#machine.within(netns);
    this.#undo.push(() => {
      kernel.close();
      netns.close();
    });
    return kernel;
  }
}

function weightsOf({ backends }: Service): Record<string, number> {
  return Object.fromEntries(backends.map((backend) => [backendName(backend), backend.weight]));
}
