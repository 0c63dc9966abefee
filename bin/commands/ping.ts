import type { Command } from "commander";
import { formatIp, parseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { askApi } from "../api/client.ts";
import type { TracedService, VipTraceBody } from "../api/vip-trace.ts";
import { type App, EXIT } from "../app.ts";
import { numberFrom } from "../checked.ts";
import { containerKernel } from "../l4lb/container-netns.ts";
import { type Probed, probe } from "../l4lb/probe.ts";
import { show } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";
import { splitPort } from "./trace.ts";

const LIMIT_MS = 2000;
const GAP_MS = 200;

interface Options extends ApiOptions {
  readonly count: number;
  readonly from?: string;
}

/** One attempt. */
interface Ping extends Probed {
  readonly ip: string;
  readonly port: number;
}

/** `dcos-net ping`: connects to a virtual IP again and again. */
export function addPing(program: Command, app: App): void {
  withApi(program.command("ping"))
    .description("connect to a virtual IP of tcp again and again; exit status 1 unless every connection stands")
    .argument("<vip>", "a name, with or without .l4lb.thisdcos.directory, or an address; :PORT may follow")
    .option("--count <number>", "how many times each service", numberFrom(1, 1000), 5)
    .option("--from <container>", "from a container: a process number, the path of its namespace, or its CNI id")
    .action((vip: string, options: Options) => ping(app, vip, options));
}

async function ping(app: App, meant: string, options: Options): Promise<void> {
  const services = await servicesOf(app, meant, options);
  const kernel = options.from === undefined ? app.kernel : containerKernel(app.kernel, options.from);
  const pings: Ping[] = [];
  for (let round = 0; round < options.count; round++) {
    if (round > 0) await Bun.sleep(GAP_MS);
    for (const { ip, port } of services) {
      const made = { ip: formatIp(parseIp(ip)), port, ...(await probe(kernel, parseIp(ip), port, LIMIT_MS)) };
      pings.push(made);
      if (options.json !== true) app.out.line(pingLine(made));
    }
  }
  if (kernel !== app.kernel) kernel.close();
  const good = pings.filter(({ result }) => result === "connected");
  if (options.json === true) show(app.out, true, pings, () => []);
  else app.out.line(`${good.length} of ${pings.length} connections stood`);
  if (good.length < pings.length) app.exitCode = EXIT.bad;
}

async function servicesOf(app: App, meant: string, options: Options): Promise<readonly TracedService[]> {
  const { name, port } = splitPort(meant);
  const query = new URLSearchParams({ name, protocol: "tcp", ...(port === undefined ? {} : { port }) });
  const { hops, services } = (await askApi(apiMeant(app, options), `/v1/vips/trace?${query}`)) as VipTraceBody;
  if (services.length > 0) return services;
  const said = hops.find(({ ok }) => !ok)?.text ?? "there is no such virtual IP of tcp";
  throw new NetError("not-found", { tried: `ping ${meant.slice(0, 100)}`, said, remedy: "see `dcos-net vip ls`" });
}

function pingLine({ ip, port, result, milliseconds }: Ping): string {
  return `${ip.includes(":") ? `[${ip}]` : ip} port ${port}: ${result}, ${milliseconds.toFixed(1)} ms`;
}
