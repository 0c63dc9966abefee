import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BENCH_ZONE, benchAddress, benchName } from "./dns-names.ts";

/** Length of each run of the client, seconds. */
const SECONDS = 2;

/** One run of the client, milliseconds. */
export interface Run {
  /** For 1000 queries as the client sees it, which includes its own time. */
  readonly elapsed: number;
  /** Time of the processor that the server took for 1000 queries. */
  readonly processor: number;
}

/** Writes so many questions for names of the zone in random order, as dnsperf reads them. Gives the file's path. */
export function writeQueries(directory: string, names: number): string {
  const path = join(directory, "queries");
  const order = Array.from({ length: 50_000 }, () => Math.floor(Math.random() * names));
  writeFileSync(path, order.map((index) => `${benchName(index)} A\n`).join(""));
  return path;
}

export interface Started {
  readonly server: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly port: number;
  /** The next line that it prints. */
  line(): Promise<string>;
}

/** Starts our server in a process of its own: `dns-server.ts` with these arguments. */
export async function startOurs(...given: readonly (string | number)[]): Promise<Started> {
  const server = Bun.spawn([process.execPath, join(import.meta.dir, "dns-server.ts"), ...given.map(String)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = linesOf(server.stdout);
  const line = async (): Promise<string> => (await lines.next()).value ?? "";
  return { server, port: Number(await line()), line };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + new TextDecoder().decode(chunk)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  return undefined;
}

/** knotd with the zone of so many names and one UDP worker. */
export function startKnot(directory: string, port: number, names: number, ttl = 5): Bun.Subprocess {
  const records = Array.from({ length: names }, (_, index) => `${benchName(index)}. ${ttl} A ${benchAddress(index)}`);
  const head = [
    `${BENCH_ZONE}. 5 SOA ns.spartan. support.mesosphere.com. 1 60 180 86400 1`,
    `${BENCH_ZONE}. 5 NS ns.spartan.`,
  ];
  writeFileSync(join(directory, "zone"), `${[...head, ...records].join("\n")}\n`);
  const configuration = `
server:
    rundir: "${directory}"
    listen: 127.0.0.1@${port}
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
export async function ask(queries: string, port: number, server: number): Promise<Run> {
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
