import { release } from "node:os";
import { join } from "node:path";
import type { Kernel } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { formatIp, type Ip } from "../../lib/address.ts";
import { paired } from "./paired.ts";

/** The part of the benchmark that runs in user-mode Linux: `bun vip-ipvs-inside.ts RUNS`, prints one JSON object. Both
 *  sides begin in an empty namespace each time. */

/** Times in milliseconds. */
export interface IpvsTimes {
  readonly first: { readonly ours: number[]; readonly theirs: number[] };
  readonly change: { readonly many: number[]; readonly few: number[] };
}

export const MANY = 10_000;
export const FEW = 10;
const BACKENDS = 3;
const RULES = "/tmp/rules";
/** Changes of one measurement: one alone takes less than the clock can tell. */
const CHANGES = 200;

function ipAt(first: number, offset: number): Ip {
  return { family: 4, value: (BigInt(first) << 24n) + BigInt(offset) };
}

function servicesOf(count: number): Service[] {
  return Array.from({ length: count }, (_, index) => ({
    protocol: "tcp",
    ip: ipAt(11, index + 1),
    port: 80,
    scheduler: "wlc",
    affinity: 0,
    backends: Array.from({ length: BACKENDS }, (__, each) => ({
      ip: ipAt(9, index * BACKENDS + each + 1),
      port: 8080,
      weight: 1,
    })),
  }));
}

/** What `ipvsadm -R` reads, as `ipvsadm -S -n` writes it. */
function rulesOf(services: readonly Service[]): string {
  const lines = services.flatMap(({ ip, port, backends }) => [
    `-A -t ${formatIp(ip)}:${port} -s wlc`,
    ...backends.map((each) => `-a -t ${formatIp(ip)}:${port} -r ${formatIp(each.ip)}:${each.port} -m -w 1`),
  ]);
  return `${lines.join("\n")}\n`;
}

const machine = openLinux();
let spaces = 0;

/** An empty namespace. */
function openSpace(): { readonly kernel: Kernel; close(): void } {
  const path = join("/run/netns", `bench${++spaces}`);
  machine.createNetns(path);
  const netns = machine.openNetns(path);
  if (netns === undefined) throw new Error(`no namespace at ${path}`);
  const kernel = machine.within(netns);
  const close = () => {
    kernel.close();
    netns.close();
    machine.deleteNetns(path);
  };
  kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  // The loading of the module is no part of what is compared.
  kernel.ipvs.services();
  return { kernel, close };
}

function inSpace(action: (kernel: Kernel) => number): number {
  const { kernel, close } = openSpace();
  try {
    return action(kernel);
  } finally {
    close();
  }
}

function timed(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

function planeOf(kernel: Kernel): Dataplane {
  return openIpvsDataplane(kernel, { release: release(), random: Math.random });
}

function settle(plane: Dataplane, services: readonly Service[]): void {
  for (const error of plane.apply(planServices(plane.read(), services))) if (error !== undefined) throw error;
}

function expectServices(kernel: Kernel): void {
  const found = kernel.ipvs.services().length;
  if (found !== MANY) throw new Error(`${found} services instead of ${MANY}`);
}

/** From an empty kernel to all services, with their addresses. */
function firstOurs(services: readonly Service[]): number {
  return inSpace((kernel) => {
    const plane = planeOf(kernel);
    plane.prepare();
    const took = timed(() => settle(plane, services));
    expectServices(kernel);
    return took;
  });
}

function firstTheirs(): number {
  return inSpace((kernel) => {
    const took = timed(() => {
      const { success, stderr } = kernel.enter(() => Bun.spawnSync(["ipvsadm", "-R"], { stdin: Bun.file(RULES) }));
      if (!success) throw new Error(`ipvsadm: ${stderr}`);
    });
    expectServices(kernel);
    return took;
  });
}

/** Milliseconds of one change: a backend of one service goes, or comes back. */
function change(plane: Dataplane, services: readonly Service[]): number {
  const took = timed(() => {
    for (let index = 0; index < CHANGES; index++) {
      const service = services[(index * 7919) % services.length];
      if (service === undefined) throw new Error("no service");
      const less = { ...service, backends: service.backends.slice(1) };
      for (const [before, wanted] of [
        [service, less],
        [less, service],
      ] as const) {
        const [error] = plane.apply([{ do: "put", service: wanted, before }]);
        if (error !== undefined) throw error;
      }
    }
  });
  return took / CHANGES / 2;
}

async function changes(runs: number): Promise<IpvsTimes["change"]> {
  const sides = [MANY, FEW].map((count) => {
    const { kernel, close } = openSpace();
    const services = servicesOf(count);
    const plane = planeOf(kernel);
    plane.prepare();
    settle(plane, services);
    return { close, measure: () => change(plane, services) };
  });
  const [many, few] = sides;
  if (many === undefined || few === undefined) throw new Error("two sides are compared");
  const times = await paired(runs, many.measure, few.measure);
  for (const { close } of sides) close();
  return { many: times.ours, few: times.theirs };
}

if (import.meta.main) {
  const runs = Number(process.argv[2]);
  const services = servicesOf(MANY);
  await Bun.write(RULES, rulesOf(services));
  const first = await paired(runs, () => firstOurs(services), firstTheirs);
  const times: IpvsTimes = { first, change: await changes(runs * 5) };
  console.log(JSON.stringify(times));
}
