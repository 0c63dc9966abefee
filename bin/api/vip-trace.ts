import { type TraceHop, traceVip, type VipQuestion } from "../../l4lb/trace.ts";
import type { Family } from "../../lib/address.ts";
import { formatIp } from "../../lib/address.ts";
import { nearest } from "../nearest.ts";
import { readChoice, readNumber, readQuery } from "./query.ts";
import type { ApiState } from "./state.ts";
import { currentVips } from "./vips.ts";

/** Where a walk leads to, for trying: a service with its backends. */
export interface TracedService {
  readonly protocol: string;
  readonly ip: string;
  readonly port: number;
  readonly family: Family;
  readonly backends: readonly {
    readonly ip: string;
    readonly port: number;
    readonly weight: number;
    readonly task: string;
  }[];
}

/** `GET /v1/vips/trace`. */
export interface VipTraceBody {
  readonly hops: readonly TraceHop[];
  readonly services: readonly TracedService[];
}

/** The walk from a virtual IP's labels to the kernel of this node. Parameters: `name`, a name or address; `port` and
 *  `protocol`. Throws a NetError `unavailable` where there are no virtual IPs. */
export function vipTraceBody(state: ApiState, query: URLSearchParams): VipTraceBody {
  const question = readQuestion(query);
  const vips = currentVips(state.vips());
  const snapshot = state.facts();
  const { hops, rows } = traceVip(question, {
    table: vips.table,
    tasks: [...snapshot.tasks.values(), ...snapshot.lostTasks.values()],
    nodeOf: (id) => snapshot.nodes.get(id),
    kernel: vips.examine(),
    inDns: state.dns() === undefined ? undefined : (name, ip) => vips.isNamed(name, ip),
    suggest: (word, among) => nearest(word, among),
    now: state.now(),
  });
  const services = rows.map(({ service: { protocol, ip, port }, backends }) => ({
    ...{ protocol, ip: formatIp(ip), port, family: ip.family },
    backends: backends.map((backend) => ({
      ...{ ip: formatIp(backend.ip), port: backend.port, weight: backend.weight },
      task: backend.members.map(({ fact }) => fact.body.id).join(" "),
    })),
  }));
  return { hops, services };
}

function readQuestion(query: URLSearchParams): VipQuestion {
  const { name = "", port, protocol } = readQuery(query, ["name", "port", "protocol"]);
  const number = readNumber("port", port, { least: 1, most: 65_535, fallback: 0 });
  return {
    name,
    port: number === 0 ? undefined : number,
    protocol: readChoice("protocol", protocol, ["tcp", "udp"]),
  };
}
