import { DockerDriver } from "../cnm-driver/driver.ts";
import { dockerEngine } from "../cnm-driver/engine.ts";
import type { DockerOverlay } from "../cnm-driver/overlay.ts";
import { Reconciler } from "../cnm-driver/reconcile.ts";
import { Repairer } from "../cnm-driver/repair.ts";
import { openPluginSocket, type PluginSocket } from "../cnm-driver/socket.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { type Loop, startLoop } from "../lib/loop.ts";
import type { Cluster } from "../overlay/cluster.ts";
import type { LocalNetwork } from "../overlay/cni-config.ts";
import type { Config } from "./config.ts";
import { dockerOverlays } from "./docker-overlays.ts";

const LEAST_GAP_MS = 500;
const LONGEST_GAP_MS = 5000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10_000;
/** Longest wait for one answer of the Docker engine, milliseconds. */
export const ENGINE_LIMIT_MS = 10_000;

export interface DockerParts {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
  readonly bootId: string;
  readonly clock?: Clock;
}

/** The agent's part for Docker. */
export interface DockerService {
  /** Takes the overlays as they now stand on node `self`. */
  readonly update: (cluster: Cluster, self: string, networks: readonly LocalNetwork[]) => void;
  /** Closes the socket. Leaves the kernel as it is, so that containers go on talking. */
  stop(): Promise<void>;
}

/** Opens the plugin socket, before anything else is known, and starts to keep Docker's networks. Docker may ask while
 *  it boots, with its own locks held; calls that need the overlays wait a few seconds for the first update. */
export async function startDocker(parts: DockerParts): Promise<DockerService> {
  const { config, kernel, files, log, bootId, clock = systemClock } = parts;
  const stateDir = config.docker_dir;
  const driver = new DockerDriver({ kernel, files, clock, log, stateDir, dataDir: config.data_dir, bootId });
  files.makeDirectory(config.docker_plugin_socket.replace(/\/[^/]*$/, "") || "/");
  const socket = openPluginSocket(config.docker_plugin_socket, (method, text) => driver.answer(method, text));
  log.info("Docker plugin listens", { socket: config.docker_plugin_socket });
  return new Service(parts, clock, driver, socket);
}

class Service implements DockerService {
  readonly #driver: DockerDriver;
  readonly #socket: PluginSocket;
  /** One for the kernel, which must not wait for the other's engine. */
  readonly #loops: readonly Loop[];
  #key = "";

  constructor({ config, kernel, files, log }: DockerParts, clock: Clock, driver: DockerDriver, socket: PluginSocket) {
    this.#driver = driver;
    this.#socket = socket;
    const repairer = new Repairer({ kernel, files, log, driver });
    const reconciler = new Reconciler(dockerEngine(config.docker_socket, ENGINE_LIMIT_MS), driver, log);
    this.#loops = [
      loopOf(clock, log, driver, (overlays) => repairer.pass(overlays)),
      loopOf(clock, log, driver, (overlays) => reconciler.pass(overlays, clock.now())),
    ];
  }

  readonly update: DockerService["update"] = (cluster, self, networks) => {
    const overlays = dockerOverlays(cluster, self, networks);
    const key = JSON.stringify(overlays, (_key, value) => (typeof value === "bigint" ? String(value) : value));
    if (key === this.#key) return;
    this.#key = key;
    this.#driver.overlays.set(overlays);
    for (const loop of this.#loops) loop.request();
  };

  async stop(): Promise<void> {
    await this.#socket.close();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }
}

/** Runs `pass` again and again, once the overlays are known. */
function loopOf(
  clock: Clock,
  log: Log,
  driver: DockerDriver,
  pass: (overlays: readonly DockerOverlay[]) => void | Promise<void>,
): Loop {
  return startLoop({
    async run() {
      const overlays = driver.overlays.current();
      if (overlays !== undefined) await pass(overlays);
    },
    clock,
    random: Math.random,
    leastGapMs: LEAST_GAP_MS,
    longestGapMs: LONGEST_GAP_MS,
    firstRetryMs: FIRST_RETRY_MS,
    longestRetryMs: LONGEST_RETRY_MS,
    onFailure: (error, retryMs) =>
      log.error("Docker networks not as they should be", { problem: messageOf(error), retryMs: Math.round(retryMs) }),
  });
}
