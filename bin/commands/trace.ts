import { type Command, Option } from "commander";
import type { Kernel } from "../../kernel/kernel.ts";
import type { TraceHop } from "../../l4lb/trace.ts";
import { parseIp, tryParseIp } from "../../lib/address.ts";
import { askApi } from "../api/client.ts";
import type { TracedService, VipTraceBody } from "../api/vip-trace.ts";
import { type App, EXIT } from "../app.ts";
import { containerKernel } from "../l4lb/container-netns.ts";
import { isNoRoute, type Probed, probe } from "../l4lb/probe.ts";
import { show } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";

/** Wait for a backend that doesn't answer, milliseconds. */
const PROBE_MS = 2000;
/** Backends of a service that are tried at most. */
const BACKENDS_TRIED = 50;

interface Options extends ApiOptions {
  readonly from?: string;
  readonly protocol?: "tcp" | "udp";
}

/** The walk as it is shown: with what came of trying. */
interface Shown {
  readonly hops: readonly TraceHop[];
  /** The first hop that isn't as it should be. */
  readonly broken?: TraceHop;
}

/** `dcos-net trace`: why something can't be reached. */
export function addTrace(program: Command, app: App): void {
  const trace = program.command("trace").description("walk to where something is broken");
  withApi(trace.command("vip"))
    .description("from the labels of a virtual IP to its backends; exit status 1 when a hop is broken")
    .argument("<name>", "a name, with or without .l4lb.thisdcos.directory, or an address; :PORT may follow")
    .option(
      "--from <container>",
      "as seen from a container: a process number, the path of its namespace, or its CNI id",
    )
    .addOption(new Option("--protocol <protocol>", "only services of this protocol").choices(["tcp", "udp"]))
    .action((name: string, options: Options) => traceVip(app, name, options));
}

async function traceVip(app: App, meant: string, options: Options): Promise<void> {
  const { name, port } = splitPort(meant);
  const query = new URLSearchParams({ name });
  if (port !== undefined) query.set("port", port);
  if (options.protocol !== undefined) query.set("protocol", options.protocol);
  const { hops, services } = (await askApi(apiMeant(app, options), `/v1/vips/trace?${query}`)) as VipTraceBody;
  const tried = hops.every(({ ok }) => ok) ? await tryAll(app, services, options.from) : [];
  const all = [...hops, ...tried];
  const broken = all.find(({ ok }) => !ok);
  show(app.out, options.json === true, { hops: all, ...(broken && { broken }) }, traceLines);
  if (broken !== undefined) app.exitCode = EXIT.bad;
}

function traceLines({ hops, broken }: Shown): string[] {
  const lines = hops.map(({ hop, ok, text }) => `  ${ok ? "ok    " : "BROKEN"}  ${hop.padEnd(7)}  ${text}`);
  return [
    ...lines,
    broken === undefined ? "all hops are as they should be" : `first broken hop: ${broken.hop}: ${broken.text}`,
  ];
}

/** The name and the port behind its last colon; all of an IPv6 address without brackets is the address. */
export function splitPort(text: string): { readonly name: string; readonly port: string | undefined } {
  const [, bracketed, digits] = /^\[(.+)\](?::(\d+))?$/.exec(text) ?? [];
  if (bracketed !== undefined) return { name: bracketed, port: digits };
  if (tryParseIp(text) !== undefined) return { name: text, port: undefined };
  const [, name = text, port] = /^(.*):(\d+)$/.exec(text) ?? [];
  return { name, port };
}

/** Tries every backend from this node, and the service itself from where it is asked for. */
async function tryAll(app: App, services: readonly TracedService[], from: string | undefined): Promise<TraceHop[]> {
  const hops: TraceHop[] = [];
  for (const service of services) hops.push(...(await tryBackends(app.kernel, service)));
  if (hops.some(({ ok }) => !ok)) return hops;
  const client = from === undefined ? app.kernel : containerKernel(app.kernel, from);
  const where = from === undefined ? "this node" : `container ${from}`;
  for (const service of services) hops.push(...(await tryService(client, service, where)));
  if (client !== app.kernel) client.close();
  return hops;
}

async function tryBackends(kernel: Kernel, { protocol, backends }: TracedService): Promise<TraceHop[]> {
  const live = backends.filter(({ weight }) => weight > 0).slice(0, BACKENDS_TRIED);
  return Promise.all(
    live.map(async ({ ip, port, task }): Promise<TraceHop> => {
      const name = `backend ${endpoint(ip, port)} (${task})`;
      if (protocol === "udp") return { hop: "backend", ok: true, text: `${name} is of udp, which can't be tried` };
      const probed = await probe(kernel, parseIp(ip), port, PROBE_MS);
      if (isNoRoute(probed.result)) return { hop: "route", ok: false, text: `this node has no route to ${name}` };
      return { hop: "backend", ok: probed.result === "connected", text: `${name} ${wordsOf(probed, "this node")}` };
    }),
  );
}

/** What came of trying, in words that follow what was tried. */
function wordsOf({ result, milliseconds }: Probed, from: string): string {
  switch (result) {
    case "connected":
      return `takes connections from ${from}: after ${milliseconds.toFixed(1)} ms`;
    case "ECONNREFUSED":
      return "refuses connections: its host is there, but nothing listens on that port";
    case "EHOSTUNREACH":
      return "is not there: nobody on its network answers for its address";
    case "no answer":
      return "doesn't answer: its host is gone, or a firewall drops what is sent to it";
    default:
      return `can't be connected to: ${result}`;
  }
}

async function tryService(kernel: Kernel, { protocol, ip, port }: TracedService, where: string): Promise<TraceHop[]> {
  const name = `${protocol} ${endpoint(ip, port)}`;
  if (protocol === "udp") return [];
  const probed = await probe(kernel, parseIp(ip), port, PROBE_MS);
  const { result } = probed;
  if (isNoRoute(result))
    return [{ hop: "route", ok: false, text: `${where} has no route to ${name}: it needs a default route` }];
  if (result === "connected") return [{ hop: "backend", ok: true, text: `${name} ${wordsOf(probed, where)}` }];
  const said = result === "no answer" ? result : `refused with ${result}`;
  return [
    { hop: "backend", ok: false, text: `${name}, tried from ${where}: ${said}, though its backends answer this node` },
  ];
}

function endpoint(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}
