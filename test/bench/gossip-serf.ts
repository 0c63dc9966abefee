import { existsSync } from "node:fs";
import { join } from "node:path";
import { linesOf } from "./lines.ts";

// Ours beside Debian's serf, real processes on loopback in a network namespace of their own: bun
// test/bench/gossip-serf.ts [--inside] [NODES] Times: from the start of the first process until every process counts
// all; from SIGKILL of one until every other knows it is dead. Bytes: what loopback carried (with heads), idle, for
// each node and second. Needs root, iproute2 and serf.

const SERF = "/usr/bin/serf";
const PROGRAM = join(import.meta.dir, "../support/gossip-node.ts");
const LIMIT_MS = 60_000;
const IDLE_S = 20;
const KILLS = 3;

/** A process of a cluster, and what it knows. */
interface Member {
  readonly name: string;
  readonly process: Bun.Subprocess<"pipe", "pipe", "ignore">;
  readonly alive: Set<string>;
}

type Start = (index: number) => readonly string[];
/** The members that a line of output tells of, and whether they are alive. */
type Understand = (line: string) => readonly (readonly [name: string, isAlive: boolean])[];

const nameOf = (index: number): string => `n${index}`;

function oursCommand(index: number): string[] {
  const address = `127.0.0.1:${7000 + index}`;
  return [process.execPath, PROGRAM, "--name", nameOf(index), "--address", address, "--seed", "127.0.0.1:7000"];
}

function oursLine(line: string): readonly (readonly [string, boolean])[] {
  const { event, name, status } = JSON.parse(line) as { event: string; name?: string; status?: string };
  return event === "member" && name !== undefined ? [[name, status === "alive"]] : [];
}

function serfCommand(index: number): string[] {
  const key = Buffer.alloc(32, 7).toString("base64");
  const seed = index === 0 ? [] : ["-retry-join=127.0.0.1:8000", "-retry-interval=1s"];
  const address = `127.0.0.1:${8000 + index}`;
  const rpc = `-rpc-addr=127.0.0.1:${9000 + index}`;
  return [SERF, "agent", `-node=${nameOf(index)}`, `-bind=${address}`, rpc, `-encrypt=${key}`, ...seed];
}

function serfLine(line: string): readonly (readonly [string, boolean])[] {
  const found = /serf: Event(MemberJoin|MemberFailed|MemberLeave): (\S+)/.exec(line);
  if (found === null) return [];
  return [[found[2] ?? "", found[1] === "MemberJoin"]];
}

async function follow(member: Member, understand: Understand): Promise<void> {
  for await (const line of linesOf(member.process.stdout)) {
    for (const [name, isAlive] of understand(line)) {
      if (isAlive) member.alive.add(name);
      else member.alive.delete(name);
    }
  }
}

async function until(isDone: () => boolean): Promise<number> {
  const start = performance.now();
  while (!isDone() && performance.now() - start < LIMIT_MS) await Bun.sleep(5);
  return isDone() ? performance.now() - start : Number.POSITIVE_INFINITY;
}

function loopbackBytes(): number {
  const { stdout } = Bun.spawnSync(["ip", "-json", "-stats", "link", "show", "lo"]);
  const [link] = JSON.parse(stdout.toString()) as { stats64: { tx: { bytes: number } } }[];
  return link?.stats64.tx.bytes ?? Number.NaN;
}

async function measure(who: string, nodes: number, command: Start, understand: Understand): Promise<void> {
  const members: Member[] = [];
  const before = loopbackBytes();
  const began = performance.now();
  for (let index = 0; index < nodes; index++) {
    const child = Bun.spawn([...command(index)], { stdio: ["pipe", "pipe", "ignore"] });
    const member = { name: nameOf(index), process: child, alive: new Set([nameOf(index)]) };
    members.push(member);
    void follow(member, understand);
  }
  await until(() => members.every(({ alive }) => alive.size === nodes));
  const joined = performance.now() - began;
  const joinBytes = loopbackBytes() - before;
  await Bun.sleep(5_000);
  const idleFrom = loopbackBytes();
  await Bun.sleep(IDLE_S * 1_000);
  const idle = (loopbackBytes() - idleFrom) / IDLE_S / nodes;
  const deaths: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = members.splice(1 + Math.floor(Math.random() * (members.length - 1)), 1)[0];
    victim?.process.kill("SIGKILL");
    deaths.push(await until(() => members.every(({ alive }) => !alive.has(victim?.name ?? ""))));
    await Bun.sleep(2_000);
  }
  for (const member of members) member.process.kill("SIGKILL");
  await Promise.all(members.map((member) => member.process.exited));
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  console.log(
    `${who.padEnd(5)} ${nodes} processes: all know all after ${seconds(joined)} (${(joinBytes / 1000).toFixed(0)} kB); ` +
      `idle ${idle.toFixed(0)} B/s a node; killed one known to all after ${deaths.map(seconds).join(", ")}`,
  );
}

const inside = process.argv.includes("--inside");
const nodes = Number(process.argv.filter((text) => /^\d+$/.test(text)).at(-1) ?? 30);
if (!inside) {
  const command = ["unshare", "--net", process.execPath, import.meta.path, "--inside", String(nodes)];
  const child = Bun.spawn(command, { stdio: ["ignore", "inherit", "inherit"] });
  process.exit(await child.exited);
}
Bun.spawnSync(["ip", "link", "set", "lo", "up"]);
await measure("ours", nodes, oursCommand, oursLine);
if (existsSync(SERF)) await measure("serf", nodes, serfCommand, serfLine);
else console.log(`serf can't be measured here: ${SERF} is missing`);
