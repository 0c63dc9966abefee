import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, startKnot, startOurs, writeQueries } from "./dns-tools.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";

/** Names that are asked for. */
const NAMES = 1000;
const KNOT_PORT = 25_363;
const UNBOUND_PORT = 25_364;

/** Names that others answer for and that are kept: one worker beside unbound with one thread. Both ask the same knotd,
 *  as often as records of an hour need it, which is once. */
export const DNS_FORWARD: Benchmark = {
  name: "dns-forward",
  runs: 5,
  whyNot() {
    const missing = ["dnsperf", "knotd", "unbound"].filter((program) => Bun.which(program) === null);
    return missing.length === 0 ? undefined : `${missing.join(" and ")} missing`;
  },
  run: measure,
};

async function measure(runs: number): Promise<Measurement[]> {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-forward-"));
  const servers: Bun.Subprocess[] = [];
  try {
    const queries = writeQueries(directory, NAMES);
    servers.push(startKnot(directory, KNOT_PORT, NAMES, 3600));
    const unbound = startUnbound(directory);
    servers.push(unbound);
    const { server: ours, port } = await startOurs(0, KNOT_PORT);
    servers.push(ours);
    const taken = await paired(
      runs,
      () => ask(queries, port, ours.pid),
      () => ask(queries, UNBOUND_PORT, unbound.pid),
    );
    return (["elapsed", "processor"] as const).map((figure) => ({
      name: figure === "elapsed" ? "dns: 1000 kept answers" : "dns: processor of 1000 kept answers",
      reference: "unbound, one thread",
      ours: summarise(taken.ours.map((run) => run[figure])),
      theirs: summarise(taken.theirs.map((run) => run[figure])),
      budget: { ratio: 0.83 },
    }));
  } finally {
    for (const server of servers) {
      server.kill();
      await server.exited;
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

function startUnbound(directory: string): Bun.Subprocess {
  const configuration = `
server:
  interface: 127.0.0.1@${UNBOUND_PORT}
  port: ${UNBOUND_PORT}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "${directory}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  minimal-responses: yes
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${KNOT_PORT}
remote-control:
  control-enable: no
`;
  writeFileSync(join(directory, "unbound.conf"), configuration);
  return Bun.spawn(["unbound", "-c", join(directory, "unbound.conf")], { stdio: ["ignore", "ignore", "ignore"] });
}
