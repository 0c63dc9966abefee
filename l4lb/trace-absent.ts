import type { TaskFact } from "../facts/fact.ts";
import type { Task } from "../facts/task.ts";
import { formatIp } from "../lib/address.ts";
import { readVipLabel, type Vip } from "./label.ts";
import type { Member, VipRow } from "./row.ts";
import type { VipTable } from "./table.ts";
import type { TraceHop, VipQuestion, VipTraceInput } from "./trace.ts";
import { ageText, fail, nodeText } from "./trace-words.ts";

/** Why there is no such virtual IP, in one hop: the nearest to the answer of all reasons. `name`: without zone.
 *  `others`: rows of the name with other ports or protocols. */
export function absence(
  name: string,
  question: VipQuestion,
  others: readonly VipRow[],
  input: VipTraceInput,
): TraceHop {
  if (others.length > 0) return otherPorts(name, question, others);
  return unserved(name, input) ?? idle(name, question, input) ?? unreadable(name, input) ?? unknown(name, input);
}

function otherPorts(name: string, { port, protocol }: VipQuestion, others: readonly VipRow[]): TraceHop {
  const there = [...new Set(others.map(({ vip }) => `${vip.protocol} port ${vip.port}`))].join(", ");
  const asked = [protocol, port === undefined ? undefined : `port ${port}`].flatMap((word) => word ?? []).join(" ");
  return fail("label", `${name} has ${there}, but not ${asked}: no task has a VIP label with that`);
}

/** A virtual IP whose tasks run, but that is nowhere: without address or backend, or at the place of another. */
function unserved(name: string, { table }: VipTraceInput): TraceHop | undefined {
  for (const { id, vip, members } of table.unserved()) {
    if (!namesOf(vip).includes(name)) continue;
    const conflict = [...table.rows.conflicts()].find((text) => text.startsWith(`${id} `));
    if (conflict !== undefined) return fail("address", conflict);
    if (members.every(({ places }) => places.length === 0))
      return fail("task", `${id} gets no backend: ${reasonsOf(members, table)}`);
    return fail("address", `${id} has no address: the pool of its family is full`);
  }
  return undefined;
}

function reasonsOf(members: readonly Member[], table: VipTable): string {
  const reasons = members.flatMap(({ task, fact: { body } }) => {
    return (table.task(task)?.problems ?? []).map((problem) => `${body.id}: ${problem}`);
  });
  return reasons.join("; ") || "its tasks have no address";
}

/** Tasks with such a label that don't run, or whose port is of a protocol that virtual IPs don't know. */
function idle(name: string, { port }: VipQuestion, input: VipTraceInput): TraceHop | undefined {
  for (const fact of input.tasks) {
    const { body, owner, observedAt } = fact;
    const meant = labelsOf(body).find(
      ({ vip }) => vip && namesOf(vip).includes(name) && (port ?? vip.port) === vip.port,
    );
    if (meant === undefined) continue;
    if (meant.protocol === "sctp")
      return fail("label", `${taskText(fact)} has that VIP label on a port of sctp; virtual IPs know tcp and udp only`);
    const told = `so says ${nodeText(owner, input.nodeOf)} ${ageText(input.now - observedAt)} ago`;
    return fail("task", `its ${taskText(fact)} is ${body.state}, ${told}`);
  }
  return undefined;
}

/** A label that can't be used and looks as if this name was meant. */
function unreadable(name: string, { tasks }: VipTraceInput): TraceHop | undefined {
  const [first = name] = name.split(".");
  for (const fact of tasks) {
    const bad = labelsOf(fact.body).find(({ label, problem }) => problem && label.toLowerCase().includes(first));
    if (bad !== undefined)
      return fail("label", `${taskText(fact)}: VIP label ${JSON.stringify(bad.label.slice(0, 100))} ${bad.problem}`);
  }
  return undefined;
}

function unknown(name: string, { tasks, suggest }: VipTraceInput): TraceHop {
  const names = new Set<string>();
  for (const { body } of tasks)
    for (const { vip } of labelsOf(body)) for (const each of vip ? namesOf(vip) : []) names.add(each);
  const near = suggest(name, names);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return fail("label", `no task that this node knows of has a VIP label for ${name}${hint}`);
}

interface ReadLabel {
  readonly label: string;
  readonly protocol: string;
  readonly vip?: Pick<Vip, "place" | "port">;
  readonly problem?: string;
}

function labelsOf({ ports, framework }: Task): ReadLabel[] {
  return ports.flatMap(({ vips, protocol }) =>
    vips.map((label) => {
      const found = readVipLabel(label, framework.name);
      return "problem" in found ? { label, protocol, problem: found.problem } : { label, protocol, vip: found };
    }),
  );
}

/** What a virtual IP may be asked by. */
function namesOf({ place }: Pick<Vip, "place">): string[] {
  return place.kind === "name" ? [place.name, place.label] : [formatIp(place.ip)];
}

function taskText({ body }: TaskFact): string {
  return `task ${body.id} of ${body.framework.name}`;
}
