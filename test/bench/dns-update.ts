import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOurs, writeQueries } from "./dns-tools.ts";
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
      quiet.push(await waitOfMost(queries, port));
      server.stdin.write("all\n");
      busy.push(await waitOfMost(queries, port));
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
  } finally {
    server.kill();
    await server.exited;
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What 999 of 1000 askers waited at most, milliseconds. The very longest waits are those of a machine that does
 *  something else, with and without changes. */
async function waitOfMost(queries: string, port: number): Promise<number> {
  const target = ["-s", "127.0.0.1", "-p", String(port), "-d", queries];
  const load = ["-l", String(SECONDS), "-Q", String(RATE), "-c", "4", "-T", "1"];
  const client = Bun.spawn(["dnsperf", ...target, ...load, "-v"], { stdio: ["ignore", "pipe", "ignore"] });
  const report = await new Response(client.stdout).text();
  const waits = Array.from(report.matchAll(/^> NOERROR .* ([\d.]+)$/gm), ([, seconds]) => Number(seconds) * 1000);
  if (waits.length < RATE) throw new Error(`dnsperf measured too little: ${report.slice(-1000)}`);
  return waits.sort((a, b) => a - b)[Math.floor(waits.length * 0.999)] ?? Number.NaN;
}
