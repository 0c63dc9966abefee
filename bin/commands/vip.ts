import type { Command } from "commander";
import { NetError } from "../../lib/error.ts";
import { askApi } from "../api/client.ts";
import type { VipAddressEntry, VipBackendEntry, VipEntry } from "../api/vips.ts";
import { type App, EXIT } from "../app.ts";
import { age, show, table } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";

/** `dcos-net vip`: the virtual IPs of the cluster, and what this node's kernel has of them. */
export function addVip(program: Command, app: App): void {
  const vip = program.command("vip").description("the virtual IPs of the cluster, as this node serves them");
  withApi(vip.command("ls"))
    .description("every virtual IP; exit status 1 when the kernel lacks one")
    .action((options: ApiOptions) => list(app, options));
  withApi(vip.command("show"))
    .description("one virtual IP with its backends: weight, health, connections, bytes, drain, and which node says so")
    .argument("<name>", "a name, with or without .l4lb.thisdcos.directory, or an address; :PORT may follow")
    .action((name: string, options: ApiOptions) => showOne(app, name, options));
}

async function list(app: App, options: ApiOptions): Promise<void> {
  const vips = (await askApi(apiMeant(app, options), "/v1/vips")) as readonly VipEntry[];
  show(app.out, options.json === true, vips, vipLines);
  if (!vips.every(isServed)) app.exitCode = EXIT.bad;
}

async function showOne(app: App, name: string, options: ApiOptions): Promise<void> {
  const query = new URLSearchParams({ vip: name, counters: "yes" });
  const vips = (await askApi(apiMeant(app, options), `/v1/vips?${query}`)) as readonly VipEntry[];
  if (vips.length === 0) {
    throw new NetError("not-found", {
      tried: `show virtual IP ${JSON.stringify(name.slice(0, 100))}`,
      said: "this node knows none of this name or address",
      remedy: "`dcos-net vip ls` lists them, `dcos-net trace vip` says why one isn't there",
    });
  }
  show(app.out, options.json === true, vips, (shown) => shown.flatMap(detailLines));
  if (!vips.every(isServed)) app.exitCode = EXIT.bad;
}

function isServed({ addresses }: VipEntry): boolean {
  return addresses.every(({ kernel }) => kernel === "ok");
}

/** A line for each virtual IP, then what is contradictory. */
export function vipLines(vips: readonly VipEntry[]): string[] {
  const rows = vips.map(({ vip, protocol, backend, addresses, scheduler }) => [
    vip,
    protocol,
    addresses.map(({ ip }) => ip).join(" "),
    `${backend.filter(({ weight }) => weight > 0).length}/${backend.length}`,
    scheduler,
    stateText(addresses),
  ]);
  const problems = vips.flatMap(({ problems: all }) => all.map((problem) => `! ${problem}`));
  return [...table(["VIP", "PROTOCOL", "ADDRESSES", "BACKENDS", "BALANCE", "KERNEL"], rows), ...problems];
}

function stateText(addresses: readonly VipAddressEntry[]): string {
  const states = [...new Set(addresses.map(({ kernel }) => kernel))].join(" ");
  const lost = addresses.some((address) => address.lost) ? ", no node can be reached" : "";
  const unnamed = addresses.some(({ inDns }) => inDns === false) ? ", not in DNS" : "";
  return `${states}${lost}${unnamed}`;
}

function detailLines({ vip, protocol, backend, addresses, scheduler, affinity, problems }: VipEntry): string[] {
  const stays = affinity === 0 ? "" : `, a client stays ${affinity} s`;
  return [
    `${vip} ${protocol}, balanced by ${scheduler}${stays}`,
    ...problems.map((problem) => `  ! ${problem}`),
    ...addresses.map((address) => `  ${address.ip}: ${stateText([address])}${reasonOf(address)}`),
    ...table(
      ["  BACKEND", "WEIGHT", "TASK", "STATE", "HEALTH", "ACTIVE", "TOTAL", "IN", "OUT", "SAID BY"],
      backend.map(row),
      [1, 5, 6, 7, 8],
    ),
  ];
}

function reasonOf({ refusal }: VipAddressEntry): string {
  return refusal === undefined ? "" : `: ${refusal}`;
}

function row({ ip, port, weight, tasks, counters = {} }: VipBackendEntry): string[] {
  const { active, total, bytesIn, bytesOut } = counters;
  const number = (value: number | undefined): string => (value === undefined ? "-" : String(value));
  return [
    `  ${ip.includes(":") ? `[${ip}]` : ip}:${port}`,
    String(weight),
    tasks.map(({ task }) => task).join(" "),
    tasks.map(stateOf).join(" "),
    tasks.map(({ health }) => health).join(" "),
    ...[active, total, bytesIn, bytesOut].map(number),
    tasks.map(({ owner, age: seconds }) => `${owner} ${age(seconds * 1000)} ago`).join(" "),
  ];
}

function stateOf({ state, drain, lost }: VipBackendEntry["tasks"][number]): string {
  const drained = drain === undefined ? "" : ` (${drain.cause}, drained ${age(drain.age * 1000)})`;
  return `${state}${drained}${lost ? " (lost)" : ""}`;
}
