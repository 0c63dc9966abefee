import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Reply, Request, Spec } from "./agent-host.ts";
import { Host } from "./host.ts";
import { type Benchmark, summarise } from "./measurement.ts";

const EXECUTABLE = resolve(import.meta.dir, "../../dist/dcos-net");
const NODES = 1000;
const TASKS_OF_NODE = 10;
/** Length of one run. */
const SECONDS = 20;
const MEGABYTE = 1e6;

/** What a real agent takes in a cluster of many nodes and tasks while nothing happens. The others are simulated, and
 *  speak the real protocol with it. That they find each other first takes minutes. */
export const AGENT: Benchmark = {
  name: "agent",
  runs: 3,
  whyNot: () => {
    if (process.getuid?.() !== 0) return "needs root";
    return existsSync(EXECUTABLE) ? undefined : "dist/dcos-net is missing: make build";
  },
  run: async (runs) => {
    const spec: Spec = { executable: EXECUTABLE, nodes: NODES, tasksOfNode: TASKS_OF_NODE };
    const host = new Host<Request, Reply>(join(import.meta.dir, "agent-host.ts"), spec);
    try {
      const replies: Reply[] = [];
      while (replies.length < runs) replies.push(await host.ask({ seconds: SECONDS }));
      const of = (value: (reply: Reply) => number) => summarise(replies.map(value));
      const cluster = `${NODES} nodes, ${NODES * TASKS_OF_NODE} tasks`;
      return [
        {
          ...{ name: `agent resident, ${cluster}`, unit: "MB", budget: { most: 80 } },
          ours: of(({ resident }) => resident / MEGABYTE),
        },
        {
          ...{ name: "agent resident at most since its start", unit: "MB" },
          ours: of(({ peak }) => peak / MEGABYTE),
        },
        {
          ...{ name: "agent idle, of a core", unit: "%", budget: { most: 1 } },
          ours: of(({ processor }) => processor),
        },
      ];
    } finally {
      await host.close();
    }
  },
};
