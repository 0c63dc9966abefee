import { keyOfTask, refOf, type Task } from "../task.ts";
import { sameTask, type TaskDelta } from "./source.ts";

/** A task that a file defines, but that another one has defined too, which counts. */
export interface Twice {
  readonly id: string;
  /** Name of the other file. */
  readonly other: string;
}

/** The tasks that several files define together. Of a task that two define, that of the file whose name sorts first
 *  counts. A change of one file costs what there is in that file. */
export class DefinedTasks {
  /** By file, then key. */
  readonly #files = new Map<string, ReadonlyMap<string, Task>>();
  /** Files of each task, the one that counts first. */
  readonly #definers = new Map<string, readonly string[]>();
  /** Keys of tasks that several files define. */
  readonly #shared = new Set<string>();
  /** What was told last. */
  readonly #told = new Map<string, Task>();
  readonly #touched = new Set<string>();

  /** Takes what a file defines now: nothing for one that is gone. */
  set(file: string, tasks: readonly Task[]): void {
    const before = this.#files.get(file);
    const after = new Map(tasks.map((task) => [keyOfTask(task), task]));
    for (const key of before?.keys() ?? []) if (!after.has(key)) this.#define(key, file, false);
    for (const key of after.keys()) {
      if (before?.has(key) !== true) this.#define(key, file, true);
      this.#touched.add(key);
    }
    if (after.size === 0) this.#files.delete(file);
    else this.#files.set(file, after);
  }

  /** For each file with such a task, one of them. */
  twice(): Map<string, Twice> {
    const found = new Map<string, Twice>();
    for (const key of this.#shared) {
      const [other, ...files] = this.#definers.get(key) ?? [];
      for (const file of files) {
        const id = this.#files.get(file)?.get(key)?.id;
        if (other !== undefined && id !== undefined && !found.has(file)) found.set(file, { id, other });
      }
    }
    return found;
  }

  /** What is different since the last call. */
  settle(): TaskDelta {
    const put: Task[] = [];
    const removed: ReturnType<typeof refOf>[] = [];
    for (const key of this.#touched) {
      const [file] = this.#definers.get(key) ?? [];
      const task = file === undefined ? undefined : this.#files.get(file)?.get(key);
      const before = this.#told.get(key);
      if (task !== undefined && !sameTask(before, task)) {
        put.push(task);
        this.#told.set(key, task);
      } else if (task === undefined && before !== undefined) {
        removed.push(refOf(before));
        this.#told.delete(key);
      }
    }
    this.#touched.clear();
    return { put, removed };
  }

  #define(key: string, file: string, isDefined: boolean): void {
    const others = (this.#definers.get(key) ?? []).filter((each) => each !== file);
    const files = isDefined ? [...others, file].sort() : others;
    if (files.length === 0) this.#definers.delete(key);
    else this.#definers.set(key, files);
    if (files.length > 1) this.#shared.add(key);
    else this.#shared.delete(key);
    this.#touched.add(key);
  }
}
