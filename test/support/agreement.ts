import type { LabNodeStatus } from "../../bin/lab/status.ts";

/** What some daemons say of their cluster, each different answer once. */
export interface Agreement {
  readonly problems: readonly string[];
  readonly contents: readonly string[];
  readonly alive: readonly number[];
  readonly unreachable: readonly number[];
}

export function agreementOf(nodes: readonly LabNodeStatus[]): Agreement {
  const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];
  return {
    problems: nodes.flatMap(({ name, agent }) => {
      return agent.healthy ? [] : [`${name}: ${agent.news.join("; ") || "not healthy"}`];
    }),
    contents: distinct(nodes.map(({ cluster }) => cluster?.content ?? "none")),
    alive: distinct(nodes.map(({ cluster }) => cluster?.alive ?? 0)),
    unreachable: distinct(nodes.map(({ cluster }) => cluster?.unreachable ?? 0)),
  };
}
