import { constants } from "node:os";
import type { Clock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";
import { ShapeError } from "../shape.ts";
import { keyOfTask, type Task } from "../task.ts";
import type { LocalAgent } from "./agent.ts";
import type { DockerEngine, EngineEvent } from "./docker-engine.ts";
import { taskOfContainer } from "./docker-task.ts";
import { Problems } from "./problems.ts";
import { diffTasks, isEmptyDelta, type Source, type SourceSink, type TaskMap } from "./source.ts";

/** Questions to the engine at a time. */
const AT_ONCE = 8;
/** What happens inside or beside a container and changes nothing that we tell of. */
const IRRELEVANT = /^(?:exec_|attach|detach|copy|archive-path|export|resize|top|commit|create$|oom$)/;
/** Signals that ask a container to end, when it names no other. */
const ENDING = new Set([constants.signals.SIGTERM, constants.signals.SIGKILL, constants.signals.SIGINT]);

export interface DockerSourceOptions {
  readonly engine: DockerEngine;
  readonly agent: LocalAgent;
  readonly clock: Clock;
  /** 0 ≤ number < 1, as Math.random. */
  readonly random: () => number;
  /** Time between complete lists without a sign of change, milliseconds. Default 60 s. */
  readonly listEveryMs?: number;
  /** Longest wait before the engine is tried again, milliseconds. Default 5 s. */
  readonly longestRetryMs?: number;
}

/** The containers of the local Docker engine that carry our labels, as tasks. */
export function dockerSource(options: DockerSourceOptions): Source {
  return new DockerSource(options);
}

/** Listens first and lists then, so that nothing that happens in between is lost. While the engine is away the tasks
 *  stay as last seen: containers may outlive it. */
class DockerSource implements Source {
  readonly name = "docker";
  readonly #options: DockerSourceOptions;
  readonly #problems = new Problems((error) => this.#sink?.problem(error));
  /** Containers that something happened to since they were looked at. */
  readonly #dirty = new Set<string>();
  /** Containers that were sent a signal to end. */
  readonly #stopping = new Set<string>();
  /** What is told of each container. */
  #tasks = new Map<string, Task>();
  #told: TaskMap | undefined;
  #sink: SourceSink | undefined;
  #loop: Loop | undefined;
  #close: (() => void) | undefined;
  #listNext = true;

  constructor(options: DockerSourceOptions) {
    this.#options = options;
  }

  start(sink: SourceSink): void {
    const { clock, random, listEveryMs = 60_000, longestRetryMs = 5000 } = this.#options;
    this.#sink = sink;
    this.#loop = startLoop({
      run: () => this.#pass(),
      clock,
      random,
      leastGapMs: 5,
      longestGapMs: listEveryMs,
      firstRetryMs: 100,
      longestRetryMs,
      onFailure: (error) => this.#failed(error),
    });
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    this.#hangUp();
    await this.#loop?.stop();
    this.#hangUp();
  }

  #failed(error: unknown): void {
    this.#hangUp();
    const tried = "see the containers of the Docker engine";
    this.#problems.note(
      "engine",
      error instanceof NetError ? error : new NetError("unavailable", { tried, said: messageOf(error), cause: error }),
    );
  }

  #hangUp(): void {
    this.#close?.();
    this.#close = undefined;
    this.#listNext = true;
  }

  async #pass(): Promise<void> {
    if (this.#close === undefined) await this.#listen();
    if (this.#listNext || this.#dirty.size === 0) await this.#lookAtAll();
    else await this.#lookAtDirty();
    this.#problems.gone("engine");
    this.#tell();
  }

  async #listen(): Promise<void> {
    const close = await this.#options.engine.listen({
      event: (event) => this.#happened(event),
      end: (error) => {
        this.#failed(error ?? new Error("the stream of events ended"));
        this.#loop?.request();
      },
    });
    this.#close = close;
  }

  #happened({ id, action, signal }: EngineEvent): void {
    if (IRRELEVANT.test(action)) return;
    if (action === "kill" && ENDING.has(Number(signal))) this.#stopping.add(id);
    else if (action === "start" || action === "die" || action === "destroy") this.#stopping.delete(id);
    this.#dirty.add(id);
    this.#loop?.request();
  }

  async #lookAtAll(): Promise<void> {
    this.#listNext = false;
    this.#dirty.clear();
    const ids = await this.#options.engine.list();
    const found = new Map<string, Task>();
    await this.#lookAt(ids, found);
    for (const id of this.#stopping) if (!found.has(id)) this.#stopping.delete(id);
    this.#tasks = found;
  }

  async #lookAtDirty(): Promise<void> {
    const ids = [...this.#dirty];
    this.#dirty.clear();
    for (const id of ids) this.#tasks.delete(id);
    await this.#lookAt(ids, this.#tasks);
  }

  /** Puts the tasks that these containers are into `found`. */
  async #lookAt(ids: readonly string[], found: Map<string, Task>): Promise<void> {
    const rest = ids.values();
    const worker = async (): Promise<void> => {
      for (const id of rest) {
        const task = await this.#taskOf(id);
        if (task !== undefined) found.set(id, task);
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, worker));
  }

  async #taskOf(id: string): Promise<Task | undefined> {
    const container = await this.#options.engine.inspect(id);
    try {
      const task =
        container === undefined ? undefined : taskOfContainer(container, this.#options.agent, this.#stopping.has(id));
      this.#problems.gone(id);
      return task;
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      const tried = `use the labels of container ${container?.Name.replace(/^\//, "") ?? id}`;
      const remedy = "make the container anew with other labels; it is left out until then";
      this.#problems.note(id, new NetError("invalid", { tried, said: error.message, remedy }));
      return undefined;
    }
  }

  #tell(): void {
    const tasks = new Map([...this.#tasks.values()].map((task) => [keyOfTask(task), task]));
    const before = this.#told;
    this.#told = tasks;
    if (before === undefined) {
      this.#sink?.replace([...tasks.values()]);
      return;
    }
    const delta = diffTasks(before, tasks);
    if (!isEmptyDelta(delta)) this.#sink?.change(delta);
  }
}
