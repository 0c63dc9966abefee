import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchName } from "./dns-names.ts";
import { linesOf } from "./lines.ts";

/** How the client asks. */
export interface Load {
  /** Length of each run, seconds. */
  readonly seconds: number;
  /** Sockets, over which the queries in flight are spread. */
  readonly sockets: number;
  readonly inFlight: number;
}

/** Few programs that ask for many others, as resolvers do. */
const PIPELINED: Load = { seconds: 2, sockets: 8, inFlight: 500 };

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

/** One run of the client. */
export async function ask(queries: string, port: number, server: number, load = PIPELINED): Promise<Run> {
  const before = processorMs(server);
  const target = ["-s", "127.0.0.1", "-p", String(port), "-d", queries];
  const { seconds, sockets, inFlight } = load;
  const how = ["-l", String(seconds), "-c", String(sockets), "-T", "1", "-q", String(inFlight)];
  const client = Bun.spawn(["dnsperf", ...target, ...how], { stdio: ["ignore", "pipe", "ignore"] });
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

/** Memory of a process that is in the machine's, megabytes: VmRSS of /proc/<pid>/status (proc(5)). */
export function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1000;
}
