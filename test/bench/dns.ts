import { measureBeside, missingOf, withServers } from "./dns-beside.ts";
import { startKnot } from "./dns-programs.ts";
import { type Load, startOurs, writeQueries } from "./dns-tools.ts";
import type { Benchmark, Measurement } from "./measurement.ts";

/** Names of the zone. */
const NAMES = 1000;
const KNOT_PORT = 25_353;
/** A program that waits for each answer. */
const ONE_AT_A_TIME: Load = { seconds: 2, sockets: 1, inFlight: 1 };

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
    const together = { what: "queries", budget: { ratio: 0.83 } };
    const single = { what: "queries, one at a time", budget: { ratio: 1 }, load: ONE_AT_A_TIME };
    return [
      ...(await measureBeside(runs, queries, ours, theirs, together)),
      ...(await measureBeside(runs, queries, ours, theirs, single)),
    ];
  });
}
