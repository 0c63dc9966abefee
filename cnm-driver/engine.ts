import type Docker from "dockerode";
import { messageOf, NetError } from "../lib/error.ts";

/** A network as the engine knows it. */
export interface EngineNetwork {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly ipamDriver: string;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Driver options. */
  readonly options: Readonly<Record<string, string>>;
  /** `9.0.1.128/25`, with its gateway, which may have a prefix length. */
  readonly pools: readonly {
    readonly subnet: string;
    readonly gateway: string | undefined;
    readonly aux: Readonly<Record<string, string>>;
  }[];
  /** Ids of all endpoints; asked for networks of our driver only. */
  readonly endpoints: readonly string[];
  /** Those that have no running container: one that just comes or goes, or that Docker keeps by mistake. */
  readonly idle: readonly IdleEndpoint[];
}

/** An endpoint without a running container. */
export interface IdleEndpoint {
  readonly id: string;
  /** That of its container. */
  readonly name: string;
}

/** A network to be made. */
export interface NetworkSpec {
  readonly name: string;
  readonly overlay: string;
  readonly pools: readonly { readonly subnet: string; readonly gateway: string }[];
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** What we ask of the Docker engine. Each call rejects with `unavailable` when the engine can't be reached, and with
 *  `timeout` when it doesn't answer. */
export interface Engine {
  networks(): Promise<readonly EngineNetwork[]>;
  /** Version of its API, such as 1.41. */
  apiVersion(): Promise<string>;
  create(spec: NetworkSpec): Promise<void>;
  remove(id: string): Promise<void>;
  /** Removes an endpoint whose container is gone. Gives false, and does nothing, where there is a container whose name
   *  or id begins so: Docker would take it off the network instead. */
  removeEndpoint(network: string, endpoint: IdleEndpoint): Promise<boolean>;
}

export const DRIVER = "dcos";
/** The label of networks that the agent makes, and may remove. */
export const MANAGED = "dcos-net.managed";

/** The engine that listens on a unix socket. Its client is loaded with the first call. `timeoutMs` is for one answer:
 *  the engine takes locks that it may hold while it waits for us. */
export function dockerEngine(socketPath: string, timeoutMs: number): Engine {
  let client: Promise<Docker> | undefined;
  const ask = async <T>(tried: string, question: (docker: Docker, abortSignal: AbortSignal) => Promise<T>) => {
    client ??= openClient(socketPath);
    const abortSignal = AbortSignal.timeout(timeoutMs);
    try {
      const late = new Promise<never>((_resolve, reject) => {
        abortSignal.addEventListener("abort", () => reject(abortSignal.reason));
      });
      return await Promise.race([question(await client, abortSignal), late]);
    } catch (error) {
      throw failure(`${tried} at ${socketPath}`, error, abortSignal.aborted);
    }
  };
  return {
    networks: () =>
      ask("list Docker networks", async (docker, abortSignal) => {
        const listed = await docker.listNetworks({ abortSignal });
        // The list doesn't have the containers, and a network may go meanwhile.
        const full = listed.map((network) =>
          network.Driver === DRIVER ? unlessMissing(docker.getNetwork(network.Id).inspect()) : network,
        );
        return (await Promise.all(full)).flatMap((network) => (network === undefined ? [] : decode(network)));
      }),
    apiVersion: () => ask("ask Docker for its version", async (docker) => (await docker.version()).ApiVersion),
    create: (spec) =>
      ask(`create Docker network ${spec.name}`, async (docker, abortSignal) => {
        await docker.createNetwork({ ...encode(spec), abortSignal });
      }),
    remove: (id) =>
      ask(`remove Docker network ${id.slice(0, 12)}`, async (docker, abortSignal) => {
        await docker.getNetwork(id).remove({ abortSignal });
      }),
    removeEndpoint: (network, { name }) =>
      ask(`remove the endpoint of ${name} from Docker network ${network.slice(0, 12)}`, async (docker) => {
        if ((await unlessMissing(docker.getContainer(name).inspect())) !== undefined) return false;
        await docker.getNetwork(network).disconnect({ Container: name, Force: true });
        return true;
      }),
  };
}

/** `host` stands there on purpose: without it the client takes DOCKER_HOST of the environment instead of the socket. */
async function openClient(socketPath: string): Promise<Docker> {
  const { default: Client } = await import("dockerode");
  return new Client({ socketPath, host: undefined } as Docker.DockerOptions);
}

/** What the engine answers; undefined when what was asked for isn't there. */
async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** HTTP status of the engine's refusal; undefined when it didn't come to one. */
function statusOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "statusCode" in error ? error.statusCode : undefined;
}

function failure(tried: string, error: unknown, timedOut: boolean): NetError {
  if (timedOut) return new NetError("timeout", { tried, said: "no answer in time", cause: error });
  const code = statusOf(error) === undefined ? "unavailable" : "conflict";
  return new NetError(code, { tried, said: messageOf(error), cause: error });
}

function decode(network: Docker.NetworkInspectInfo): EngineNetwork {
  const { Id, Name, Driver, IPAM, Internal, Labels, Options, Containers } = network;
  return {
    id: Id,
    name: Name,
    driver: Driver,
    ipamDriver: IPAM?.Driver ?? "",
    internal: Internal,
    labels: Labels ?? {},
    options: Options ?? {},
    pools: (IPAM?.Config ?? []).flatMap((config) => {
      const { Subnet, Gateway, AuxiliaryAddresses } = config as Record<string, unknown>;
      if (typeof Subnet !== "string") return [];
      const aux = (AuxiliaryAddresses ?? {}) as Readonly<Record<string, string>>;
      return [{ subnet: Subnet, gateway: typeof Gateway === "string" ? Gateway : undefined, aux }];
    }),
    endpoints: Object.values(Containers ?? {}).map(({ EndpointID }) => EndpointID),
    // In place of the container's id they have their own.
    idle: Object.entries(Containers ?? {})
      .filter(([key]) => key.startsWith("ep-"))
      .map(([, endpoint]) => ({ id: endpoint.EndpointID, name: endpoint.Name })),
  };
}

function encode({ name, overlay, pools, ipv4, ipv6 }: NetworkSpec): Docker.NetworkCreateOptions {
  return {
    Name: name,
    CheckDuplicate: true,
    Driver: DRIVER,
    ...(ipv4 ? {} : { EnableIPv4: false }),
    EnableIPv6: ipv6,
    Attachable: true,
    // Of an IPAM driver that is a plugin, an engine that boots waits for the answer, 15 s a network. It doesn't for a
    // network driver. The leases are written all the same.
    IPAM: {
      Driver: "default",
      Config: pools.map(({ subnet, gateway }) => ({ Subnet: subnet, Gateway: gateway })),
    },
    Options: { overlay },
    Labels: { [MANAGED]: "true" },
  };
}
