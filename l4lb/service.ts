import { compareIp, formatIp, type Ip } from "../lib/address.ts";

/** Transport protocols that a virtual IP can have. */
export type VipProtocol = "tcp" | "udp";

/** How a service chooses among its backends. `wlc` weighted least connections, `rr` weighted round robin, `sh` by the
 *  client's address, `mh` by the client's address through Maglev hashing, which moves few clients when backends change
 *  (names of ipvsadm(8)). A data plane that can't count connections spreads `wlc` and `rr` at random by weight. */
export type Scheduler = "wlc" | "rr" | "sh" | "mh";

/** What tells the services of one kernel apart. */
export interface ServiceKey {
  readonly protocol: VipProtocol;
  readonly ip: Ip;
  /** 1 … 65535. */
  readonly port: number;
}

/** Where connections to a service can end. */
export interface Backend {
  /** Of the same family as the service's address. */
  readonly ip: Ip;
  /** 1 … 65535. */
  readonly port: number;
  /** Share of new connections, 0 … 65535 (`WEIGHT_MAX`). 0: it gets none, and those that it has go on. */
  readonly weight: number;
}

/** Greatest weight of a backend (IP_VS_MAX_WEIGHT is greater; this bound keeps all data planes alike). */
export const WEIGHT_MAX = 65_535;

/** One virtual IP with its port, as it stands in a kernel or should: a row of the table that all data planes share. */
export interface Service extends ServiceKey {
  readonly scheduler: Scheduler;
  /** Seconds for which a client stays with its backend after its last new connection; 0: each connection is chosen
   *  anew. At most 86,400. */
  readonly affinity: number;
  /** Each address and port once, in ascending order (`compareBackends`). Without any, connections are refused. */
  readonly backends: readonly Backend[];
}

/** The identity of a service as text, for keys of maps and for messages: `tcp 11.0.0.1:80`, `udp [fd01:c::1]:53`. */
export function serviceName({ protocol, ip, port }: ServiceKey): string {
  return `${protocol} ${endpoint(ip, port)}`;
}

/** The identity of a backend within its service as text: `9.0.1.5:8080`. */
export function backendName({ ip, port }: Pick<Backend, "ip" | "port">): string {
  return endpoint(ip, port);
}

function endpoint(ip: Ip, port: number): string {
  return ip.family === 6 ? `[${formatIp(ip)}]:${port}` : `${formatIp(ip)}:${port}`;
}

/** Orders the backends of one service: by address, then by port. */
export function compareBackends(a: Backend, b: Backend): number {
  return compareIp(a.ip, b.ip) || a.port - b.port;
}

/** Walks through two lists of backends, each in ascending order, side by side: `visit` gets the places of those that are
 *  the same address and port in both, whatever their weights, and of those that one list has alone. */
export function joinBackends(
  before: readonly Backend[],
  after: readonly Backend[],
  visit: (from: number | undefined, to: number | undefined) => void,
): void {
  for (let from = 0, to = 0; from < before.length || to < after.length; ) {
    const [old, young] = [before[from], after[to]];
    const order = old === undefined ? 1 : young === undefined ? -1 : compareBackends(old, young);
    visit(order <= 0 ? from++ : undefined, order >= 0 ? to++ : undefined);
  }
}
