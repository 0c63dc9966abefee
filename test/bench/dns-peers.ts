import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../support/free-port.ts";
import { buildCoreDns, COREDNS } from "./coredns.ts";
import { type Asked, missingOf, withServers } from "./dns-beside.ts";
import { PROGRAMS, type Program, startKnot } from "./dns-programs.ts";
import { isReady } from "./dns-ready.ts";
import { ask, type Load, type Run, residentMb, startOurs, writeQueries } from "./dns-tools.ts";
import { waitOf, waitsOf } from "./dns-waits.ts";
import { type Compared, summarise } from "./measurement.ts";
import { inTurn, paired } from "./paired.ts";
import { HEAD, lineOf, writeResults } from "./report.ts";

// Names from one worker beside the servers of others with one thread each: bun test/bench/dns-peers.ts [--runs N]
// [NAMES...] For each number of local names: time and processor of 1000 queries, all servers in turn; what half and 99
// of 100 askers wait, ours and each other in turn, both asked half as often as the slower of the two can answer;
// resident memory after that. Then the same of answers of others that are kept, without the waits. Leaves
// bench-results/dns-peers.json. A server that takes too long to load its names is left out with a line that says so,
// and so is CoreDNS where it can't be built. Exit status: 0 when all was measured, 1 when a program is missing.

const SIZES: readonly number[] = [1000, 100_000, 1_000_000];
/** Names that are kept, whose records live for an hour. */
const KEPT = { names: 1000, ttl: 3600 };
const LOAD_LIMIT_MS = 60_000;
/** Length of each run that is asked at half of the rate. */
const WAIT_SECONDS = 1;
/** The default buffer of a socket, 208 KiB, holds 194 of these queries: a server that rests for a moment loses none,
 *  and the client never waits for one that is lost. */
const LOAD: Load = { seconds: 1, sockets: 8, inFlight: 160 };
/** What we want to answer 1.2 times as much as. */
const RIVALS = { local: "knotd", kept: "unbound" };
const BUDGET = { ratio: 0.83 };

type Keep = (server: Bun.Subprocess) => Bun.Subprocess;

interface Peer extends Asked {
  readonly name: string;
}

/** What the askers of one run waited at most, microseconds. */
interface Waits {
  readonly half: number;
  readonly most: number;
}

/** A program that can be started, and how. */
interface Candidate {
  readonly name: string;
  readonly start: (directory: string, port: number) => Bun.Subprocess;
}

/** The candidates that have loaded their names in time. */
async function startPeers(
  directory: string,
  keep: Keep,
  names: number,
  what: string,
  candidates: readonly Candidate[],
): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const { name, start } of candidates) {
    const own = join(directory, name);
    mkdirSync(own);
    const port = await freePort();
    const server = keep(start(own, port));
    if (await isReady(server, port, names, LOAD_LIMIT_MS)) peers.push({ name, port, pid: server.pid });
    else {
      server.kill("SIGKILL");
      console.log(`dns ${what}, ${name}: not measured, its names took more than ${LOAD_LIMIT_MS / 1000} s to load`);
    }
  }
  return peers;
}

function sizeText(names: number): string {
  return names >= 1_000_000 ? `${names / 1_000_000} M` : `${names / 1000} k`;
}

/** What was measured of ours and of another, in the same order. */
interface Pair<T> {
  readonly ours: readonly T[];
  readonly theirs: readonly T[];
}

const NOTHING = { ours: [], theirs: [] };

/** A line of the report from the same figure of both. */
function line<T>(reference: string, name: string, unit: string, pair: Pair<T>, figure: (taken: T) => number): Compared {
  const [ours, theirs] = [summarise(pair.ours.map(figure)), summarise(pair.theirs.map(figure))];
  return { name, reference, unit, ours, theirs };
}

function speedLines(
  title: string,
  peer: string,
  rival: string,
  pair: Pair<Run>,
): [elapsed: Compared, processor: Compared] {
  const budget = peer === rival ? { budget: BUDGET } : {};
  return [
    { ...line(peer, `${title}: 1000 queries`, "ms", pair, (run) => run.elapsed), ...budget },
    { ...line(peer, `${title}: processor of 1000`, "ms", pair, (run) => run.processor), ...budget },
  ];
}

function waitLines(title: string, peer: string, pair: Pair<Waits>): Compared[] {
  return [
    line(peer, `${title}: wait of 50 %`, "µs", pair, ({ half }) => half),
    line(peer, `${title}: wait of 99 %`, "µs", pair, ({ most }) => most),
  ];
}

function memoryLine(title: string, peer: string, ours: Asked, theirs: Asked): Compared {
  const pair = { ours: [residentMb(ours.pid)], theirs: [residentMb(theirs.pid)] };
  return line(peer, `${title}: memory`, "MB", pair, (megabytes) => megabytes);
}

/** Local names, so many. */
function measureLocal(names: number, runs: number): Promise<Compared[]> {
  return withServers(async (directory, keep) => {
    const queries = writeQueries(directory, names);
    const { server, port } = await startOurs(names);
    const ours: Asked = { port, pid: keep(server).pid };
    const candidates = installed().map(({ name, start }) => ({
      name,
      start: (own: string, port: number) => start(own, port, names),
    }));
    const peers = await startPeers(directory, keep, names, sizeText(names), candidates);
    const speeds = await speedsOf(queries, ours, peers, runs);
    const lines: Compared[] = [];
    for (const [index, peer] of peers.entries()) {
      const title = `dns ${sizeText(names)}, ${peer.name}`;
      const speed = speedLines(title, peer.name, RIVALS.local, speeds[index] ?? NOTHING);
      const rate = halfOfSlower(speed[0]);
      const take = async (side: Asked): Promise<Waits> => {
        const waits = await waitsOf(directory, queries, side.port, rate, WAIT_SECONDS);
        return { half: waitOf(waits, 0.5) * 1000, most: waitOf(waits, 0.99) * 1000 };
      };
      const waits = await paired(
        Math.ceil(runs / 2),
        () => take(ours),
        () => take(peer),
      );
      lines.push(...speed, ...waitLines(title, peer.name, waits), memoryLine(title, peer.name, ours, peer));
    }
    return lines;
  });
}

/** Answers of others, which are kept. All ask the same knotd, as often as records of an hour need it, which is once. */
function measureKept(runs: number): Promise<Compared[]> {
  return withServers(async (directory, keep) => {
    const queries = writeQueries(directory, KEPT.names);
    const upstreamPort = await freePort();
    const upstream = keep(startKnot(directory, upstreamPort, KEPT.names, KEPT.ttl));
    await isReady(upstream, upstreamPort, KEPT.names, LOAD_LIMIT_MS);
    const { server, port } = await startOurs(0, upstreamPort);
    const ours: Asked = { port, pid: keep(server).pid };
    const candidates = installed().flatMap(({ name, forward }) =>
      forward === undefined ? [] : [{ name, start: (own: string, port: number) => forward(own, port, upstreamPort) }],
    );
    const peers = await startPeers(directory, keep, KEPT.names, "kept", candidates);
    const speeds = await speedsOf(queries, ours, peers, runs);
    return peers.flatMap((peer, index) => {
      const title = `dns kept, ${peer.name}`;
      const speed = speedLines(title, peer.name, RIVALS.kept, speeds[index] ?? NOTHING);
      return [...speed, memoryLine(title, peer.name, ours, peer)];
    });
  });
}

function installed(): readonly Program[] {
  return PROGRAMS.filter(({ command }) => missingOf(command) === undefined);
}

/** Asks all servers in turn. Gives ours beside each peer, in their order. */
async function speedsOf(queries: string, ours: Asked, peers: readonly Peer[], runs: number): Promise<Pair<Run>[]> {
  const sides = [ours, ...peers].map((side) => () => ask(queries, side.port, side.pid, LOAD));
  const [ourRuns = [], ...theirRuns] = await inTurn(runs, sides);
  return theirRuns.map((theirs) => ({ ours: ourRuns, theirs }));
}

/** Half of the queries a second that the slower of the two answers. */
function halfOfSlower({ ours, theirs }: Compared): number {
  return Math.floor(1e6 / Math.max(ours.median, theirs.median) / 2);
}

const { values, positionals } = parseArgs({
  options: { runs: { type: "string", default: "3" } },
  allowPositionals: true,
});
const runs = Number(values.runs);
const sizes = positionals.length === 0 ? SIZES : positionals.map(Number);
if (![runs, ...sizes].every((number) => Number.isInteger(number) && number > 0)) {
  console.error("usage: dns-peers [--runs N] [NAMES...]");
  process.exit(2);
}
const client = missingOf("dnsperf");
if (client !== undefined) {
  console.error(`dns-peers can't be measured here: ${client}`);
  process.exit(1);
}
const noCoreDns = await buildCoreDns();
if (noCoreDns !== undefined) console.log(`CoreDNS isn't measured: ${noCoreDns}`);
const missing = missingOf(...PROGRAMS.map(({ command }) => command).filter((command) => command !== COREDNS));
if (missing !== undefined) {
  console.log(`not all of dns-peers can be measured here: ${missing}`);
  process.exitCode = 1;
}
console.log(HEAD);
const measured: Compared[] = [];
for (const measure of [...sizes.map((names) => () => measureLocal(names, runs)), () => measureKept(runs)]) {
  const lines = await measure();
  for (const measurement of lines) console.log(lineOf(measurement));
  measured.push(...lines);
  await writeResults("dns-peers", measured);
}
