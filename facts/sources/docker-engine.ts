import type Docker from "dockerode";
import { messageOf, NetError } from "../../lib/error.ts";
import type { ContainerInspection } from "./docker-task.ts";

/** Something that happened to a container. */
export interface EngineEvent {
  /** Container id. */
  readonly id: string;
  /** The engine's word for it: `start`, `kill`, `die`, `health_status: healthy`, or `connect` of a network. */
  readonly action: string;
  /** Signal number of a `kill`. */
  readonly signal?: string;
}

export interface EngineListener {
  event(event: EngineEvent): void;
  /** The stream of events is over, with the reason if there is one; called once, never after `close`. */
  end(error?: unknown): void;
}

/** What the source asks of a Docker engine. Every call rejects with a NetError, `unavailable` when the engine can't be
 *  reached and `timeout` when it doesn't answer in time. */
export interface DockerEngine {
  /** Ids of the containers that run. */
  list(): Promise<readonly string[]>;
  /** undefined when there is no such container (any more). A container in another's network has that one's addresses
   *  and ports. */
  inspect(id: string): Promise<ContainerInspection | undefined>;
  /** Starts to listen; from when this resolves on, no event is missed until `end`. Gives back `close`. */
  listen(listener: EngineListener): Promise<() => void>;
}

/** Bytes of one event at most. */
const EVENT_BYTES = 1024 * 1024;

/** The engine that listens on a unix socket (`/var/run/docker.sock`). Its client is loaded with the first call,
 *  because it takes more memory than all of our own code. `timeoutMs` is for one answer. */
export function dockerEngine(socketPath: string, timeoutMs: number): DockerEngine {
  return new SocketEngine(socketPath, timeoutMs);
}

class SocketEngine implements DockerEngine {
  readonly #socketPath: string;
  readonly #timeoutMs: number;
  #client: Promise<Docker> | undefined;

  constructor(socketPath: string, timeoutMs: number) {
    this.#socketPath = socketPath;
    this.#timeoutMs = timeoutMs;
  }

  async list(): Promise<readonly string[]> {
    const containers = await this.#ask("list containers", (docker, abortSignal) =>
      docker.listContainers({ abortSignal }),
    );
    return containers.map(({ Id }) => Id);
  }

  async inspect(id: string): Promise<ContainerInspection | undefined> {
    const container = await this.#inspectOne(id);
    const [, other] = /^container:(.+)$/.exec(container?.HostConfig.NetworkMode ?? "") ?? [];
    if (container === undefined || other === undefined) return container;
    const sharing = await this.#inspectOne(other);
    if (sharing === undefined) return container;
    const { NetworkSettings, HostConfig } = sharing;
    return { ...container, NetworkSettings, HostConfig };
  }

  async listen(listener: EngineListener): Promise<() => void> {
    const abort = new AbortController();
    const stream = await this.#ask("listen to events", (docker, timeout) => {
      timeout.addEventListener("abort", () => abort.abort(timeout.reason));
      const filters = JSON.stringify({ type: ["container", "network"] });
      return docker.getEvents({ filters, abortSignal: abort.signal } as Docker.GetEventsOptions);
    });
    let open = true;
    const finish = (error?: unknown): void => {
      if (!open) return;
      open = false;
      abort.abort();
      listener.end(error);
    };
    const lines = new EventLines((event) => open && listener.event(event));
    stream.on("data", (chunk: Buffer) => lines.take(chunk, finish));
    for (const over of ["end", "close", "aborted"]) stream.on(over, () => finish());
    stream.on("error", finish);
    return () => {
      open = false;
      abort.abort();
    };
  }

  async #inspectOne(id: string): Promise<ContainerInspection | undefined> {
    try {
      return await this.#ask(`inspect container ${id.slice(0, 12)}`, async (docker, abortSignal) => {
        const { Id, Name, State, Config, HostConfig, NetworkSettings } = await docker
          .getContainer(id)
          .inspect({ abortSignal });
        const { Ports, Networks } = NetworkSettings;
        return { Id, Name, State, Config, HostConfig, NetworkSettings: { Ports, Networks } };
      });
    } catch (error) {
      if (error instanceof NetError && error.code === "not-found") return undefined;
      throw error;
    }
  }

  /** One question with its time limit. */
  async #ask<T>(tried: string, question: (docker: Docker, abort: AbortSignal) => Promise<T>): Promise<T> {
    this.#client ??= openClient(this.#socketPath);
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.#timeoutMs);
    try {
      return await question(await this.#client, abort.signal);
    } catch (error) {
      throw this.#failure(tried, error, abort.signal.aborted);
    } finally {
      clearTimeout(timer);
    }
  }

  #failure(tried: string, error: unknown, timedOut: boolean): NetError {
    const place = `${tried} of the Docker engine at ${this.#socketPath}`;
    if (timedOut)
      return new NetError("timeout", { tried: place, said: `no answer in ${this.#timeoutMs} ms`, cause: error });
    const status = typeof error === "object" && error !== null && "statusCode" in error ? error.statusCode : undefined;
    if (status === 404) return new NetError("not-found", { tried: place, said: messageOf(error), cause: error });
    const remedy = "start the engine or name its socket; tasks stay as last seen";
    return new NetError("unavailable", { tried: place, said: messageOf(error), remedy, cause: error });
  }
}

/** `host` stands there on purpose: without it the client takes DOCKER_HOST of the environment instead of the socket. */
async function openClient(socketPath: string): Promise<Docker> {
  const { default: Client } = await import("dockerode");
  return new Client({ socketPath, host: undefined } as Docker.DockerOptions);
}

/** Cuts the stream of events, one JSON object a line, at its line ends. */
class EventLines {
  readonly #tell: (event: EngineEvent) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(tell: (event: EngineEvent) => void) {
    this.#tell = tell;
  }

  take(chunk: Uint8Array, fail: (error: unknown) => void): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    try {
      if (this.#rest.length > EVENT_BYTES) throw new Error(`an event is longer than ${EVENT_BYTES} bytes`);
      for (const line of lines) if (line.trim() !== "") this.#one(JSON.parse(line) as EngineMessage);
    } catch (error) {
      fail(error);
    }
  }

  #one({ Type, Action = "", Actor }: EngineMessage): void {
    const attributes = Actor?.Attributes ?? {};
    const id = Type === "network" ? attributes["container"] : Actor?.ID;
    if (id === undefined || id === "") return;
    const signal = attributes["signal"];
    this.#tell({ id, action: Action, ...(signal !== undefined && { signal }) });
  }
}

/** An event as the engine writes it (`GET /events`). */
interface EngineMessage {
  readonly Type?: string;
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> };
}
