import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOCKER } from "./docker-engines.ts";
import { ROOTFS_TAR, writeImage } from "./peer-image.ts";
import { Machine, type Running } from "./peer-machine.ts";

const SOCKET = "/run/docker.sock";
export const IMAGE = "busybox:test";

/** A machine with a Docker engine of its own: its data is in memory, its bridge in a network namespace, and all of it
 *  is gone when the machine stops. Containers outlive the engine there (`--live-restore`). */
export class DockerMachine {
  /** For other programs in it. */
  readonly machine: Machine;
  readonly #plugins: string;
  #engine: Running | undefined;

  private constructor(machine: Machine, plugins: string) {
    this.machine = machine;
    this.#plugins = plugins;
  }

  /** A machine with an engine that runs and has the image {@link IMAGE}. */
  static async start(): Promise<DockerMachine> {
    const plugins = mkdtempSync(join(tmpdir(), "docker-machine-"));
    const machine = await Machine.start(plugins, DOCKER.directories);
    const made = new DockerMachine(machine, plugins);
    try {
      await writeImage(machine);
      await made.startEngine();
      await made.docker("import", ROOTFS_TAR, IMAGE);
      return made;
    } catch (error) {
      await made.stop();
      throw error;
    }
  }

  /** Where the engine's socket is found from outside. */
  get socket(): string {
    return this.machine.path(SOCKET);
  }

  async startEngine(): Promise<void> {
    const options = [
      `--host=unix://${SOCKET} --pidfile=/run/docker.pid --data-root=/run/docker-data --exec-root=/run/docker-exec`,
      "--storage-driver=vfs --live-restore --bip=172.31.7.1/24 --iptables=false --ip-forward=false --ip-masq=false",
      `--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent=${this.machine.cgroup}`,
    ].join(" ");
    const command = `echo starts; exec dockerd ${options} >>/run/dockerd.log 2>&1`;
    this.#engine = await this.machine.start(["sh", "-c", command]);
    for (let tries = 0; tries < 300; tries++) {
      if ((await this.machine.run(this.#argv(["version"]))).code === 0) return;
      await Bun.sleep(50);
    }
    throw new Error(`dockerd doesn't answer: ${(await this.machine.read("/run/dockerd.log"))?.slice(-1000)}`);
  }

  /** Ends the engine with SIGKILL; its containers go on. */
  async killEngine(): Promise<void> {
    await this.#engine?.stop();
    this.#engine = undefined;
  }

  /** Runs the command line client and gives what it prints. */
  async docker(...argv: readonly string[]): Promise<string> {
    return (await this.machine.must(this.#argv(argv))).trim();
  }

  /** Starts a container that sleeps, with these options of `docker run`, and gives its id. */
  run(name: string, ...options: readonly string[]): Promise<string> {
    return this.docker("run", "--detach", "--name", name, ...options, IMAGE, "sleep", "1000");
  }

  /** Removes all containers. */
  async clear(): Promise<void> {
    const ids = (await this.docker("ps", "--all", "--quiet")).split("\n").filter((id) => id !== "");
    if (ids.length > 0) await this.docker("rm", "--force", ...ids);
  }

  /** Ends a process of the machine. */
  async kill(pid: string): Promise<void> {
    await this.machine.must(["kill", "-KILL", pid]);
  }

  async stop(): Promise<void> {
    await this.machine.stop();
    rmSync(this.#plugins, { recursive: true, force: true });
  }

  #argv(argv: readonly string[]): string[] {
    return ["docker", "--host", `unix://${SOCKET}`, ...argv];
  }
}
