import { join } from "node:path";
import { Host } from "./host.ts";
import { type Benchmark, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";
import type { Reply, Request, Spec } from "./peers-host.ts";

const PEERS = 4000;

/** A node joins a cluster of many: everything of the overlay from an empty namespace, ours in process from table to
 *  kernel; the reference has its commands ready and runs `ip -batch` and `bridge -batch`. */
export const PEERS_PROGRAMMED: Benchmark = {
  name: "peers",
  runs: 10,
  whyNot: () => (process.getuid?.() === 0 ? undefined : "needs root"),
  run: async (runs) => {
    const ours = hostOf("ours");
    const theirs = hostOf("theirs");
    try {
      const times = await paired(
        runs,
        async () => (await ours.ask("program")).took,
        async () => (await theirs.ask("program")).took,
      );
      return [
        {
          name: `${PEERS} peers programmed`,
          reference: "ip -batch, then bridge -batch",
          ours: summarise(times.ours),
          theirs: summarise(times.theirs),
          budget: { ratio: 1.2 },
        },
      ];
    } finally {
      await Promise.all([ours.close(), theirs.close()]);
    }
  },
};

function hostOf(side: Spec["side"]): Host<Request, Reply> {
  const spec: Spec = { side, peers: PEERS };
  return new Host<Request, Reply>(join(import.meta.dir, "peers-host.ts"), spec);
}
