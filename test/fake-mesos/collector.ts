import type { HttpSend } from "../../facts/sources/mesos-http.ts";
import type { SourceSink, TaskDelta } from "../../facts/sources/source.ts";
import { keyOfTask, type Task, taskKey } from "../../facts/task.ts";
import type { NetError } from "../../lib/error.ts";

/** A sink that keeps what it is told. */
export class Collector implements SourceSink {
  readonly tasks = new Map<string, Task>();
  readonly problems: NetError[] = [];
  readonly deltas: TaskDelta[] = [];
  replaced = 0;

  replace(tasks: readonly Task[]): void {
    this.replaced += 1;
    this.tasks.clear();
    for (const task of tasks) this.tasks.set(keyOfTask(task), task);
  }

  change(delta: TaskDelta): void {
    this.deltas.push(delta);
    for (const task of delta.put) this.tasks.set(keyOfTask(task), task);
    for (const ref of delta.removed) this.tasks.delete(taskKey(ref));
  }

  problem(error: NetError): void {
    this.problems.push(error);
  }

  /** The one task with this id. */
  task(id: string): Task | undefined {
    return [...this.tasks.values()].find((task) => task.id === id);
  }

  /** Ids of all tasks, sorted. */
  ids(): string[] {
    return [...this.tasks.values()].map(({ id }) => id).sort();
  }

  /** Ids of all tasks that were ever taken back, in order. */
  removals(): string[] {
    return this.deltas.flatMap(({ removed }) => removed.map(({ taskId }) => taskId));
  }
}

/** Waits for the condition, looking at it every few milliseconds of real time; throws when it stays false too long. */
export async function until(condition: () => boolean, what: string, longestMs = 30_000): Promise<void> {
  const end = performance.now() + longestMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${longestMs} ms in vain: ${what}`);
    await Bun.sleep(5);
  }
}

/** HTTP that knows how many requests wait for their answer, so that a fake clock needn't run on while they do. */
export function countingHttp(send: HttpSend): HttpSend & { readonly waiting: () => number } {
  let waiting = 0;
  const counted: HttpSend = async (request) => {
    waiting += 1;
    try {
      return await send(request);
    } finally {
      waiting -= 1;
    }
  };
  return Object.assign(counted, { waiting: () => waiting });
}
