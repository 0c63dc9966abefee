import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import type { Service } from "../../l4lb/service.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { serve, timeOf, tool } from "./host.ts";
import { linesOf } from "./lines.ts";
import { openMemoryGroup } from "./memory-group.ts";
import { gigabitsOf, type Start } from "./stream.ts";
import { planeWith, serviceNumber, servicesOf, settle } from "./vip-nft-plane.ts";

// What the benchmark of the nftables data plane measures, in a host of its own (see host.ts). Three nodes of one make,
// each with a server behind it: one without any firewall, one with 10,000 virtual IPs of ours, one with a rule written
// by hand. A fourth has ten virtual IPs.

export type Place = "direct" | "ours" | "rule";

export type Request =
  | { readonly do: "talk"; readonly what: "connects" | "requests"; readonly place: Place }
  /** A first synchronisation: ours, `nft -f` of what ours has made, or of only what a packet needs of it. */
  | { readonly do: "sync"; readonly by: "ours" | "same" | "least" }
  | { readonly do: "change"; readonly what: "weight" | "backend"; readonly services: "few" | "many" }
  | { readonly do: "stream"; readonly place: Place }
  | { readonly do: "memory" | "kernel memory" | "close" };

export interface Reply {
  /** Milliseconds for `sync`, microseconds for one `talk` or `change`, Gbit/s for `stream`, MB for both kinds of
   *  memory. */
  readonly value: number;
}

const MANY = 10_000;
const FEW = 10;
const CHANGES = 50;
const COUNT = { connects: 500, requests: 2000 } as const;
const VIP = "11.255.0.1";
const SERVER = { address: "10.88.0.2", port: 8080 } as const;
const STREAM_PORT = 5201;
const TALK = join(import.meta.dir, "vip-talk.ts");
const FILL = join(import.meta.dir, "vip-nft-fill.ts");

const ALL = servicesOf(MANY);

const machine = openLinux();
const folder = mkdtempSync(join(tmpdir(), "dcos-net-bench-"));
const ends: (() => void)[] = [() => rmSync(folder, { recursive: true, force: true })];

function namespace(name: string): Kernel {
  const path = `${folder}/${name}`;
  machine.createNetns(path);
  const netns = machine.openNetns(path);
  if (netns === undefined) throw new Error(`no namespace ${path}`);
  const kernel = machine.within(netns);
  kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  ends.push(() => {
    kernel.close();
    netns.close();
    machine.deleteNetns(path);
  });
  return kernel;
}

/** A node, the server behind it, and a client on it that waits to be told. */
async function openNode(name: string) {
  const node = namespace(name);
  const behind = namespace(`${name}-server`);
  const netns = machine.openNetns(`${folder}/${name}-server`);
  if (netns === undefined) throw new Error("no namespace");
  node.apply([
    { do: "link.add", link: { kind: "veth", name: "eth0", up: true, peer: { name: "eth0", netns } } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.88.0.1/24") } },
  ]);
  netns.close();
  behind.apply([
    { do: "link.set", dev: "eth0", set: { up: true } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix(`${SERVER.address}/24`) } },
  ]);
  const serverCommand = [process.execPath, TALK, "serve", SERVER.address, String(SERVER.port)];
  const server = behind.enter(() => Bun.spawn(serverCommand, { stdio: ["pipe", "pipe", "inherit"] }));
  const client = node.enter(() => Bun.spawn([process.execPath, TALK, "ask"], { stdio: ["pipe", "pipe", "inherit"] }));
  ends.push(() => {
    server.kill();
    client.kill();
  });
  await linesOf(server.stdout).next();
  const answers = linesOf(client.stdout);
  const talk = async (what: keyof typeof COUNT, address: string, port: number): Promise<number> => {
    client.stdin.write(`${what} ${address} ${port} ${COUNT[what]}\n`);
    await client.stdin.flush();
    return Number((await answers.next()).value);
  };
  const stream = (address: string): Promise<number> =>
    gigabitsOf({
      serve: startIn(behind),
      send: startIn(node),
      listens: { address: SERVER.address, port: STREAM_PORT },
      to: { address, port: STREAM_PORT },
    });
  return { node, talk, stream };
}

function startIn(kernel: Kernel): Start {
  return (command) => kernel.enter(() => Bun.spawn([...command], { stdio: ["ignore", "pipe", "inherit"] }));
}

/** The service of the address that the programs connect to. */
function leadingTo(port: number, backendPort: number): Service {
  const backends = [{ ip: parseIp(SERVER.address), port: backendPort, weight: 1 }];
  return { ...serviceNumber(0), ip: parseIp(VIP), port, backends };
}

const nodes = { direct: await openNode("direct"), ours: await openNode("ours"), rule: await openNode("rule") };
/** Ports of the virtual address, and those of the server to which they lead. */
const reached = [
  [80, SERVER.port],
  [STREAM_PORT, STREAM_PORT],
] as const;
const planes = {
  many: planeWith(nodes.ours.node, [...ALL, ...reached.map(([from, to]) => leadingTo(from, to))]),
  few: planeWith(namespace("few"), ALL.slice(0, FEW)),
};

nodes.rule.node.nftables.run([
  "add table ip hand",
  "add chain ip hand output { type nat hook output priority -100 ; }",
  ...reached.map(
    ([from, to]) => `add rule ip hand output ip daddr ${VIP} tcp dport ${from} dnat to ${SERVER.address}:${to}`,
  ),
]);
nodes.rule.node.apply([{ do: "route.add", route: { dst: parsePrefix(`${VIP}/32`), dev: "eth0" } }]);

const vacant = namespace("empty");
const texts = writeRuleSets();

/** Files with the rule set as nft prints it, whole, and without the sets that no packet looks into but to be
 *  counted. */
function writeRuleSets(): Readonly<Record<"same" | "least", string>> {
  const plane = planeWith(vacant, ALL);
  const same = vacant.nftables.table("inet", "dcos_l4lb") ?? "";
  plane.remove();
  const least = same.replaceAll(/(set (?:services|backends)4 \{[^{}]*?)elements = \{[^{}]*\}/g, "$1");
  const files = { same: `${folder}/same.nft`, least: `${folder}/least.nft` } as const;
  writeFileSync(files.same, same);
  writeFileSync(files.least, least);
  return files;
}

function sync(by: "ours" | "same" | "least"): number {
  if (by !== "ours") {
    const took = vacant.enter(() => timeOf(() => tool(["nft", "-f", texts[by]])));
    vacant.nftables.run(["delete table inet dcos_l4lb"]);
    return took;
  }
  const plane = openNftablesDataplane(vacant, systemClock);
  plane.prepare();
  const took = timeOf(() => settle(plane, ALL));
  plane.remove();
  return took;
}

let turn = 0;

/** Each change differs from what is there: another weight, or a backend that goes or comes back. */
function change(what: "weight" | "backend", plane: Dataplane): number {
  const changed = (number: number): Service =>
    what === "weight" ? serviceNumber(number, (turn % 7) + 1) : serviceNumber(number, 1, 2 + (turn % 2));
  const took = timeOf(() => {
    for (let time = 0; time < CHANGES; time++) {
      if (time % FEW === 0) turn++;
      const [error] = plane.apply([{ do: "put", service: changed(time % FEW), before: undefined }]);
      if (error !== undefined) throw error;
    }
  });
  return (took * 1000) / CHANGES;
}

async function measured(request: Request): Promise<number> {
  switch (request.do) {
    case "talk": {
      const through = request.place !== "direct";
      const { talk } = nodes[request.place];
      return through ? talk(request.what, VIP, 80) : talk(request.what, SERVER.address, SERVER.port);
    }
    case "stream":
      return nodes[request.place].stream(request.place === "direct" ? SERVER.address : VIP);
    case "sync":
      return sync(request.by);
    case "change":
      return change(request.what, planes[request.services]);
    case "memory":
      return ownMemory();
    case "kernel memory":
      return kernelMemory();
    case "close":
      for (const plane of Object.values(planes)) plane.remove();
      for (const end of ends.reverse()) end();
      return 0;
  }
}

/** What 10,000 virtual IPs take of this process's memory, beside the services themselves. */
function ownMemory(): number {
  Bun.gc(true);
  const before = process.memoryUsage().heapUsed;
  const plane = planeWith(vacant, ALL);
  Bun.gc(true);
  const after = process.memoryUsage().heapUsed;
  plane.remove();
  return (after - before) / 1e6;
}

/** What 10,000 virtual IPs take of the kernel's memory: table, elements and routes, made by a process that has ended
 *  since. The buckets of hash tables aren't in it, for the kernel charges them to nobody. */
async function kernelMemory(): Promise<number> {
  const group = openMemoryGroup();
  const fill = async (count: number): Promise<number> => {
    const command = group.enter([process.execPath, FILL, String(count)]);
    const child = vacant.enter(() => Bun.spawn(command, { stdio: ["ignore", "inherit", "inherit"] }));
    if ((await child.exited) !== 0) throw new Error("the virtual IPs aren't there: the message is above");
    // What the process itself took is given back a little after its end.
    await Bun.sleep(300);
    return group.kernelBytes();
  };
  try {
    const before = await fill(0);
    return ((await fill(MANY)) - before) / 1e6;
  } finally {
    openNftablesDataplane(vacant, systemClock).remove();
    group.close();
  }
}

await serve<Request, Reply>(async (request) => ({ value: await measured(request) }));
