import type { FdbEntry, Neighbor, Route, Rule } from "../kernel/kernel.ts";
import type { Ip, Prefix } from "../lib/address.ts";

/** Routing table of the packets that containers send to other nodes' own addresses; the reference's number. */
export const AGENT_TABLE = 42;
export const MAIN_TABLE = 254;

/** Map keys under which desired and observed kernel objects meet. Two objects with one key want the same place in the
 *  kernel. They are made 20,000 times in a pass with 4,000 peers, so they are built from the address's number and not
 *  from its text. */
export function ipKey(ip: Ip): string {
  return `${ip.family}:${ip.value.toString(16)}`;
}

export function prefixKey({ ip, length }: Prefix): string {
  return `${ipKey(ip)}/${length}`;
}

/** A route's slot: table, destination and metric, with the kernel's default metrics filled in (rtnetlink: 0 for IPv4,
 *  1024 for IPv6). */
export function routeKey(route: Route): string {
  const priority = route.priority ?? (route.dst.ip.family === 4 ? 0 : 1024);
  return `${route.table ?? MAIN_TABLE} ${prefixKey(route.dst)} ${priority}`;
}

/** A rule's meaning; its position doesn't count, so that one placed by the reference is taken as it is. */
export function ruleKey({ family, from, to, table }: Rule): string {
  return `${family} ${from === undefined ? "" : prefixKey(from)} ${to === undefined ? "" : prefixKey(to)} ${table}`;
}

export function addressKey({ dev, address }: { readonly dev: string; readonly address: Prefix }): string {
  return `${dev} ${prefixKey(address)}`;
}

export function neighborKey({ dev, ip }: Pick<Neighbor, "dev" | "ip">): string {
  return `${dev} ${ipKey(ip)}`;
}

export function fdbKey({ dev, mac }: Pick<FdbEntry, "dev" | "mac">): string {
  return `${dev} ${mac}`;
}
