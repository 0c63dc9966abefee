import { DockerDriver } from "../../cnm-driver/driver.ts";
import { DRIVER, dockerEngine, type Engine, type EngineNetwork } from "../../cnm-driver/engine.ts";
import { FORWARD_CHAIN } from "../../cnm-driver/forward.ts";
import { openPluginSocket } from "../../cnm-driver/socket.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { bootId } from "../app.ts";
import { ENGINE_LIMIT_MS } from "../docker.ts";
import type { Host } from "./host.ts";
import type { Remnant } from "./remnant.ts";
import { outlineOf } from "./tables.ts";

/** The networks that Docker has from us, and what we keep for them. None where the agent has never served Docker. */
export async function dockerRemnants(host: Host, log: Log): Promise<Remnant[]> {
  const { config, kernel, files } = host;
  const { docker_dir: stateDir, data_dir: dataDir, docker_socket: socket } = config;
  if (files.stat(stateDir) === undefined) return [];
  const driver = new DockerDriver({ kernel, files, clock: systemClock, log, stateDir, dataDir, bootId: bootId() });
  const engine = dockerEngine(socket, ENGINE_LIMIT_MS);
  const asked = await networksOf(engine);
  const known = typeof asked === "string" ? [] : asked.filter((network) => network.driver === DRIVER);
  const records = driver.store.networks().filter(({ id }) => known.every((network) => network.id !== id));
  return [
    ...known.map((network) => networkRemnant(network, engine, driver, config.docker_plugin_socket)),
    ...records.map(
      ({ id, overlay }): Remnant => ({
        what: `record of Docker network ${id.slice(0, 12)} of overlay ${overlay}`,
        ...(typeof asked === "string" ? { inUse: `Docker may know it still: ${asked}` } : {}),
        remove: () => void driver.network.deleteNetwork({ at: "", fields: { NetworkID: id } }),
      }),
    ),
    ...forwardRemnants(kernel),
  ];
}

/** Why the engine doesn't tell, in words, when it doesn't. */
async function networksOf(engine: Engine): Promise<readonly EngineNetwork[] | string> {
  try {
    return await engine.networks();
  } catch (error) {
    return messageOf(error);
  }
}

/** The engine asks its driver when it removes a network, so we stand in for the agent while it does. */
function networkRemnant(
  { id, name, endpoints }: EngineNetwork,
  engine: Engine,
  driver: DockerDriver,
  socketPath: string,
): Remnant {
  return {
    what: `Docker network ${name}`,
    ...(endpoints.length === 0 ? {} : { inUse: "containers are still on it: `docker network disconnect` them" }),
    async remove() {
      const socket = openPluginSocket(socketPath, (method, text) => driver.answer(method, text));
      try {
        await engine.remove(id);
      } finally {
        await socket.close();
      }
    },
  };
}

/** Our chain in the tables of iptables stays, empty, with the rule that calls it: nothing tells that rule from one like
 *  it that somebody else has made. */
function forwardRemnants(kernel: Kernel): Remnant[] {
  return (["ip", "ip6"] as const).flatMap((family) => {
    const chain = outlineOf(kernel, family, "filter")?.chains.find(({ name }) => name === FORWARD_CHAIN);
    if (chain === undefined || chain.rules.length === 0) return [];
    const place = `chain ${family} filter ${FORWARD_CHAIN}`;
    return { what: `rules in ${place}`, remove: () => kernel.nftables.run([`flush ${place}`]) };
  });
}
