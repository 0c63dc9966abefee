import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, startKnot, startOurs, writeQueries } from "./dns-tools.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";

/** Names of the zone. */
const NAMES = 1000;
const KNOT_PORT = 25_353;

/** Local names from one worker beside knotd with one UDP worker: same zone, same client, in turn. Two figures: time for
 *  1000 queries as the client sees it, which includes its own, and time of the processor that the server took for
 *  them. */
export const DNS_LOCAL: Benchmark = {
  name: "dns-local",
  runs: 5,
  whyNot() {
    const missing = ["dnsperf", "knotd"].filter((program) => Bun.which(program) === null);
    return missing.length === 0 ? undefined : `${missing.join(" and ")} missing`;
  },
  run: measure,
};

async function measure(runs: number): Promise<Measurement[]> {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-dns-"));
  const servers: Bun.Subprocess[] = [];
  try {
    const queries = writeQueries(directory, NAMES);
    const knot = startKnot(directory, KNOT_PORT, NAMES);
    servers.push(knot);
    const { server: ours, port } = await startOurs(NAMES);
    servers.push(ours);
    const taken = await paired(
      runs,
      () => ask(queries, port, ours.pid),
      () => ask(queries, KNOT_PORT, knot.pid),
    );
    return (["elapsed", "processor"] as const).map((figure) => ({
      name: figure === "elapsed" ? "dns: 1000 queries" : "dns: processor of 1000 queries",
      reference: "knotd, one UDP worker",
      ours: summarise(taken.ours.map((run) => run[figure])),
      theirs: summarise(taken.theirs.map((run) => run[figure])),
      budget: { ratio: 0.83 },
    }));
  } finally {
    for (const server of servers) {
      server.kill();
      await server.exited;
    }
    rmSync(directory, { recursive: true, force: true });
  }
}
