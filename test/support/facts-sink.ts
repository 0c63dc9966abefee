import type { SourceSink, TaskDelta } from "../../facts/sources/source.ts";
import { keyOfTask, type Task, taskKey } from "../../facts/task.ts";
import { messageOf, type NetError } from "../../lib/error.ts";

/** A sink that keeps what it is told. */
export class RecordingSink implements SourceSink {
  readonly tasks = new Map<string, Task>();
  readonly problems: string[] = [];
  /** `replace` or `change`, one for each call. */
  readonly calls: string[] = [];

  replace(tasks: readonly Task[]): void {
    this.calls.push("replace");
    this.tasks.clear();
    for (const task of tasks) this.tasks.set(keyOfTask(task), task);
  }

  change({ put, removed }: TaskDelta): void {
    this.calls.push("change");
    for (const task of put) this.tasks.set(keyOfTask(task), task);
    for (const ref of removed) this.tasks.delete(taskKey(ref));
  }

  problem(error: NetError): void {
    this.problems.push(error.message);
  }

  /** The names of the tasks that there are, sorted. */
  names(): string[] {
    return [...this.tasks.values()].map(({ name }) => name).sort();
  }

  named(name: string): Task | undefined {
    return [...this.tasks.values()].find((task) => task.name === name);
  }
}

/** Tries until `check` no longer throws; throws its last error after `limitMs`. */
export async function eventually(check: () => void, limitMs = 30_000): Promise<void> {
  const end = performance.now() + limitMs;
  for (;;) {
    try {
      check();
      return;
    } catch (error) {
      if (performance.now() > end) throw error instanceof Error ? error : new Error(messageOf(error));
    }
    await Bun.sleep(10);
  }
}
