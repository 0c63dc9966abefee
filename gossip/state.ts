import type { MemberRecord } from "./member.ts";
import type { Entry } from "./owner-log.ts";

/** What a node keeps over a restart. */
export interface NodeState {
  /** Wall clock when it was taken, milliseconds since 1970: its age is shown while facts come from it. */
  readonly savedAt: number;
  /** Highest generation of the node itself so far. */
  readonly generation: number;
  /** Members that were present. */
  readonly members: readonly MemberRecord[];
  readonly logs: readonly SavedLog[];
}

/** The facts of one owner, without removals. */
export interface SavedLog {
  readonly owner: string;
  readonly generation: number;
  readonly version: number;
  /** In the order of versions. */
  readonly entries: readonly Entry[];
}
