import { measureBeside, missingOf, withServers } from "./dns-beside.ts";
import { startKnot } from "./dns-programs.ts";
import { startOurs, writeQueries } from "./dns-tools.ts";
import type { Benchmark, Measurement } from "./measurement.ts";

/** Names of the zone. */
const NAMES = 1000;
const KNOT_PORT = 25_353;

/** Local names from one worker beside knotd with one UDP worker: same zone, same client, in turn. */
export const DNS_LOCAL: Benchmark = {
  name: "dns-local",
  runs: 5,
  whyNot: () => missingOf("dnsperf", "knotd"),
  run: measure,
};

function measure(runs: number): Promise<Measurement[]> {
  return withServers(async (directory, keep) => {
    const queries = writeQueries(directory, NAMES);
    const { pid } = keep(startKnot(directory, KNOT_PORT, NAMES));
    const { server, port } = await startOurs(NAMES);
    const ours = { port, pid: keep(server).pid };
    const theirs = { port: KNOT_PORT, pid, reference: "knotd, one UDP worker" };
    return await measureBeside(runs, queries, ours, theirs, "queries");
  });
}
