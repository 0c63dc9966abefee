import { startForwarder } from "../../bin/dns/forwarding.ts";
import { DnsServer } from "../../dns/server.ts";
import { dcosZone } from "../../dns/zone.ts";
import { Zones } from "../../dns/zones.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { BENCH_ZONE, benchAddress, benchName } from "./dns-names.ts";

// Serves a zone of so many names with one worker, for the benchmarks of DNS: bun test/bench/dns-server.ts NAMES
// [UPSTREAM_PORT]. With a port of this machine, it asks there about all other names. Prints its own port, and goes on
// until it is ended.

const names = Number(process.argv[2]);
const upstreamPort = Number(process.argv[3] ?? 0);
const zones = new Zones(upstreamPort === 0 ? [dcosZone(BENCH_ZONE)] : []);
for (let index = 0; index < names; index++) {
  const data = { type: "A", address: benchAddress(index) } as const;
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
  tableBytes: 1 << 30,
  clock: systemClock,
  log: quiet,
});
const ready = setInterval(() => {
  if (server.fastPath().names < names) return;
  clearInterval(ready);
  console.log(server.bound()[0]?.udpPort);
}, 10);
