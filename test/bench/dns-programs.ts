import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { unboundConfiguration } from "../support/unbound.ts";
import { COREDNS } from "./coredns.ts";
import { BENCH_ZONE, benchAddress, benchName } from "./dns-names.ts";

/** A server of others that answers with one thread. It is started on a port of 127.0.0.1 and keeps its files in the
 *  directory, which is its own. */
export interface Program {
  readonly name: string;
  /** Its file, or the name of that. */
  readonly command: string;
  /** Starts it with the zone of the benchmarks, of so many names. */
  readonly start: (directory: string, port: number, names: number) => Bun.Subprocess;
  /** Starts it so that it asks the server on another port, and keeps what that answers. */
  readonly forward?: (directory: string, port: number, upstreamPort: number) => Bun.Subprocess;
}

export const PROGRAMS: readonly Program[] = [
  { name: "knotd", command: "knotd", start: startKnot },
  { name: "unbound", command: "unbound", start: startUnboundLocal, forward: startUnboundForward },
  { name: "dnsmasq", command: "dnsmasq", start: startDnsmasq },
  { name: "named", command: "named", start: startNamed },
  { name: "coredns", command: COREDNS, start: startCoreDnsLocal, forward: startCoreDnsForward },
];

/** knotd with the zone of so many names and one UDP worker. */
export function startKnot(directory: string, port: number, names: number, ttl = 5): Bun.Subprocess {
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
    file: "${writeZone(directory, names, ttl)}"
    zonefile-sync: -1
    journal-content: none
`;
  return quiet("knotd", "-c", written(directory, "knot.conf", configuration));
}

/** unbound with one thread, which keeps what the server on the other port answers. */
export function startUnboundForward(directory: string, port: number, upstreamPort: number): Bun.Subprocess {
  const zone = `forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@${upstreamPort}\n`;
  return startUnbound(directory, port, zone);
}

/** unbound with one thread, and with what it is to answer at the end of its configuration. */
function startUnbound(directory: string, port: number, answers: string): Bun.Subprocess {
  const server = "  do-not-query-localhost: no\n  minimal-responses: yes";
  const configuration = unboundConfiguration(directory, port, server, answers);
  return quiet("unbound", "-c", written(directory, "unbound.conf", configuration));
}

function startUnboundLocal(directory: string, port: number, names: number): Bun.Subprocess {
  const data = lines(names, (index) => `  local-data: "${benchName(index)}. 5 A ${benchAddress(index)}"`);
  return startUnbound(directory, port, `server:\n  local-zone: "${BENCH_ZONE}." static\n${data}`);
}

/** dnsmasq, which has one thread. It looks its option `address` up in a sorted table and loads a million of them in two
 *  seconds; as a hosts file they take it more than a minute. */
function startDnsmasq(directory: string, port: number, names: number): Bun.Subprocess {
  const addresses = lines(names, (index) => `address=/${benchName(index)}/${benchAddress(index)}`);
  const configuration = `
port=${port}
listen-address=127.0.0.1
bind-interfaces
user=root
no-resolv
no-hosts
local=/${BENCH_ZONE}/
local-ttl=5
${addresses}`;
  const file = written(directory, "dnsmasq.conf", configuration);
  return quiet("dnsmasq", "--keep-in-foreground", "--pid-file=", `--conf-file=${file}`);
}

/** BIND 9 with one thread. */
function startNamed(directory: string, port: number, names: number): Bun.Subprocess {
  const configuration = `
options {
  directory "${directory}";
  listen-on port ${port} { 127.0.0.1; };
  listen-on-v6 { none; };
  pid-file none;
  lock-file none;
  session-keyfile none;
  recursion no;
  dnssec-validation no;
  minimal-responses yes;
  notify no;
};
controls { };
zone "${BENCH_ZONE}" {
  type primary;
  file "${writeZone(directory, names, 5)}";
};
`;
  return quiet("named", "-f", "-n", "1", "-c", written(directory, "named.conf", configuration));
}

function startCoreDnsLocal(directory: string, port: number, names: number): Bun.Subprocess {
  return startCoreDns(directory, port, BENCH_ZONE, `file ${writeZone(directory, names, 5)}`);
}

function startCoreDnsForward(directory: string, port: number, upstreamPort: number): Bun.Subprocess {
  return startCoreDns(directory, port, ".", `cache\n  forward . 127.0.0.1:${upstreamPort}`);
}

/** CoreDNS, whose goroutines share one thread. */
function startCoreDns(directory: string, port: number, zone: string, plugins: string): Bun.Subprocess {
  const configuration = `${zone}:${port} {\n  bind 127.0.0.1\n  ${plugins}\n}\n`;
  return quiet("env", "GOMAXPROCS=1", COREDNS, "-conf", written(directory, "Corefile", configuration));
}

/** Writes the zone in the format of RFC 1035 section 5. Gives the file's path. */
function writeZone(directory: string, names: number, ttl: number): string {
  const soa = `${BENCH_ZONE}. 5 SOA ns.spartan. support.mesosphere.com. 1 60 180 86400 1\n`;
  const ns = `${BENCH_ZONE}. 5 NS ns.spartan.\n`;
  const records = lines(names, (index) => `${benchName(index)}. ${ttl} A ${benchAddress(index)}`);
  return written(directory, "zone", soa + ns + records);
}

function lines(names: number, lineOf: (index: number) => string): string {
  return Array.from({ length: names }, (_, index) => `${lineOf(index)}\n`).join("");
}

function written(directory: string, name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function quiet(...command: string[]): Bun.Subprocess {
  return Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
}
