import type { Conntrack, Flow } from "../../kernel/conntrack.ts";
import { type Family, formatIp } from "../../lib/address.ts";
import { backendName, type Service, type ServiceKey } from "../service.ts";

const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** A service whose connections may go on only with these backends: none for a service that is gone. */
export interface Allowed extends ServiceKey {
  readonly backends: Service["backends"];
}

/** Makes the kernel forget connections to virtual IPs that end at a backend which the service hasn't any more, or at
 *  none because they began before the service did. Their next packet is then judged anew: a datagram goes to a backend
 *  that is there, and a segment of TCP to one that doesn't know it and ends the connection. */
export function forgetFlows(conntrack: Conntrack, services: readonly Allowed[]): void {
  for (const family of [4, 6] as const) {
    const own = services.filter(({ ip }) => ip.family === family);
    if (own.length > 0) forgetFamily(conntrack, family, own);
  }
}

function forgetFamily(conntrack: Conntrack, family: Family, services: readonly Allowed[]): void {
  const allowed = new Map(
    services.map((service) => [
      flowKey(PROTOCOL[service.protocol], service.ip, service.port),
      new Set(service.backends.map(backendName)),
    ]),
  );
  conntrack.delete(family, (flow) => {
    const backends = allowed.get(keyOfFlow(flow));
    return backends?.has(backendName({ ip: flow.replySource, port: flow.replySourcePort })) === false;
  });
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
