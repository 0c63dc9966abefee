import type { TaskFact } from "../facts/fact.ts";
import type { NodeView } from "../facts/view.ts";
import { formatIp, type Ip, tryParseIp } from "../lib/address.ts";
import { type Vip, vipText } from "./label.ts";
import { equalServices } from "./plan.ts";
import type { Member, VipRow } from "./row.ts";
import { type Service, serviceName } from "./service.ts";
import type { VipTable } from "./table.ts";
import { absence } from "./trace-absent.ts";
import { ageText, fail, listed, nodeText, pass, ZONE } from "./trace-words.ts";

/** What is asked for: a name, with or without framework and zone, or an address. */
export interface VipQuestion {
  readonly name: string;
  readonly port: number | undefined;
  readonly protocol: string | undefined;
}

/** One hop from a label to a backend, in the order in which they are looked at. */
export interface TraceHop {
  readonly hop: "label" | "task" | "address" | "name" | "kernel" | "route" | "backend";
  readonly ok: boolean;
  /** In plain words. */
  readonly text: string;
}

/** What is known of the kernel. */
export interface KernelView {
  /** Why virtual IPs aren't as they should be; undefined when they are. */
  readonly problem: string | undefined;
  /** What services need and was missing just now. */
  readonly missing: readonly string[];
  /** By `serviceName`, read just now. */
  readonly services: ReadonlyMap<string, Service>;
}

export interface VipTraceInput {
  readonly table: VipTable;
  /** Every task, also those that don't run. */
  readonly tasks: Iterable<TaskFact>;
  readonly nodeOf: (id: string) => NodeView | undefined;
  readonly kernel: KernelView;
  /** Whether DNS on this node has the address of a name; undefined where no DNS server runs. */
  readonly inDns: ((name: string, ip: Ip) => boolean) | undefined;
  /** The one of the words that is meant, perhaps. */
  readonly suggest: (word: string, among: Iterable<string>) => string | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
}

export interface VipTrace {
  readonly hops: readonly TraceHop[];
  /** The services that lead on; empty when there are none. */
  readonly rows: readonly VipRow[];
}

/** Walks from the labels of tasks to what the kernel has of a virtual IP. The first hop that isn't `ok` is what to look
 *  at. Whether backends answer is for the caller to try. */
export function traceVip(question: VipQuestion, input: VipTraceInput): VipTrace {
  const name = question.name.replace(/\.$/, "").toLowerCase();
  const short = name.endsWith(ZONE) ? name.slice(0, -ZONE.length) : name;
  const rows = [...input.table.rows].filter((row) => isNamed(row, short));
  const meant = rows.filter(({ vip }) => fits(vip, question));
  if (meant.length === 0) return { hops: [absence(short, question, rows, input)], rows: [] };
  const rivals = tryParseIp(short) === undefined ? [] : conflictsAt(meant, input.table);
  return { hops: inOrder([...rivals, ...meant.flatMap((row) => rowHops(row, input))]), rows: meant };
}

/** Virtual IPs without name that would be at this address, too, and aren't. */
function conflictsAt(rows: readonly VipRow[], table: VipTable): TraceHop[] {
  const services = rows.map(({ service }) => `, ${serviceName(service)};`);
  const texts = [...table.rows.conflicts()].filter((text) => services.some((service) => text.includes(service)));
  return texts.map((text) => fail("address", text));
}

const ORDER: readonly TraceHop["hop"][] = ["label", "task", "address", "name", "kernel", "route", "backend"];

function inOrder(hops: readonly TraceHop[]): TraceHop[] {
  const seen = new Set<string>();
  const once = hops.filter(({ text }) => !seen.has(text) && seen.add(text));
  return ORDER.flatMap((hop) => once.filter((each) => each.hop === hop));
}

function isNamed({ vip: { place }, service }: VipRow, name: string): boolean {
  const ip = tryParseIp(name);
  if (ip !== undefined) return formatIp(ip) === formatIp(service.ip);
  return place.kind === "name" && (place.name === name || place.label === name);
}

function fits(vip: Vip, { port, protocol }: VipQuestion): boolean {
  return (port === undefined || port === vip.port) && (protocol === undefined || protocol === vip.protocol);
}

function rowHops(row: VipRow, input: VipTraceInput): TraceHop[] {
  const labels = row.members.map(({ fact: { body } }) => body.id);
  return [
    pass("label", `${vipText(row.vip)}: VIP label of ${labels.length} tasks: ${listed(labels)}`),
    ...row.members.map((member) => taskHop(member, input)),
    ...serviceHops(row, input),
    addressHop(row, input),
    ...nameHops(row, input),
    kernelHop(row, input),
  ];
}

function taskHop({ fact, lost, drain }: Member, input: VipTraceInput): TraceHop {
  const { body, owner, observedAt } = fact;
  const health = body.health === "unknown" ? "" : `, ${body.health}`;
  const told = `so says ${nodeText(owner, input.nodeOf)} ${ageText(input.now - observedAt)} ago`;
  const drained =
    drain === undefined
      ? ""
      : `; it gets no new connections since ${ageText(input.now - drain.since)}, because ${CAUSES[drain.cause]}`;
  const gone = lost ? "; that node can't be reached now" : "";
  return pass("task", `task ${body.id} is ${body.state}${health}, ${told}${drained}${gone}`);
}

const CAUSES = {
  killing: "its framework ends it",
  unhealthy: "its health check fails",
  drained: "an operator drains it or its node",
} as const;

/** Whether there is anybody to send a connection to. */
function serviceHops(row: VipRow, input: VipTraceInput): TraceHop[] {
  const { service, members, lost } = row;
  const name = serviceName(service);
  if (lost) {
    const owners = [...new Set(members.map(({ fact }) => nodeText(fact.owner, input.nodeOf)))];
    return [
      fail("task", `${name}: no node of its tasks can be reached (${owners.join(", ")}); its last backends are kept`),
    ];
  }
  if (service.backends.some(({ weight }) => weight > 0)) return [];
  const why = members.map(({ fact: { body }, drain, balance }) => {
    if (drain !== undefined) return `${body.id}: ${CAUSES[drain.cause]}`;
    return balance.weight === 0 ? `${body.id}: its label L4LB_WEIGHT is 0` : `${body.id}: its node can't be reached`;
  });
  return [fail("task", `${name}: none of its tasks gets new connections: ${listed(why)}`)];
}

function addressHop({ vip: { place }, service }: VipRow, { table, now }: VipTraceInput): TraceHop {
  const name = serviceName(service);
  if (place.kind === "ip") return pass("address", `${name}: the address is in the label`);
  const since = table.standing({ name: place.name, family: service.ip.family })?.since;
  const claimed = since === undefined ? "nobody has claimed it yet" : `claimed ${ageText(now - since)} ago`;
  return pass("address", `${name} for ${place.name}, ${claimed}`);
}

function nameHops({ vip: { place }, service: { ip } }: VipRow, { inDns }: VipTraceInput): TraceHop[] {
  if (place.kind === "ip") return [];
  const full = `${place.name}${ZONE}`;
  if (inDns === undefined) return [pass("name", "no DNS server of ours runs on this node (setting dns)")];
  if (inDns(place.name, ip)) return [pass("name", `${full} is ${formatIp(ip)} in DNS here`)];
  return [fail("name", `${full} is not ${formatIp(ip)} in DNS here: names come after the kernel has their services`)];
}

function kernelHop({ service }: VipRow, { kernel }: VipTraceInput): TraceHop {
  const name = serviceName(service);
  const have = kernel.services.get(name);
  if (kernel.missing.length > 0) return fail("kernel", `was missing, and is put back now: ${listed(kernel.missing)}`);
  if (have === undefined) return fail("kernel", `service ${name} is not in the kernel${because(kernel)}`);
  if (!equalServices(have, service))
    return fail("kernel", `service ${name} is not in the kernel as it should be${because(kernel)}`);
  return pass("kernel", `service ${name} with ${have.backends.length} backends is in the kernel`);
}

function because({ problem }: KernelView): string {
  return problem === undefined ? "; it is put back within seconds" : `: ${problem}`;
}
