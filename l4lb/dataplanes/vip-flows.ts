import type { Conntrack, Flow, FlowDestination } from "../../kernel/conntrack.ts";
import { formatIp } from "../../lib/address.ts";
import { backendName, type Service, type ServiceKey } from "../service.ts";

const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** A service whose connections may go on only with these backends: none for a service that is gone. */
export interface Allowed extends ServiceKey {
  readonly backends: Service["backends"];
}

/** Up to this many services are asked for one by one: a question costs the kernel a walk over its table, some
 *  milliseconds, but to hear of all flows costs us as much for every thousand of them. */
const SINGLE_MAX = 4;

/** Makes the kernel forget connections to virtual IPs that end at a backend which the service hasn't any more, or at
 *  none because they began before the service did. Their next packet is then judged anew: a datagram goes to a backend
 *  that is there, and a segment of TCP to one that doesn't know it and ends the connection. */
export function forgetFlows(conntrack: Conntrack, services: readonly Allowed[]): void {
  for (const family of [4, 6] as const) {
    const own = services.filter(({ ip }) => ip.family === family);
    const match = isDoomed(own);
    if (own.length > SINGLE_MAX) conntrack.delete(family, match);
    else for (const service of own) conntrack.delete(family, match, destinationOf(service));
  }
}

function isDoomed(services: readonly Allowed[]): (flow: Flow) => boolean {
  const allowed = new Map(
    services.map((service) => [keyOfService(service), new Set(service.backends.map(backendName))]),
  );
  return (flow) => {
    const backends = allowed.get(keyOfFlow(flow));
    return backends?.has(backendName({ ip: flow.replySource, port: flow.replySourcePort })) === false;
  };
}

function destinationOf({ protocol, ip, port }: ServiceKey): FlowDestination {
  return { protocol: PROTOCOL[protocol], destination: ip, destinationPort: port };
}

/** The virtual IP, protocol and port that a flow was sent to. */
export function keyOfFlow({ protocol, destination, destinationPort }: Flow): string {
  return flowKey(protocol, destination, destinationPort);
}

/** The same of a service. */
export function keyOfService({ protocol, ip, port }: ServiceKey): string {
  return flowKey(PROTOCOL[protocol], ip, port);
}

function flowKey(protocol: number, ip: Flow["destination"], port: number): string {
  return `${protocol} ${formatIp(ip)} ${port}`;
}
