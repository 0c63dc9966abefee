import { messageOf, NetError } from "../lib/error.ts";
import type { Log } from "../lib/log.ts";
import type { DockerDriver } from "./driver.ts";
import { DRIVER, type Engine, type EngineNetwork } from "./engine.ts";
import { ADDRESS_SPACE } from "./lease.ts";
import type { DockerOverlay } from "./overlay.ts";
import { planNetworks } from "./overlay-network.ts";

/** What Docker doesn't know of, or doesn't know yet: it writes a network or an endpoint down after it has told us. */
const GRACE_MS = 60_000;

/** Keeps the engine's networks as the overlays demand, and our records as the engine's networks demand. */
export class Reconciler {
  readonly #engine: Engine;
  readonly #driver: DockerDriver;
  readonly #log: Log;
  #conflicts = "";
  /** Ids of the endpoints that had no running container at the last pass. */
  #idle: ReadonlySet<string> = new Set();
  #isReachable = true;

  constructor(engine: Engine, driver: DockerDriver, log: Log) {
    this.#engine = engine;
    this.#driver = driver;
    this.#log = log;
  }

  /** One pass; `now` in milliseconds since 1970. That the engine is away is no failure: it is told once, and everything
   *  waits. Other problems are thrown. */
  async pass(overlays: readonly DockerOverlay[], now: number): Promise<void> {
    const networks = await this.#networks();
    if (networks === undefined) return;
    this.#restore(networks, overlays);
    this.#collect(networks, overlays, now);
    const plan = planNetworks(overlays, networks, await this.#engine.apiVersion());
    this.#tell([...plan.conflicts, ...(await this.#release(networks))]);
    for (const id of plan.remove) {
      await this.#engine.remove(id);
      this.#log.info("Docker network removed", { network: id.slice(0, 12) });
    }
    for (const spec of plan.create) {
      await this.#engine.create(spec);
      this.#log.info("Docker network created", { network: spec.name, subnets: spec.pools.map(({ subnet }) => subnet) });
    }
  }

  async #networks(): Promise<readonly EngineNetwork[] | undefined> {
    try {
      const networks = await this.#engine.networks();
      this.#isReachable = true;
      return networks;
    } catch (error) {
      if (!(error instanceof NetError) || (error.code !== "unavailable" && error.code !== "timeout")) throw error;
      if (this.#isReachable) this.#log.info("waiting for the Docker engine", { problem: error.message });
      this.#isReachable = false;
      return undefined;
    }
  }

  /** Takes up networks of our driver that we have no record of: Docker tells of a network once only. */
  #restore(networks: readonly EngineNetwork[], overlays: readonly DockerOverlay[]): void {
    for (const network of networks) {
      if (network.driver !== DRIVER || this.#driver.store.network(network.id) !== undefined) continue;
      try {
        this.#driver.network.createNetwork({ at: "", fields: creationOf(network) }, overlays);
        this.#log.warn("record of a Docker network made anew", { network: network.name });
      } catch (error) {
        this.#tell([`network ${network.name} can't be served: ${messageOf(error)}`]);
      }
    }
  }

  /** Removes what Docker no longer knows of: its calls may have come while no agent ran, or never. */
  #collect(networks: readonly EngineNetwork[], overlays: readonly DockerOverlay[], now: number): void {
    const { store, network: driver, ipam } = this.#driver;
    const known = new Map(networks.map(({ id, endpoints }) => [id, new Set(endpoints)]));
    const isOld = ({ createdAt }: { readonly createdAt: number }) => now - createdAt > GRACE_MS;
    for (const endpoint of store.endpoints().filter(isOld)) {
      if (known.get(endpoint.network)?.has(endpoint.id) === true) continue;
      driver.forget(endpoint);
      this.#log.warn("Docker endpoint forgotten", { endpoint: endpoint.id.slice(0, 12) });
    }
    for (const network of store.networks().filter(isOld)) {
      if (known.has(network.id)) continue;
      driver.deleteNetwork({ at: "", fields: { NetworkID: network.id } });
      this.#log.warn("Docker network forgotten", { network: network.id.slice(0, 12) });
    }
    // The addresses that another driver has from us are known to nobody but it.
    if (networks.some(({ driver: name, ipamDriver }) => ipamDriver === DRIVER && name !== DRIVER)) return;
    for (const { name } of overlays) {
      const freed = ipam.collect(name);
      if (freed.length > 0) this.#log.warn("Docker leases given back", { overlay: name, count: freed.length });
    }
  }

  /** Removes the endpoints that Docker keeps of containers that are gone. It keeps them when they end after it was
   *  started and before it has found us, and then nothing of the same name can start. What merely comes or goes isn't
   *  idle at two passes. Gives what can't be removed, in sentences. */
  async #release(networks: readonly EngineNetwork[]): Promise<string[]> {
    const kept: string[] = [];
    const before = this.#idle;
    this.#idle = new Set(networks.flatMap(({ idle }) => idle.map(({ id }) => id)));
    for (const { id: network, name, idle } of networks) {
      for (const endpoint of idle.filter(({ id }) => before.has(id))) {
        if (await this.#engine.removeEndpoint(network, endpoint)) {
          this.#log.warn("Docker endpoint without container removed", { network: name, container: endpoint.name });
        } else {
          kept.push(`container ${endpoint.name} can't start: Docker keeps its former endpoint, so restart Docker`);
        }
      }
    }
    return kept;
  }

  /** Says what is in the way when it changes. */
  #tell(conflicts: readonly string[]): void {
    const text = conflicts.join("; ");
    if (text !== "" && text !== this.#conflicts) this.#log.warn("Docker networks", { problems: conflicts });
    this.#conflicts = text;
  }
}

/** The CreateNetwork call that Docker made for the network. */
function creationOf({ id, internal, options, pools, ipamDriver }: EngineNetwork): Readonly<Record<string, unknown>> {
  const data = pools.map(({ subnet, gateway, aux }) => {
    const length = subnet.slice(subnet.indexOf("/"));
    const prefix = (address: string) => (address.includes("/") ? address : `${address}${length}`);
    const reserved = Object.entries(aux).map(([name, address]) => [name, prefix(address)]);
    return {
      AddressSpace: ipamDriver === DRIVER ? ADDRESS_SPACE : ipamDriver,
      Pool: subnet,
      ...(gateway === undefined ? {} : { Gateway: prefix(gateway) }),
      AuxAddresses: Object.fromEntries(reserved),
    };
  });
  return {
    NetworkID: id,
    Options: { "com.docker.network.generic": options, ...(internal ? { "com.docker.network.internal": true } : {}) },
    IPv4Data: data.filter(({ Pool }) => !Pool.includes(":")),
    IPv6Data: data.filter(({ Pool }) => Pool.includes(":")),
  };
}
