import type { Command } from "commander";
import type { Explained } from "../../dns/forward/forwarder.ts";
import type { UpstreamStatus } from "../../dns/forward/upstream.ts";
import { askApi } from "../api/client.ts";
import type { OriginEntry, QueryBody, TracedEntry, ZonesBody } from "../api/dns.ts";
import { type App, EXIT } from "../app.ts";
import { age, count, show, table } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";

/** `dns query` and `dns zones`: what this node's agent answers, and why. */
export function addDnsQueries(dns: Command, app: App): void {
  withApi(dns.command("query"))
    .description(
      "the answer to a question, and what made each record; exit status 1 when there is no such name or type",
    )
    .argument("<name>", "the name")
    .argument("[type]", "A, AAAA, SRV, PTR, ANY …", "A")
    .action((name: string, type: string, options: ApiOptions) => query(app, name, type, options));
  withApi(dns.command("zones"))
    .description("the zones that this node answers for, where it listens, and who is asked about other names")
    .action((options: ApiOptions) => zones(app, options));
}

async function query(app: App, name: string, type: string, options: ApiOptions): Promise<void> {
  const asked = new URLSearchParams({ name, type });
  const body = (await askApi(apiMeant(app, options), `/v1/dns/query?${asked}`)) as QueryBody;
  show(app.out, options.json === true, body, queryLines);
  if (body.records.length === 0 && body.forwarded === undefined) app.exitCode = EXIT.bad;
}

function queryLines({ asked, name, type, status, zone, records, reason, forwarded }: QueryBody): string[] {
  return [
    `${asked} ${type}: ${status}${reason === undefined ? "" : `, ${reason}`}`,
    ...(name === asked ? [] : [`  is another name for ${name}`]),
    ...(zone === undefined ? ["  in none of this node's zones"] : [`  in zone ${zone}`]),
    ...records.flatMap(recordLines),
    ...(forwarded === undefined ? [] : forwardedLines(forwarded)),
  ];
}

function forwardedLines({ zone, kept, upstreams }: Explained): string[] {
  const state = kept?.expired === true ? "too old, used only while nobody answers" : "used";
  return [
    `  asked of others, as all names of zone ${zone === "" ? "." : zone}`,
    kept === undefined
      ? "  no answer is kept"
      : `  ${kept.from} answered ${age(kept.ageSeconds * 1000)} ago, for ${kept.lifetimeSeconds} s; ${state}`,
    ...upstreamLines(upstreams).map((line) => `  ${line}`),
  ];
}

function upstreamLines(upstreams: readonly UpstreamStatus[]): string[] {
  const rows = upstreams.map(({ upstream, health, latencyMs, asked, answered, lastFailure }) => [
    upstream,
    health,
    latencyMs === undefined ? "" : `${latencyMs.toFixed(1)} ms`,
    String(asked),
    String(answered),
    lastFailure ?? "",
  ]);
  return table(["UPSTREAM", "HEALTH", "LATENCY", "ASKED", "ANSWERED", "LAST FAILURE"], rows, [2, 3, 4]);
}

function recordLines({ name, type, ttl, data, origins, originCount }: TracedEntry): string[] {
  const more = originCount - origins.length;
  return [
    `${name}  ${ttl}  ${type}  ${data}`,
    ...origins.map((origin) => `  ${originText(origin)}`),
    ...(originCount === 0 ? ["  belongs to the zone itself"] : []),
    ...(more > 0 ? [`  and ${count(more, "other")} of the same`] : []),
  ];
}

function originText({ rule, form, of, fact }: OriginEntry): string {
  const made = `by rule ${rule} (${form}) from ${of}`;
  return fact === undefined ? made : `${made}: ${fact.kind} fact of ${fact.ownerName}, ${age(fact.age * 1000)} old`;
}

async function zones(app: App, options: ApiOptions): Promise<void> {
  const body = (await askApi(apiMeant(app, options), "/v1/dns/zones")) as ZonesBody;
  show(app.out, options.json === true, body, zonesLines);
  if (body.waiting.length + body.problems.length > 0) app.exitCode = EXIT.bad;
}

function zonesLines({ zones: list, aliases, listening, waiting, problems, ...server }: ZonesBody): string[] {
  const rows = list.map(({ zone, names, records }) => [zone, String(names), String(records)]);
  return [
    ...problems.map((problem) => `! ${problem}`),
    ...waiting.map((endpoint) => `! not yet listening on ${endpoint}`),
    `listening on ${listening.join(", ") || "nothing"}, ${count(server.workers, "worker")}`,
    `${count(server.fastNames, "name")} answered by the workers alone, ${server.fastAnswers} times so far`,
    ...table(["ZONE", "NAMES", "RECORDS"], rows, [1, 2]),
    ...aliases.map(({ from, to }) => `${from} is another name for ${to}`),
    ...server.forwarding.zones.flatMap(({ zone, upstreams }) => [
      `names of ${zone === "" ? "all other zones" : zone} are asked of ${upstreams.length === 0 ? "nobody" : "these"}`,
      ...(upstreams.length === 0 ? [] : upstreamLines(upstreams).map((line) => `  ${line}`)),
    ]),
  ];
}
