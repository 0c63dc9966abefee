import { hostname } from "node:os";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import type { Forwarder } from "../../dns/forward/forwarder.ts";
import type { ForwardZone } from "../../dns/forward/route.ts";
import { DCOS_RANGES, Names } from "../../dns/names.ts";
import { aliases } from "../../dns/naming.ts";
import { DnsServer, type Endpoint } from "../../dns/server.ts";
import { formatIp, parseIp, tryParseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { App } from "../app.ts";
import { checked, many, numberFrom } from "../checked.ts";
import { TABLE_BYTES } from "../dns/agent-dns.ts";
import { parseForwardZone, parseUpstream, startForwarder } from "../dns/forwarding.ts";
import { ownAddresses } from "../dns/own-addresses.ts";
import { defaultWorkers } from "../dns/settings.ts";
import { taskView } from "../dns/task-view.ts";
import { daemonLog, endSignal } from "./daemon.ts";
import { addDnsLinger } from "./dns-linger.ts";
import { addDnsQueries } from "./dns-query.ts";
import { addDnsHost } from "./dns-resolvconf.ts";

interface Options {
  readonly listen: readonly Endpoint[];
  readonly tasks: string;
  readonly node?: string;
  readonly address?: readonly string[];
  readonly upstream?: readonly Endpoint[];
  readonly forward?: readonly ForwardZone[];
  readonly cache: number;
  readonly workers: number;
}

/** `dcos-net dns`: names of tasks. */
export function addDns(program: Command, app: App): void {
  const dns = program.command("dns").description("names of tasks and virtual IPs");
  dns
    .command("serve")
    .description("answer for the tasks that a directory of files defines, without a cluster")
    .requiredOption("--listen <ip:port>", "where to listen over UDP and TCP; may be given again", many(parseEndpoint))
    .requiredOption("--tasks <dir>", "directory of task definitions: YAML and JSON files")
    .option("--node <name>", "name of this node (default: the host's)")
    .option("--address <ip>", "address of this node; may be given again (default: the host's)", many(parseAddress))
    .option("--upstream <ip[:port]>", "who is asked about other names; may be given again", many(parseUpstream))
    .option(
      "--forward <zone=ip[:port],...>",
      "who is asked about the names of a zone; may be given again",
      many(parseForwardZone),
    )
    .option("--cache <MiB>", "memory for the answers of others", numberFrom(0, 65_536), 64)
    .option("--workers <n>", "threads that answer over UDP", numberFrom(1, 64), defaultWorkers())
    .addHelpText(
      "after",
      `
Logs one JSON object a line on standard output. SIGTERM and SIGINT end it.`,
    )
    .action((options: Options) => serve(app, options));
  addDnsQueries(dns, app);
  addDnsHost(dns, app);
  addDnsLinger(dns, app);
}

async function serve(app: App, options: Options): Promise<void> {
  const log = daemonLog(app, "dns");
  const forwarder = forwarderOf(options, log);
  const node = options.node ?? hostname();
  const addresses = options.address ?? ownAddresses();
  const names = new Names({ node, publicAddresses: [], custom: [], ranges: DCOS_RANGES, forwarded: [], zones: [] });
  const { view, stop } = taskView({ directory: resolve(options.tasks), node, addresses, files: app.files, log });
  names.begin(view.snapshot());
  const server = new DnsServer({
    listen: options.listen,
    zones: names.zones,
    authority: { aliases: aliases() },
    forward: forwarder,
    workers: options.workers,
    tableBytes: TABLE_BYTES,
    clock: systemClock,
    log,
  });
  view.subscribe((delta, snapshot) => {
    names.change(delta, snapshot);
    server.publish();
  });
  await endSignal();
  await stop();
  await server.stop();
  forwarder?.stop();
}

function forwarderOf({ upstream, forward, cache, listen }: Options, log: Log): Forwarder | undefined {
  const rest = upstream === undefined ? [] : [{ zone: "", upstreams: upstream }];
  const zones = [...(forward ?? []), ...rest];
  return zones.length === 0 ? undefined : startForwarder({ zones, listen, cacheBytes: cache << 20, log });
}

/** `10.1.0.5:53`, `[fd01::5]:53`. */
export function parseEndpoint(text: string): Endpoint {
  const [, six, four, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const ip = tryParseIp(six ?? four ?? "");
  const port = Number(digits);
  if (ip === undefined || (six !== undefined) !== (ip.family === 6) || port > 65_535)
    throw new InvalidArgumentError("needed is <IPv4>:<port> or [<IPv6>]:<port>");
  return { ip, port };
}

const parseAddress = checked((text: string) => formatIp(parseIp(text)));
