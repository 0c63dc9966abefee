import type { Clock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { FileStat, Files } from "../../lib/files.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";
import type { Task } from "../task.ts";
import type { LocalAgent } from "./agent.ts";
import { DefinedTasks } from "./file-defined.ts";
import { readDefinitions } from "./file-text.ts";
import { Problems } from "./problems.ts";
import { isEmptyDelta, type Source, type SourceSink } from "./source.ts";

/** Bytes of a file at most. */
const FILE_BYTES = 4 * 1024 * 1024;
/** Files of a directory at most. */
const FILES_MOST = 4096;
/** A file that was written less than this many milliseconds ago may be written still; it is read when it has rested. */
const REST_MS = 30;
/** Names of definitions; what editors leave beside them starts or ends otherwise. */
const DEFINITION = /^[^.#].*\.(?:ya?ml|json)$/;

/** Calls `onChange` whenever something in a directory may have changed, until the function that it gives back is
 *  called. Throws when the directory can't be watched. May call too often; what it misses is found by looking
 *  regularly. */
export type WatchDirectory = (path: string, onChange: () => void) => () => void;

export interface FileSourceOptions {
  readonly directory: string;
  readonly agent: LocalAgent;
  readonly files: Files;
  readonly watch: WatchDirectory;
  readonly clock: Clock;
  /** 0 ≤ number < 1, as Math.random. */
  readonly random: () => number;
  /** Time between looks without a sign of change, milliseconds. Default 10 s. */
  readonly lookEveryMs?: number;
}

/** Tasks from a directory of YAML and JSON files, watched. */
export function fileSource(options: FileSourceOptions): Source {
  return new FileSource(options);
}

class FileSource implements Source {
  readonly name = "file";
  readonly #options: FileSourceOptions;
  /** Files as they were read last. One that became bad keeps the tasks that it had when it was good. */
  readonly #known = new Map<string, FileStat>();
  readonly #defined = new DefinedTasks();
  #sink: SourceSink | undefined;
  #problems = new Problems(() => {});
  #loop: Loop | undefined;
  #hasTold = false;
  #unwatch = () => {};
  #watched: string | undefined;

  constructor(options: FileSourceOptions) {
    this.#options = options;
  }

  start(sink: SourceSink): void {
    const { clock, random, lookEveryMs = 10_000 } = this.#options;
    this.#sink = sink;
    this.#problems = new Problems((error) => this.#sink?.problem(error));
    this.#loop = startLoop({
      run: () => this.#look(),
      clock,
      random,
      leastGapMs: 5,
      longestGapMs: lookEveryMs,
      firstRetryMs: 100,
      longestRetryMs: lookEveryMs,
      onFailure: (error) => this.#problems.note("directory", this.#failure(error)),
    });
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    this.#unwatch();
    await this.#loop?.stop();
  }

  #failure(error: unknown): NetError {
    if (error instanceof NetError) return error;
    const tried = `read task definitions in ${this.#options.directory}`;
    return new NetError("io", { tried, said: String(error), cause: error });
  }

  /** One look at the directory: reads what is new or different, and tells what came of it. */
  #look(): void {
    this.#watchDirectory();
    const names = this.#names();
    for (const name of this.#known.keys()) if (!names.includes(name)) this.#forget(name);
    for (const name of names) this.#readIfChanged(name);
    this.#problems.gone("directory");
    this.#tell();
  }

  /** Watches the directory that is there now: one that was replaced is another one, and nobody tells about the old. */
  #watchDirectory(): void {
    const { directory, files, watch } = this.#options;
    const stat = files.stat(directory);
    if (stat?.type !== "directory") {
      this.#watched = undefined;
      throw new NetError("not-found", {
        tried: `read task definitions in ${directory}`,
        said: stat === undefined ? "there is no such directory" : `it is a ${stat.type}`,
        remedy: "make the directory; tasks that were read before stay until then",
      });
    }
    const identity = `${stat.device}:${stat.inode}`;
    if (identity === this.#watched) return;
    this.#unwatch();
    this.#unwatch = watch(directory, () => this.#loop?.request());
    this.#watched = identity;
  }

  #names(): string[] {
    const { directory, files } = this.#options;
    const names = files.list(directory).filter((name) => DEFINITION.test(name));
    if (names.length > FILES_MOST)
      throw new NetError("exhausted", {
        tried: `read task definitions in ${directory}`,
        said: `there are ${names.length} files, more than ${FILES_MOST}`,
        remedy: "put several tasks into one file",
      });
    return names.sort();
  }

  #forget(name: string): void {
    this.#known.delete(name);
    this.#defined.set(name, []);
    this.#problems.gone(name);
    this.#problems.gone(`${name} twice`);
  }

  #readIfChanged(name: string): void {
    const { clock, files } = this.#options;
    const stat = files.stat(this.#pathOf(name));
    if (stat === undefined || stat.type === "directory") return;
    if (sameFile(this.#known.get(name), stat)) return;
    const restedMs = clock.now() - Number(stat.modifiedNs / 1_000_000n);
    if (restedMs >= 0 && restedMs < REST_MS) clock.schedule(REST_MS - restedMs, () => this.#loop?.request());
    else this.#readAnew(name, stat);
  }

  #readAnew(name: string, stat: FileStat): void {
    const tasks = this.#read(name, stat);
    this.#known.set(name, stat);
    if (tasks !== undefined) this.#defined.set(name, tasks);
  }

  /** The tasks of a file; undefined when it has just gone, or can't be used, which has been told then. */
  #read(name: string, stat: FileStat): readonly Task[] | undefined {
    try {
      if (stat.type !== "file") throw this.#refusal(name, `it is a ${stat.type}`, "put the file itself there");
      const bytes = this.#options.files.read(this.#pathOf(name), FILE_BYTES);
      if (bytes === undefined) return undefined;
      const tasks = this.#tasksIn(name, bytes);
      this.#problems.gone(name);
      return tasks;
    } catch (error) {
      this.#problems.note(name, this.#failure(error));
      return undefined;
    }
  }

  #tasksIn(name: string, bytes: Uint8Array): readonly Task[] {
    const stem = name.replace(/\.[^.]+$/, "");
    const content = readDefinitions(bytes, stem, this.#options.agent);
    if ("tasks" in content) return content.tasks;
    const { line, key, said } = content.problem;
    const place = key === "" ? `, line ${line}` : `, line ${line}, ${key}`;
    throw this.#refusal(`${name}${place}`, said, "correct it; until then the tasks of this file stay as last read");
  }

  #refusal(place: string, said: string, remedy: string): NetError {
    return new NetError("invalid", { tried: `read task definitions in ${this.#pathOf(place)}`, said, remedy });
  }

  #tell(): void {
    const twice = this.#defined.twice();
    for (const name of this.#known.keys()) this.#noteTwice(name, twice.get(name));
    const delta = this.#defined.settle();
    if (!this.#hasTold) this.#sink?.replace(delta.put);
    else if (!isEmptyDelta(delta)) this.#sink?.change(delta);
    this.#hasTold = true;
  }

  #noteTwice(name: string, twice: { readonly id: string; readonly other: string } | undefined): void {
    if (twice === undefined) {
      this.#problems.gone(`${name} twice`);
      return;
    }
    const said = `the task ${JSON.stringify(twice.id)} is also defined in ${twice.other}, which counts`;
    this.#problems.note(`${name} twice`, this.#refusal(name, said, "give it another id or remove one of them"));
  }

  #pathOf(name: string): string {
    return `${this.#options.directory}/${name}`;
  }
}

function sameFile(a: FileStat | undefined, b: FileStat): boolean {
  return a?.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs && a.type === b.type;
}
