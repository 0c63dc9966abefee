import { startForwarder } from "../../bin/dns/forwarding.ts";
import { DnsServer } from "../../dns/server.ts";
import { dcosZone } from "../../dns/zone.ts";
import { Zones } from "../../dns/zones.ts";
import { ipBytes, parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { queryBytes } from "../support/dns.ts";
import { BENCH_ZONE, benchAddress, benchName } from "./dns-names.ts";

// Serves a zone of so many names with one worker, for the benchmarks of DNS: bun test/bench/dns-server.ts NAMES
// [UPSTREAM_PORT]. With a port of this machine, it asks there about all other names. Prints its own port, and goes on
// until it is ended. Told "one" on its standard input, it changes a name and prints the milliseconds until that was
// answered; told "all", it changes every name, a thousand in each turn of the event loop, and prints how long it took.

const names = Number(process.argv[2]);
const upstreamPort = Number(process.argv[3] ?? 0);
const addressOf = (index: number, turn: number): string => benchAddress((index + turn) % 2 ** 24);
const zones = new Zones(upstreamPort === 0 ? [dcosZone(BENCH_ZONE)] : []);
for (let index = 0; index < names; index++) {
  change(index, 0);
}

function change(index: number, turn: number): void {
  const data = { type: "A", address: addressOf(index, turn) } as const;
  zones.put(`task/${index}`, [{ name: benchName(index), ttl: 5, data }]);
}

const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const upstream = { ip: parseIp("127.0.0.1"), port: upstreamPort };
const forward = startForwarder({
  zones: [{ zone: "", upstreams: upstreamPort === 0 ? [] : [upstream] }],
  listen: [],
  cacheBytes: 1 << 26,
  log: quiet,
});
const server = new DnsServer({
  listen: [{ ip: parseIp("127.0.0.1"), port: 0 }],
  zones,
  authority: { aliases: [] },
  forward: upstreamPort === 0 ? undefined : forward,
  workers: 1,
  tableBytes: names > 100_000 ? 1 << 29 : 1 << 26,
  clock: systemClock,
  log: quiet,
});
const ready = setInterval(() => {
  if (server.fastPath().names < names) return;
  clearInterval(ready);
  console.log(server.bound()[0]?.udpPort);
}, 10);

let turn = 0;
for await (const line of console) {
  turn++;
  console.log(line === "one" ? await changeOne() : await changeAll());
}

/** Asks over a socket again and again, as any client might. */
async function changeOne(): Promise<number> {
  const index = Math.floor(Math.random() * names);
  const wanted = [...ipBytes(parseIp(addressOf(index, turn)))];
  const answered = Promise.withResolvers<void>();
  const question = queryBytes(benchName(index), "A");
  const socket = await Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port: server.bound()[0]?.udpPort ?? 0 },
    socket: {
      data(_, bytes) {
        if (wanted.every((byte, at) => bytes.at(at - 4) === byte)) answered.resolve();
        else socket.send(question);
      },
    },
  });
  const began = performance.now();
  change(index, turn);
  server.publish();
  socket.send(question);
  await answered.promise;
  socket.close();
  return performance.now() - began;
}

async function changeAll(): Promise<number> {
  const began = performance.now();
  for (let index = 0; index < names; index++) {
    change(index, turn);
    if (index % 1000 !== 999) continue;
    server.publish();
    await Bun.sleep(0);
  }
  server.publish();
  return performance.now() - began;
}
