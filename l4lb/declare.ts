import type { Task, TaskPort } from "../facts/task.ts";
import type { Family } from "../lib/address.ts";
import { type Place, placesOf } from "./backend.ts";
import { type Balance, readBalance } from "./balance.ts";
import { readVipLabel, type Vip, vipText } from "./label.ts";
import type { VipProtocol } from "./service.ts";

/** What one task has to do with one virtual IP. */
export interface Membership {
  /** `vipText` of the virtual IP. */
  readonly id: string;
  readonly vip: Vip;
  /** Backends, of every family that the virtual IP may have. */
  readonly places: readonly Place[];
  readonly balance: Balance;
}

/** What the labels of a task come to. */
export interface Declared {
  /** One for each virtual IP. */
  readonly memberships: readonly Membership[];
  /** What of its labels can't be used, in sentences that name the label. */
  readonly problems: readonly string[];
}

/** Reads the VIP labels of a task's ports. A bad label is named and the others count. `families`: those in which names
 *  get addresses. */
export function declare(task: Task, isOwn: boolean, families: ReadonlySet<Family>): Declared {
  const memberships = new Map<string, Membership>();
  const problems: string[] = [];
  for (const port of task.ports) {
    if (port.vips.length === 0) continue;
    const { protocol } = port;
    if (protocol === "sctp") {
      problems.push(`VIP labels of port ${portText(port)}: virtual IPs know tcp and udp only`);
      continue;
    }
    const balance = readBalance(port.balance, (label, problem) => problems.push(`label ${label}: ${problem}`));
    const places = placesOf(task, port, isOwn);
    for (const label of port.vips) {
      const found = vipOf(label, protocol, task.framework.name);
      if ("problem" in found) problems.push(`VIP label ${JSON.stringify(label.slice(0, 100))} ${found.problem}`);
      else join(memberships, { id: vipText(found), vip: found, places: fitting(places, found, families), balance });
    }
  }
  for (const { id, vip, places } of memberships.values()) {
    if (places.length === 0) problems.push(`${id} ${missing(vip, task)}`);
  }
  return { memberships: [...memberships.values()], problems };
}

function vipOf(label: string, protocol: VipProtocol, framework: string): Vip | { readonly problem: string } {
  const found = readVipLabel(label, framework);
  return "problem" in found ? found : { protocol, ...found };
}

/** Two ports of a task may have the same virtual IP: then both are backends, balanced as the first says. */
function join(memberships: Map<string, Membership>, more: Membership): void {
  const there = memberships.get(more.id);
  memberships.set(more.id, there === undefined ? more : { ...there, places: [...there.places, ...more.places] });
}

function fitting(places: readonly Place[], { place }: Vip, families: ReadonlySet<Family>): Place[] {
  return places.filter(({ ip }) => (place.kind === "ip" ? ip.family === place.ip.family : families.has(ip.family)));
}

function missing({ place }: Vip, task: Task): string {
  if (task.addresses.length === 0 && task.agent.addresses.length === 0)
    return "gets no backend from this task: no address of it or of its node is known";
  return place.kind === "ip"
    ? `gets no backend from this task: it has no address of IPv${place.ip.family}, which the virtual IP is`
    : "gets no backend from this task: it has no address of a family in which names get addresses";
}

function portText({ protocol, host, container, name }: TaskPort): string {
  return name ?? `${container ?? host}/${protocol}`;
}
