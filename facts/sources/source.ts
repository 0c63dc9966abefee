import type { NetError } from "../../lib/error.ts";
import { keyOfTask, refOf, type Task, type TaskRef } from "../task.ts";

/** What became different in a set of tasks. */
export interface TaskDelta {
  /** New tasks, and tasks that are no longer as they were. */
  readonly put: readonly Task[];
  readonly removed: readonly TaskRef[];
}

/** Where a source reports to. No call throws. */
export interface SourceSink {
  /** The whole set of this source's tasks: what isn't in it is gone. Every source begins with this when it knows the
   *  set, and does it again whenever it may have missed something. A set equal to the last one changes nothing. */
  replace(tasks: readonly Task[]): void;
  /** A change of the set; only after a `replace`. */
  change(delta: TaskDelta): void;
  /** Something went wrong. The tasks stay as last told and the source goes on by itself. The same problem is told once
   *  until it changes or goes away. */
  problem(error: NetError): void;
}

/** The part of a node's claims (NodeVoice) that one source can answer for. */
export interface SourceVoice {
  readonly agents?: readonly string[];
  readonly masterSince?: number | undefined;
}

/** A place where tasks are seen: the Mesos agent, the leading Mesos master, the Docker engine, a directory of files. */
export interface Source {
  /** For messages and metrics: `docker`, `file`, `mesos-agent`, `mesos-master`. */
  readonly name: string;
  /** Whose tasks the sink has been told completely, for the node's claim; sources without it claim nothing. */
  voice?(): SourceVoice;
  /** Begins to report; once only. What fails is told to the sink, not thrown, and tried again. */
  start(sink: SourceSink): void;
  /** Reports nothing more from the moment of the call; resolves when connections, watches and timers are closed. */
  stop(): Promise<void>;
}

/** Tasks by `keyOfTask`. */
export type TaskMap = ReadonlyMap<string, Task>;

/** Tasks by identity; of two with the same identity the later one stays. */
export function taskMap(tasks: readonly Task[]): Map<string, Task> {
  return new Map(tasks.map((task) => [keyOfTask(task), task]));
}

/** What leads from one set to the other. Pure; costs one pass over both. Tasks are equal when all their fields are,
 *  whatever the order in which an object's fields were set. */
export function diffTasks(before: TaskMap, after: TaskMap): TaskDelta {
  const put = [...after].filter(([key, task]) => !sameTask(before.get(key), task)).map(([, task]) => task);
  const removed = [...before].filter(([key]) => !after.has(key)).map(([, task]) => refOf(task));
  return { put, removed };
}

/** True when a delta says nothing. */
export function isEmptyDelta(delta: TaskDelta): boolean {
  return delta.put.length === 0 && delta.removed.length === 0;
}

/** True for two tasks of which nothing differs. */
export function sameTask(a: Task | undefined, b: Task): boolean {
  return a === b || (a !== undefined && Bun.deepEquals(a, b, true));
}
