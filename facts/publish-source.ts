import type { NetError } from "../lib/error.ts";
import { type Publisher, refusalOf } from "./publisher.ts";
import type { SourceSink, TaskDelta } from "./sources/source.ts";
import { keyOfTask, type Task, taskKey } from "./task.ts";

export interface PublishingSink extends SourceSink {
  /** Tasks that the source tells of. */
  readonly size: number;
}

/** A sink that publishes what one source tells. Several sources share a publisher: each takes back only its own
 *  tasks. */
export function publishingSink(publisher: Publisher, onProblem: (error: NetError) => void): PublishingSink {
  const told = new Set<string>();
  const put = (task: Task): void => {
    const key = keyOfTask(task);
    told.add(key);
    try {
      publisher.put({ kind: "task", key, body: task });
    } catch (error) {
      onProblem(refusalOf(error));
    }
  };
  const take = (key: string): void => {
    if (told.delete(key)) publisher.take({ kind: "task", key });
  };
  return {
    get size() {
      return told.size;
    },
    replace(tasks) {
      const keys = new Set(tasks.map(keyOfTask));
      for (const key of [...told]) if (!keys.has(key)) take(key);
      for (const task of tasks) put(task);
      publisher.flush();
    },
    change({ put: tasks, removed }: TaskDelta) {
      for (const ref of removed) take(taskKey(ref));
      for (const task of tasks) put(task);
      publisher.flush();
    },
    problem: onProblem,
  };
}
