import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOurs, writeQueries } from "./dns-tools.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";

const NAMES = 1_000_000;
/** Questions a second while everything is rebuilt: few enough for a client that shares the processors. */
const RATE = 2000;
const SECONDS = 10;

/** A million names of which all change while they are asked for: how long one changed name takes until it is answered,
 *  and what askers notice of the rest. Beside the same without changes, since a machine with few processors makes
 *  askers wait by itself. */
export const DNS_UPDATE: Benchmark = {
  name: "dns-update",
  runs: 3,
  whyNot: () => (Bun.which("dnsperf") === null ? "dnsperf missing" : undefined),
  run: measure,
};

async function measure(runs: number): Promise<Measurement[]> {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-update-"));
  const { server, port, line } = await startOurs(NAMES);
  try {
    const queries = writeQueries(directory, NAMES);
    const visible: number[] = [];
    const quiet: number[] = [];
    const busy: number[] = [];
    for (let run = 0; run < runs; run++) {
      server.stdin.write("one\n");
      visible.push(Number(await line()));
      quiet.push(await longestWait(queries, port));
      server.stdin.write("all\n");
      busy.push(await longestWait(queries, port));
      await line();
    }
    return [
      { name: "dns: one of 1 M names changed, to its answer", ours: summarise(visible), budget: { most: 5 } },
      {
        name: "dns: longest wait while 1 M names change",
        reference: "the same server, nothing changes",
        ours: summarise(busy),
        theirs: summarise(quiet),
        budget: { most: 5 },
      },
    ];
  } finally {
    server.kill();
    await server.exited;
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The longest wait that dnsperf saw, milliseconds. */
async function longestWait(queries: string, port: number): Promise<number> {
  const target = ["-s", "127.0.0.1", "-p", String(port), "-d", queries];
  const client = Bun.spawn(["dnsperf", ...target, "-l", String(SECONDS), "-Q", String(RATE), "-c", "4", "-T", "1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const report = await new Response(client.stdout).text();
  const longest = /Average Latency \(s\):.*max ([\d.]+)/.exec(report)?.[1];
  if (longest === undefined || !/Queries lost:\s+0 /.test(report)) throw new Error(`dnsperf: ${report}`);
  return Number(longest) * 1000;
}
