import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../../kernel/bpf-map.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { MAPS, type MapName } from "../../l4lb/dataplanes/socket-layout.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { parseIp } from "../../lib/address.ts";
import { inCgroup } from "../support/in-cgroup.ts";
import { openSocketPlace, type SocketPlace, testCgroups } from "../support/socket-place.ts";
import { serve, timeOf } from "./host.ts";
import { linesOf } from "./lines.ts";
import { programCost } from "./program-cost.ts";
import { gigabitsOf, type Start } from "./stream.ts";

/** `direct` is a client that no program sees, `beside` one whose connections aren't for a virtual IP, `through` one
 *  that goes through one. */
export type How = "direct" | "beside" | "through";

/** What the benchmark asks of its host. */
export type Request =
  | { readonly do: "talk"; readonly what: "connects" | "requests"; readonly how: How }
  | { readonly do: "stream"; readonly how: How }
  | { readonly do: "cost"; readonly how: "beside" | "through" }
  | { readonly do: "sync" | "memory" | "close" }
  | { readonly do: "change"; readonly services: "few" | "many" };

const MANY = 10_000;
const FEW = 10;
const CHANGES = 100;
/** Few at a time: what else the machine does changes from one tenth of a second to the next. */
const COUNT = { connects: 250, requests: 500 } as const;
const VIP = "11.255.0.1";
const LOOPBACK = "127.0.0.1";
const STREAM_PORT = 5201;

/** Three backends for each, as they are on three nodes. */
function serviceNumber(number: number, weight = 1): Service {
  const backends = [1n, 2n, 3n].map((node) => ({
    ip: { family: 4, value: 0x0900_0000n + (node << 16n) + BigInt(number) } as const,
    port: 8080,
    weight: node === 2n ? weight : 1,
  }));
  const ip = { family: 4, value: 0x0b00_0000n + BigInt(number) } as const;
  return { protocol: "tcp", ip, port: 80, scheduler: "wlc", affinity: 0, backends };
}

interface Node {
  readonly place: SocketPlace;
  readonly plane: Dataplane;
}

function nodeWith(services: readonly Service[]): Node {
  const place = openSocketPlace();
  const plane = openSocketDataplane(place);
  plane.prepare();
  settle(plane, services);
  return { place, plane };
}

function settle(plane: Dataplane, services: readonly Service[]): void {
  for (const error of plane.apply(planServices(plane.read(), services))) if (error !== undefined) throw error;
}

function end({ place, plane }: Node): void {
  plane.remove();
  plane.close();
  place.close();
}

const all = Array.from({ length: MANY }, (_, number) => serviceNumber(number));
const PEER = join(import.meta.dir, "vip-socket-peer.ts");
const server = Bun.spawn([process.execPath, PEER, "serve"], { stdio: ["ignore", "pipe", "inherit"] });
const { value: printed } = await linesOf(server.stdout).next();
const port = Number(printed);
const few = nodeWith(all.slice(0, FEW));
const many = nodeWith([...all, leadingTo(80, port), leadingTo(STREAM_PORT, STREAM_PORT)]);
let weight = 1;

/** The service of the address that the programs connect to. */
function leadingTo(from: number, to: number): Service {
  return {
    ...serviceNumber(0),
    ip: parseIp(VIP),
    port: from,
    backends: [{ ip: parseIp(LOOPBACK), port: to, weight: 1 }],
  };
}

const client = Bun.spawn([process.execPath, PEER, "ask"], { stdio: ["pipe", "pipe", "inherit"] });
const answers = linesOf(client.stdout);

/** Nanoseconds that one takes. The same client does it in all cases, moved from one control group to another: sockets
 *  that it makes afterwards belong there. */
async function talk({ what, how }: Extract<Request, { do: "talk" }>): Promise<number> {
  writeFileSync(join(cgroupOf(how), "cgroup.procs"), String(client.pid));
  const target = how === "through" ? `${VIP} 80` : `${LOOPBACK} ${port}`;
  client.stdin.write(`${what} ${target} ${COUNT[what]}\n`);
  await client.stdin.flush();
  return Number((await answers.next()).value);
}

function cgroupOf(how: How): string {
  return how === "direct" ? testCgroups() : many.place.cgroup;
}

/** Gbit/s from a client in the control group that `how` says. */
function stream(how: How): Promise<number> {
  const startIn =
    (cgroup: string): Start =>
    (command) =>
      Bun.spawn(inCgroup(cgroup, command), { stdio: ["ignore", "pipe", "inherit"] });
  return gigabitsOf({
    serve: startIn(testCgroups()),
    send: startIn(cgroupOf(how)),
    listens: { address: LOOPBACK, port: STREAM_PORT },
    to: { address: how === "through" ? VIP : LOOPBACK, port: STREAM_PORT },
  });
}

await serve<Request, number>(async (request) => {
  switch (request.do) {
    case "talk":
      return (await talk(request)) / 1000;
    case "stream":
      return stream(request.how);
    case "cost": {
      const { how } = request;
      const connects = () => talk({ do: "talk", what: "connects", how });
      return programCost(many.place, ["connect4", "release"], COUNT.connects, connects);
    }
    case "sync": {
      const node = nodeWith([]);
      try {
        return timeOf(() => settle(node.plane, all));
      } finally {
        end(node);
      }
    }
    case "change": {
      const { plane } = request.services === "few" ? few : many;
      const took = timeOf(() => {
        for (let time = 0; time < CHANGES; time++) {
          const service = serviceNumber(time % FEW, (weight++ % 100) + 2);
          const [error] = plane.apply([{ do: "put", service, before: undefined }]);
          if (error !== undefined) throw error;
        }
      });
      return (took * 1000) / CHANGES;
    }
    case "memory":
      return memoryOf(many.place);
    case "close":
      for (const child of [client, server]) {
        child.kill();
        await child.exited;
      }
      end(few);
      end(many);
      return 0;
  }
});

/** Megabytes of the kernel that the maps take, as it says itself. */
function memoryOf({ pins }: SocketPlace): number {
  let bytes = 0;
  for (const name of Object.keys(MAPS) as MapName[]) {
    const map = BpfMap.pinned(`${pins}/maps/${name}`, MAPS[name]);
    if (map === undefined) throw new Error(`no map ${name}`);
    const info = readFileSync(`/proc/self/fdinfo/${map.descriptor}`, "utf8");
    bytes += Number(/^memlock:\s+(\d+)$/m.exec(info)?.[1]);
    map.close();
  }
  return bytes / 1e6;
}
