import type {
  IpvsDestination,
  IpvsDestinationState,
  IpvsOperation,
  IpvsService,
  IpvsServiceKey,
  IpvsServiceState,
} from "../../kernel/ipvs.ts";
import {
  type Backend,
  backendName,
  compareBackends,
  type Scheduler,
  type Service,
  type ServiceKey,
} from "../service.ts";

const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** IPVS spreads by weight only in the weighted form of round robin. */
const SCHEDULER: Readonly<Record<Scheduler, string>> = { wlc: "wlc", rr: "wrr", sh: "sh", mh: "mh" };

/** The scheduler that stands in where the module of another is missing. */
export const FALLBACK: Scheduler = "wlc";

/** IP_VS_SVC_F_SCHED3 as a mark of what is ours: no scheduler of the kernel reads it, it stands and falls with the
 *  service, and `ipvsadm` shows it as `flag-3`. */
const OURS = 4;
/** IP_VS_SVC_F_SCHED_SH_FALLBACK, and for mh the same: when a client's backend takes no connections, another does.
 *  Without it the client is refused. */
const OTHER_BACKEND = 1;

/** What a read service has in place of its affinity when something of it isn't as we would have it: no wish equals
 *  it, so that the plan puts the service anew. */
const DIFFERENT = -1;

/** Most backends of a service with a scheduler that has a table: its buckets are as many (CONFIG_IP_VS_SH_TAB_BITS,
 *  CONFIG_IP_VS_MH_TAB_INDEX). From then on `sh` would leave out the others, and `mh` would go on with those that it
 *  had before. */
export const SCHEDULER_MOST: Partial<Record<Scheduler, number>> = { sh: 256, mh: 4093 };

/** A key that isn't a firewall mark. */
export type AddressKey = Extract<IpvsServiceKey, { ip: unknown }>;

export function ipvsKey({ protocol, ip, port }: ServiceKey): AddressKey {
  return { protocol: PROTOCOL[protocol], ip, port };
}

/** Undefined for firewall marks and protocols that virtual IPs don't have. */
export function serviceKey(key: IpvsServiceKey): ServiceKey | undefined {
  if ("mark" in key) return undefined;
  const { ip, port } = key;
  if (key.protocol === PROTOCOL.tcp) return { protocol: "tcp", ip, port };
  return key.protocol === PROTOCOL.udp ? { protocol: "udp", ip, port } : undefined;
}

/** True for what bears our mark. */
export function isMarked({ schedulerFlags }: IpvsService): boolean {
  return (schedulerFlags & OURS) !== 0;
}

/** The service with our mark, otherwise as it is. */
export function marked<T extends IpvsService>(service: T): T {
  return { ...service, schedulerFlags: service.schedulerFlags | OURS };
}

/** The service without its backends, as the kernel takes it. */
function ipvsService(service: Service, scheduler: Scheduler = service.scheduler): IpvsService {
  return {
    ...ipvsKey(service),
    scheduler: SCHEDULER[scheduler],
    persistence: service.affinity,
    onePacket: false,
    schedulerFlags: OURS | (scheduler === "sh" || scheduler === "mh" ? OTHER_BACKEND : 0),
  };
}

/** A service as the kernel has it, in the words of the table. */
export function readService(
  key: ServiceKey,
  state: IpvsServiceState,
  destinations: readonly IpvsDestinationState[],
): Service {
  const scheduler = (Object.keys(SCHEDULER) as Scheduler[]).find((each) => SCHEDULER[each] === state.scheduler);
  const backends = destinations.map(({ ip, port, weight }): Backend => ({ ip, port, weight })).sort(compareBackends);
  const service: Service = {
    ...key,
    scheduler: scheduler ?? FALLBACK,
    affinity: state.persistence,
    backends,
  };
  const wished = ipvsService(service);
  const fits =
    scheduler !== undefined &&
    !state.onePacket &&
    state.schedulerFlags === wished.schedulerFlags &&
    destinations.every(({ forwarding }) => forwarding === "masquerade");
  return fits ? service : { ...service, affinity: DIFFERENT };
}

/** The operations that lead from what the kernel has of a service, if anything, to what it should have. Backends come
 *  before others go, so that the service is never without; what fits is left alone. */
export function stepsTo(wanted: Service, before: Service | undefined, random: () => number): IpvsOperation[] {
  const key = ipvsKey(wanted);
  const steps: IpvsOperation[] = [];
  if (before === undefined) steps.push({ do: "service.add", service: ipvsService(wanted) });
  else if (before.scheduler !== wanted.scheduler || before.affinity !== wanted.affinity) {
    steps.push({ do: "service.set", service: ipvsService(wanted) });
  }
  const present = new Map(before?.backends.map((backend) => [backendName(backend), backend]));
  // Of a service that is partly somebody else's making the forwarding methods aren't known, so all are set.
  const doubtful = before?.affinity === DIFFERENT;
  for (const backend of rotated(wanted.backends, random)) {
    const name = backendName(backend);
    const found = present.get(name);
    present.delete(name);
    if (found === undefined) steps.push({ do: "destination.add", service: key, destination: destinationOf(backend) });
    else if (doubtful || found.weight !== backend.weight) {
      steps.push({ do: "destination.set", service: key, destination: destinationOf(backend) });
    }
  }
  for (const { ip, port } of present.values()) {
    steps.push({ do: "destination.delete", service: key, destination: { ip, port } });
  }
  return steps;
}

function rotated<T>(list: readonly T[], random: () => number): T[] {
  const start = Math.floor(random() * list.length);
  return [...list.slice(start), ...list.slice(0, start)];
}

function destinationOf({ ip, port, weight }: Backend): IpvsDestination {
  return { ip, port, weight, forwarding: "masquerade" };
}
