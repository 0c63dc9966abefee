import type { NodeVoice } from "../../facts/fact.ts";
import { type PublishingSink, publishingSink } from "../../facts/publish-source.ts";
import type { LocalAgent } from "../../facts/sources/agent.ts";
import { dockerSource } from "../../facts/sources/docker.ts";
import { dockerEngine } from "../../facts/sources/docker-engine.ts";
import { fileSource } from "../../facts/sources/file.ts";
import { watchDirectory } from "../../facts/sources/file-watch.ts";
import type { Source, SourceSink } from "../../facts/sources/source.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { Config } from "../config.ts";
import type { ClusterMember } from "./member.ts";
import { mesosAgentSource, mesosMasterSource } from "./mesos-sources.ts";

/** Longest wait for an answer of the Docker engine, milliseconds. */
const DOCKER_LIMIT_MS = 10_000;

export interface SourceOptions {
  readonly config: Config;
  /** This node as its tasks name it. */
  readonly agent: LocalAgent;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface TaskSourcesOptions extends SourceOptions {
  readonly member: ClusterMember;
  readonly log: Log;
  /** Publishes what this node claims to know completely; called after the tasks that it is about. */
  readonly claim: (voice: TaskVoice) => void;
}

/** Every source that there is: what the settings ask for is made, the others give undefined. */
const SOURCES: readonly ((options: SourceOptions) => Source | undefined)[] = [
  ({ config, agent, files, clock, random }) =>
    config.task_dir === ""
      ? undefined
      : fileSource({ directory: config.task_dir, agent, files, watch: watchDirectory, clock, random }),
  ({ config, agent, clock, random }) =>
    config.docker_tasks === "on"
      ? dockerSource({ engine: dockerEngine(config.docker_socket, DOCKER_LIMIT_MS), agent, clock, random })
      : undefined,
  mesosAgentSource,
  mesosMasterSource,
];

/** Whose tasks this node knows completely. */
export type TaskVoice = Pick<NodeVoice, "agents" | "masterSince">;

/** How a source does. */
export interface SourceReport {
  readonly name: string;
  readonly tasks: number;
  readonly problem: string | undefined;
}

/** Time between two looks through all that this node says, when sources tell of changes only, milliseconds: a look
 *  costs as much as there are tasks. */
const FORGET_GAP_MS = 5000;

/** The task sources of this node, publishing what they see. */
export class TaskSources {
  readonly #options: TaskSourcesOptions;
  readonly #running: readonly Running[];
  #forgotAt = Number.NEGATIVE_INFINITY;

  constructor(options: TaskSourcesOptions) {
    this.#options = options;
    this.#running = SOURCES.flatMap((make) => make(options) ?? []).map((source) => new Running(source));
  }

  start(): void {
    const { member, log } = this.#options;
    for (const running of this.#running) running.start(member, log, (isWhole) => this.#onTold(isWhole));
    this.#onTold(true);
  }

  reports(): SourceReport[] {
    return this.#running.map((running) => running.report());
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map(({ source }) => source.stop()));
  }

  /** When every source has told its whole set, what the former self told beyond that is gone; some of it may come back
   *  later from others. `isWhole`: a source has told its whole set just now. */
  #onTold(isWhole: boolean): void {
    const { claim, clock, member } = this.#options;
    claim(this.#voice());
    const now = clock.monotonic();
    if (!this.#running.every(({ hasBegun }) => hasBegun)) return;
    if (!isWhole && now - this.#forgotAt < FORGET_GAP_MS) return;
    this.#forgotAt = now;
    member.forgetUnsaid(["task"]);
  }

  #voice(): TaskVoice {
    const voices = this.#running.flatMap(({ source }) => source.voice?.() ?? []);
    const since = voices.flatMap(({ masterSince }) => masterSince ?? []);
    return {
      agents: voices.flatMap(({ agents = [] }) => agents),
      ...(since.length === 0 ? {} : { masterSince: Math.max(...since) }),
    };
  }
}

/** One source with what it told last. */
class Running {
  readonly source: Source;
  #sink: PublishingSink | undefined;
  #problem: string | undefined;
  #hasBegun = false;

  constructor(source: Source) {
    this.source = source;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  report(): SourceReport {
    return { name: this.source.name, tasks: this.#sink?.size ?? 0, problem: this.#problem };
  }

  start(member: ClusterMember, log: Log, onTold: (isWhole: boolean) => void): void {
    const { name } = this.source;
    this.#sink = publishingSink(member.publisher, (error) => {
      this.#problem = error.message;
      log.warn("task source", { source: name, problem: error.message });
    });
    this.source.start(this.#noting(this.#sink, onTold));
  }

  #noting(sink: SourceSink, onTold: (isWhole: boolean) => void): SourceSink {
    return {
      replace: (tasks) => {
        this.#problem = undefined;
        sink.replace(tasks);
        this.#hasBegun = true;
        onTold(true);
      },
      change: (delta) => {
        sink.change(delta);
        onTold(false);
      },
      problem: (error) => sink.problem(error),
    };
  }
}
