import type { TaskFact } from "../facts/fact.ts";
import type { Family, Ip } from "../lib/address.ts";
import type { Membership } from "./declare.ts";
import type { Drain } from "./drain.ts";
import type { Vip } from "./label.ts";
import { type Backend, backendName, compareBackends, type Scheduler, type Service } from "./service.ts";

/** A task that has to do with a virtual IP. */
export interface Member extends Membership {
  /** Key of the task. */
  readonly task: string;
  readonly fact: TaskFact;
  /** Its node can't be reached. */
  readonly lost: boolean;
  readonly drain: Drain | undefined;
}

/** A backend with the tasks that it comes from. */
export interface VipBackend extends Backend {
  readonly members: readonly Member[];
}

/** A service with where it comes from: what the table shows for one virtual IP and family. */
export interface VipRow {
  readonly vip: Vip;
  readonly service: Service;
  /** In the order of the service's backends. */
  readonly backends: readonly VipBackend[];
  /** All of its tasks, also those that are no backends at present. */
  readonly members: readonly Member[];
  /** No node of a backend can be reached: it is kept as it was last, since nothing better is known. */
  readonly lost: boolean;
  /** What is contradictory, in sentences. */
  readonly problems: readonly string[];
}

/** Affinity unless a label says otherwise: each connection is chosen anew. */
const NO_AFFINITY = 0;

/** The row of a virtual IP at the address `ip`; undefined when none of its tasks has a backend of that family. Lost
 *  tasks count only when there are no others. */
export function rowOf(vip: Vip, ip: Ip, all: Iterable<Member>): VipRow | undefined {
  const members = [...all]
    .filter(({ places }) => places.some((place) => place.ip.family === ip.family))
    .sort((a, b) => (a.task < b.task ? -1 : 1));
  if (members.length === 0) return undefined;
  const lost = members.every((member) => member.lost);
  const backends = backendsOf(
    lost ? members : members.filter((member) => !member.lost),
    ip.family,
    vip.protocol === "udp",
  );
  const problems: string[] = [];
  const scheduler = agreed<Scheduler>("L4LB_SCHEDULER", members, ({ scheduler }) => scheduler, problems) ?? "wlc";
  const affinity = agreed<number>("L4LB_AFFINITY", members, ({ affinity }) => affinity, problems) ?? NO_AFFINITY;
  const { protocol, port } = vip;
  const plain = backends.map(({ ip, port, weight }) => ({ ip, port, weight }));
  return {
    vip,
    service: { protocol, ip, port, scheduler, affinity, backends: plain },
    backends,
    members,
    lost,
    problems,
  };
}

/** Datagrams have no connections that could end: what is drained gets none from the first moment. */
function backendsOf(members: readonly Member[], family: Family, isUdp: boolean): VipBackend[] {
  const backends = new Map<string, VipBackend>();
  for (const member of members) {
    const { drain, balance } = member;
    if (drain !== undefined && (isUdp || drain.isOver)) continue;
    const weight = drain === undefined ? balance.weight : 0;
    for (const place of member.places) {
      if (place.ip.family !== family) continue;
      const name = backendName(place);
      const there = backends.get(name);
      backends.set(name, {
        ...place,
        weight: Math.max(weight, there?.weight ?? 0),
        members: [...(there?.members ?? []), member],
      });
    }
  }
  return [...backends.values()].sort(compareBackends);
}

/** What the tasks say of the service as a whole: the word of the first that says something, in the order of their keys,
 *  which is the same on all nodes. */
function agreed<T extends string | number>(
  label: string,
  members: readonly Member[],
  said: (balance: Membership["balance"]) => T | undefined,
  problems: string[],
): T | undefined {
  const words = [...new Set(members.flatMap(({ balance }) => said(balance) ?? []))];
  const [first] = words;
  if (words.length > 1)
    problems.push(`its tasks say different things in ${label}: ${words.join(", ")}; ${first} counts`);
  return first;
}
