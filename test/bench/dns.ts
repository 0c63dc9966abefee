import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BENCH_ZONE, benchAddress, benchName } from "./dns-names.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";

/** Names of the zone. */
const NAMES = 1000;
/** Length of each run of the client, seconds. */
const SECONDS = 2;
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

interface Run {
  readonly elapsed: number;
  readonly processor: number;
}

async function measure(runs: number): Promise<Measurement[]> {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-dns-"));
  const servers: Bun.Subprocess[] = [];
  try {
    const queries = join(directory, "queries");
    const order = Array.from({ length: 50_000 }, () => Math.floor(Math.random() * NAMES));
    writeFileSync(queries, order.map((index) => `${benchName(index)} A\n`).join(""));
    const knot = startKnot(directory);
    servers.push(knot);
    const ours = Bun.spawn([process.execPath, join(import.meta.dir, "dns-server.ts"), String(NAMES)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    servers.push(ours);
    const { value } = await ours.stdout.getReader().read();
    const port = Number(new TextDecoder().decode(value));
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

function startKnot(directory: string): Bun.Subprocess {
  const records = Array.from({ length: NAMES }, (_, index) => `${benchName(index)}. 5 A ${benchAddress(index)}`);
  const head = [
    `${BENCH_ZONE}. 5 SOA ns.spartan. support.mesosphere.com. 1 60 180 86400 1`,
    `${BENCH_ZONE}. 5 NS ns.spartan.`,
  ];
  writeFileSync(join(directory, "zone"), `${[...head, ...records].join("\n")}\n`);
  const configuration = `
server:
    rundir: "${directory}"
    listen: 127.0.0.1@${KNOT_PORT}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "${directory}"
zone:
  - domain: ${BENCH_ZONE}
    file: "${join(directory, "zone")}"
    zonefile-sync: -1
    journal-content: none
`;
  writeFileSync(join(directory, "knot.conf"), configuration);
  return Bun.spawn(["knotd", "-c", join(directory, "knot.conf")], { stdio: ["ignore", "ignore", "ignore"] });
}

/** One run of the client, in milliseconds for 1000 queries. */
async function ask(queries: string, port: number, server: number): Promise<Run> {
  const before = processorMs(server);
  const client = Bun.spawn(
    [
      "dnsperf",
      "-s",
      "127.0.0.1",
      "-p",
      `${port}`,
      "-d",
      queries,
      "-l",
      `${SECONDS}`,
      "-c",
      "8",
      "-T",
      "1",
      "-q",
      "500",
    ],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const report = await new Response(client.stdout).text();
  await client.exited;
  const completed = Number(/Queries completed:\s+(\d+)/.exec(report)?.[1] ?? 0);
  const rate = Number(/Queries per second:\s+([\d.]+)/.exec(report)?.[1] ?? 0);
  if (completed === 0 || rate === 0) throw new Error(`dnsperf measured nothing: ${report}`);
  return { elapsed: 1e6 / rate, processor: (processorMs(server) - before) / (completed / 1000) };
}

/** Time of the processor that a process has taken, milliseconds: fields 14 and 15 of /proc/<pid>/stat (proc(5)), in
 *  hundredths of a second. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
