import type { BackendCounters } from "../../l4lb/dataplane.ts";
import { type Vip, vipText } from "../../l4lb/label.ts";
import { equalServices } from "../../l4lb/plan.ts";
import type { Member, VipBackend, VipRow } from "../../l4lb/row.ts";
import { backendName, serviceName } from "../../l4lb/service.ts";
import { formatIp } from "../../lib/address.ts";
import type { RunningVips } from "../l4lb/start.ts";
import type { Vips } from "../l4lb/vips.ts";
import { readChoice, readQuery } from "./query.ts";
import { Refusal } from "./refusal.ts";

/** Zone of named virtual IPs in DNS. */
const VIP_ZONE = "l4lb.thisdcos.directory";

/** How a service stands in the kernel: as it should be; not there, or otherwise; refused; or not looked at yet. */
export type KernelState = "ok" | "missing" | "differs" | "refused" | "unknown";

/** A task behind a backend. */
export interface VipTaskEntry {
  readonly task: string;
  readonly name: string;
  /** Id of the node whose word this is, and when it said so, seconds ago. */
  readonly owner: string;
  readonly age: number;
  readonly state: string;
  readonly health: string;
  /** True when its node can't be reached. */
  readonly lost: boolean;
  /** Why it gets no new connections, and for how many seconds; absent when it does. */
  readonly drain?: { readonly cause: string; readonly age: number; readonly isOver: boolean };
}

export interface VipBackendEntry {
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly tasks: readonly VipTaskEntry[];
  readonly counters?: Omit<BackendCounters, "ip" | "port">;
}

/** One address of a virtual IP. */
export interface VipAddressEntry {
  readonly ip: string;
  readonly kernel: KernelState;
  /** Why the kernel refused it. */
  readonly refusal?: string;
  /** True when DNS has it; absent for virtual IPs without name. */
  readonly inDns?: boolean;
  /** No node of a backend can be reached, and the last backends are kept. */
  readonly lost: boolean;
}

/** A virtual IP as `GET /v1/vips` shows it. The first three keys are those of DC/OS. */
export interface VipEntry {
  /** `<name>:<port>`, the whole name in DNS, or `<address>:<port>`. */
  readonly vip: string;
  readonly protocol: string;
  readonly backend: readonly VipBackendEntry[];
  readonly addresses: readonly VipAddressEntry[];
  readonly scheduler: string;
  /** Seconds. */
  readonly affinity: number;
  /** What is contradictory, in sentences. */
  readonly problems: readonly string[];
}

/** Every virtual IP that this node knows, sorted by name, protocol and port. Filter: `vip`, a name (with or without its
 *  zone), an address, or either with its port. `counters=yes` reads from the kernel what backends carry. Throws a
 *  NetError `unavailable` where there are none. */
export function vipEntries(running: RunningVips | undefined, now: number, query: URLSearchParams): VipEntry[] {
  const asked = readQuery(query, ["vip", "counters"]);
  const counters = readChoice("counters", asked.counters, ["yes", "no"]) === "yes";
  const vips = currentVips(running);
  const carried = counters ? countersOf(vips) : new Map<string, BackendCounters>();
  const rows = new Map<string, VipRow[]>();
  for (const row of vips.table.rows) {
    if (asked.vip !== undefined && !isMeant(row, asked.vip)) continue;
    const key = vipText(row.vip);
    rows.set(key, [...(rows.get(key) ?? []), row]);
  }
  return [...rows.values()].map((all) => entryOf(all, vips, now, carried)).sort(byName);
}

/** The virtual IPs of this node. Throws a NetError `unavailable` that says why there are none. */
export function currentVips(running: RunningVips | undefined): Vips {
  const tried = "look at the virtual IPs of this node";
  if (running === undefined) {
    const remedy = "set l4lb to auto and restart the agent";
    throw new Refusal(503, "unavailable", { tried, said: "the setting l4lb is off", remedy });
  }
  const vips = running.current();
  if (vips !== undefined) return vips;
  throw new Refusal(503, "unavailable", { tried, said: running.problem() ?? "the agent has just started" });
}

/** Name in DNS or address, and port. */
export function vipName({ place, port }: Vip): string {
  return `${place.kind === "name" ? `${place.name}.${VIP_ZONE}` : formatIp(place.ip)}:${port}`;
}

function isMeant({ vip, service }: VipRow, text: string): boolean {
  const name = vip.place.kind === "name" ? vip.place.name : formatIp(vip.place.ip);
  const names = [name, `${name}.${VIP_ZONE}`, formatIp(service.ip)];
  return names.some((each) => each === text || `${each}:${vip.port}` === text);
}

function entryOf(
  rows: readonly VipRow[],
  vips: Vips,
  now: number,
  carried: ReadonlyMap<string, BackendCounters>,
): VipEntry {
  const [first] = rows;
  if (first === undefined) throw new Error("a virtual IP without rows is not shown");
  const { vip, service } = first;
  return {
    vip: vipName(vip),
    protocol: vip.protocol,
    backend: rows.flatMap((row) =>
      row.backends.map((each) => backendOf(each, now, carried.get(carriedKey(row, each)))),
    ),
    addresses: rows.map((row) => addressOf(row, vips)),
    scheduler: service.scheduler,
    affinity: service.affinity,
    problems: rows.flatMap(({ problems }) => problems),
  };
}

function addressOf({ vip, service, lost }: VipRow, vips: Vips): VipAddressEntry {
  const name = serviceName(service);
  const refusal = vips.keeper.refusals().get(name)?.message;
  const known = vips.keeper.known(name);
  const isRight = known !== undefined && equalServices(known, service);
  const kernel = !vips.keeper.isTakenOver
    ? "unknown"
    : refusal !== undefined
      ? "refused"
      : isRight
        ? "ok"
        : known === undefined
          ? "missing"
          : "differs";
  return {
    ip: formatIp(service.ip),
    kernel,
    ...(refusal === undefined ? {} : { refusal }),
    ...(vip.place.kind === "name" && { inDns: vips.isNamed(vip.place.name, service.ip) }),
    lost,
  };
}

function backendOf(backend: VipBackend, now: number, carried: BackendCounters | undefined): VipBackendEntry {
  const { ip, port, weight, members } = backend;
  const entry = { ip: formatIp(ip), port, weight, tasks: members.map((member) => taskOf(member, now)) };
  if (carried === undefined) return entry;
  const { ip: _, port: __, ...counters } = carried;
  return { ...entry, counters };
}

/** A task behind a virtual IP, as it is shown. `now`: wall clock, milliseconds since 1970. */
export function taskOf({ fact: { body, owner, observedAt }, lost, drain }: Member, now: number): VipTaskEntry {
  const ageOf = (since: number): number => Math.max(0, Math.round((now - since) / 1000));
  return {
    task: body.id,
    name: body.name,
    owner,
    age: ageOf(observedAt),
    state: body.state,
    health: body.health,
    lost,
    ...(drain && { drain: { cause: drain.cause, age: ageOf(drain.since), isOver: drain.isOver } }),
  };
}

function countersOf({ chosen }: Vips): Map<string, BackendCounters> {
  const all = chosen.dataplane.counters();
  return new Map(
    all.flatMap(({ key, backends }) =>
      backends.map((each) => [`${serviceName(key)} ${backendName(each)}`, each] as const),
    ),
  );
}

function carriedKey({ service }: VipRow, backend: VipBackend): string {
  return `${serviceName(service)} ${backendName(backend)}`;
}

function byName(a: VipEntry, b: VipEntry): number {
  const [left, right] = [`${a.vip} ${a.protocol}`, `${b.vip} ${b.protocol}`];
  return left < right ? -1 : Number(left > right);
}
