import { missingOf, withServers } from "./dns-beside.ts";
import { startOurs, writeQueries } from "./dns-tools.ts";
import { waitOf, waitsOf } from "./dns-waits.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";

const NAMES = 1_000_000;
/** Questions a second while everything is rebuilt: few enough for a client that shares the processors. */
const RATE = 2000;
const SECONDS = 5;

/** A million names of which all change while they are asked for: how long one changed name takes until it is answered,
 *  and what askers notice of the rest. Beside the same without changes, since a machine with few processors makes
 *  askers wait by itself. */
export const DNS_UPDATE: Benchmark = {
  name: "dns-update",
  runs: 2,
  whyNot: () => missingOf("dnsperf"),
  run: measure,
};

function measure(runs: number): Promise<Measurement[]> {
  return withServers(async (directory, keep) => {
    const { server, port, line } = await startOurs(NAMES);
    keep(server);
    const queries = writeQueries(directory, NAMES);
    // The very longest waits are those of a machine that does something else, with and without changes.
    const waitOfMost = async () => waitOf(await waitsOf(directory, queries, port, RATE, SECONDS), 0.999);
    const visible: number[] = [];
    const quiet: number[] = [];
    const busy: number[] = [];
    for (let run = 0; run < runs; run++) {
      server.stdin.write("one\n");
      visible.push(Number(await line()));
      quiet.push(await waitOfMost());
      server.stdin.write("all\n");
      busy.push(await waitOfMost());
      await line();
    }
    return [
      { name: "dns: one of 1 M names changed, to its answer", ours: summarise(visible), budget: { most: 5 } },
      {
        name: "dns: wait of 99.9 %, 1 M names changing",
        reference: "the same server, nothing changes",
        ours: summarise(busy),
        theirs: summarise(quiet),
        budget: { most: 5 },
      },
    ];
  });
}
