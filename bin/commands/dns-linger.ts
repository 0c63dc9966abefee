import { resolve } from "node:path";
import type { Command } from "commander";
import { DnsServer } from "../../dns/server.ts";
import { Zones } from "../../dns/zones.ts";
import { systemClock } from "../../lib/clock.ts";
import type { App } from "../app.ts";
import { TABLE_BYTES } from "../dns/agent-dns.ts";
import { startForwarder } from "../dns/forwarding.ts";
import { lingerPath, readHandover } from "../dns/handover.ts";
import { processOf } from "../process.ts";
import { daemonLog, endSignal } from "./daemon.ts";

/** Longest time without an agent, milliseconds: what is said of names by then is old. */
const LINGER_MS = 30_000;
const LOOK_MS = 5;
/** Addresses that can't be had within this time are missing, and the others serve, milliseconds. */
const BIND_MS = 1000;

/** `dns linger`: answers in the place of an agent that has ended, until the next one does. */
export function addDnsLinger(dns: Command, app: App): void {
  dns
    .command("linger")
    .description("stand in for an agent that ends, with the names that it hands over; agents start this by themselves")
    .requiredOption("--run-dir <dir>", "run directory of the agent")
    .addHelpText(
      "after",
      `\nReads the names on standard input. Ends when an agent answers, or after ${LINGER_MS / 1000} s.`,
    )
    .action(({ runDir }: { readonly runDir: string }) => linger(app, resolve(runDir)));
}

async function linger(app: App, runDir: string): Promise<void> {
  const log = daemonLog(app, "dns-linger");
  const { handover, records } = await readHandover(Bun.stdin.stream());
  const { listen, aliases, workers, cacheBytes, forwardZones } = handover;
  const zones = new Zones(handover.zones);
  zones.put("handed over", records);
  const forwarder = startForwarder({ zones: forwardZones, listen, cacheBytes, log });
  const server = new DnsServer({
    listen,
    zones,
    authority: { aliases },
    forward: forwarder,
    workers,
    tableBytes: TABLE_BYTES,
    clock: systemClock,
    log,
  });
  const deadline = performance.now() + BIND_MS;
  while (server.bound().length < listen.length && performance.now() < deadline) await Bun.sleep(LOOK_MS);
  const path = lingerPath(runDir);
  app.files.replace(path, `${JSON.stringify(processOf(process.pid))}\n`, 0o644);
  await Promise.race([endSignal(), Bun.sleep(LINGER_MS)]);
  app.files.remove(path);
  await server.stop();
  forwarder.stop();
  log.info("an agent answers names again, or none came");
}
