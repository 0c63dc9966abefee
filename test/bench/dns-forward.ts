import { measureBeside, missingOf, withServers } from "./dns-beside.ts";
import { startKnot, startUnboundForward } from "./dns-programs.ts";
import { startOurs, writeQueries } from "./dns-tools.ts";
import type { Benchmark, Measurement } from "./measurement.ts";

/** Names that are asked for. */
const NAMES = 1000;
const KNOT_PORT = 25_363;
const UNBOUND_PORT = 25_364;

/** Names that others answer for and that are kept: one worker beside unbound with one thread. Both ask the same knotd,
 *  as often as records of an hour need it, which is once. */
export const DNS_FORWARD: Benchmark = {
  name: "dns-forward",
  runs: 5,
  whyNot: () => missingOf("dnsperf", "knotd", "unbound"),
  run: measure,
};

function measure(runs: number): Promise<Measurement[]> {
  return withServers(async (directory, keep) => {
    const queries = writeQueries(directory, NAMES);
    keep(startKnot(directory, KNOT_PORT, NAMES, 3600));
    const { pid } = keep(startUnboundForward(directory, UNBOUND_PORT, KNOT_PORT));
    const { server, port } = await startOurs(0, KNOT_PORT);
    const ours = { port, pid: keep(server).pid };
    const theirs = { port: UNBOUND_PORT, pid, reference: "unbound, one thread" };
    return await measureBeside(runs, queries, ours, theirs, "kept answers");
  });
}
