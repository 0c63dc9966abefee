import { DnsServer } from "../../dns/server.ts";
import { dcosZone } from "../../dns/zone.ts";
import { Zones } from "../../dns/zones.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { BENCH_ZONE, benchAddress, benchName } from "./dns-names.ts";

// Serves a zone of so many names with one worker, for the benchmark of DNS: bun test/bench/dns-server.ts NAMES. Prints
// its port, and goes on until it is ended.

const names = Number(process.argv[2]);
const zones = new Zones([dcosZone(BENCH_ZONE)]);
for (let index = 0; index < names; index++) {
  const data = { type: "A", address: benchAddress(index) } as const;
  zones.put(`task/${index}`, [{ name: benchName(index), ttl: 5, data }]);
}
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const server = new DnsServer({
  listen: [{ ip: parseIp("127.0.0.1"), port: 0 }],
  zones,
  authority: { aliases: [] },
  forward: undefined,
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
