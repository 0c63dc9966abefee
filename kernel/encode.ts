import { formatIp, formatPrefix } from "../lib/address.ts";
import { addressMessage } from "./address.ts";
import type { FdbEntry, Neighbor, Operation, Route } from "./kernel.ts";
import { linkAdd, linkDelete, linkSet, portSet } from "./link.ts";
import { fdbMessage, neighborMessage } from "./neighbor.ts";
import { RT_TABLE_MAIN, routeMessage } from "./route.ts";
import { ruleMessage } from "./rule.ts";
import { vlanAdd, vlanDelete } from "./vlan.ts";

/** What an encoder has to know of a link that an operation names. */
export interface ResolvedLink {
  readonly index: number;
  /** A bridge keeps its own VLANs apart from those of its ports. */
  readonly bridge: boolean;
}

/** The netlink message of one operation. `resolve` gives the link of a name, or throws. Pure: sequence number zero. */
export function encodeOperation(operation: Operation, resolve: (dev: string) => ResolvedLink): Uint8Array {
  switch (operation.do) {
    case "link.add":
      return linkAdd(operation.link);
    case "link.set":
      return linkSet(resolve(operation.dev).index, operation.set, masterIndex(operation.set.master, resolve));
    case "link.delete":
      return linkDelete(operation.dev);
    case "port.set":
      return portSet(resolve(operation.dev).index, operation.set);
    case "vlan.add":
      return vlanAdd(resolve(operation.dev).index, operation, resolve(operation.dev).bridge);
    case "vlan.delete":
      return vlanDelete(resolve(operation.dev).index, operation.vid, resolve(operation.dev).bridge);
    case "address.add":
    case "address.replace":
    case "address.delete":
      return addressMessage(verbOf(operation.do), resolve(operation.address.dev).index, operation.address);
    case "route.add":
    case "route.append":
    case "route.replace":
    case "route.delete":
      return routeMessage(verbOf(operation.do), operation.route, routeDev(operation.route, resolve));
    case "rule.add":
    case "rule.delete":
      return ruleMessage(verbOf(operation.do), operation.rule);
    case "neighbor.add":
    case "neighbor.replace":
    case "neighbor.delete":
      return neighborMessage(verbOf(operation.do), resolve(operation.neighbor.dev).index, operation.neighbor);
    case "fdb.add":
    case "fdb.replace":
    case "fdb.delete":
      return fdbMessage(verbOf(operation.do), resolve(operation.entry.dev).index, operation.entry);
  }
}

/** `address.add` → `add`, with its type. */
function verbOf<Verb extends string>(name: `${string}.${Verb}`): Verb {
  return name.slice(name.indexOf(".") + 1) as Verb;
}

function masterIndex(master: string | null | undefined, resolve: (dev: string) => ResolvedLink): number | undefined {
  if (master === undefined) return undefined;
  return master === null ? 0 : resolve(master).index;
}

function routeDev(route: Route, resolve: (dev: string) => ResolvedLink): number | undefined {
  return route.dev === undefined ? undefined : resolve(route.dev).index;
}

/** The operation in the words of the `ip` and `bridge` tools, for errors, logs and printed plans. */
export function describeOperation(operation: Operation): string {
  switch (operation.do) {
    case "link.add":
      return `add ${operation.link.kind} link ${operation.link.name}${peerText(operation.link)}`;
    case "link.set":
      return `set link ${operation.dev} ${settings(operation.set)}`;
    case "link.delete":
      return `delete link ${operation.dev}`;
    case "port.set":
      return `set bridge port ${operation.dev} ${settings(operation.set)}`;
    case "vlan.add":
    case "vlan.delete":
      return `${verbOf(operation.do)} vlan ${operation.vid} dev ${operation.dev}`;
    case "address.add":
    case "address.replace":
    case "address.delete":
      return `${verbOf(operation.do)} address ${formatPrefix(operation.address.address)} dev ${operation.address.dev}`;
    case "route.add":
    case "route.append":
    case "route.replace":
    case "route.delete":
      return `${verbOf(operation.do)} route ${describeRoute(operation.route)}`;
    case "rule.add":
    case "rule.delete": {
      const { from, to, table } = operation.rule;
      const selector = `from ${from ? formatPrefix(from) : "all"}${to ? ` to ${formatPrefix(to)}` : ""}`;
      return `${verbOf(operation.do)} rule ${selector} lookup ${table}`;
    }
    case "neighbor.add":
    case "neighbor.replace":
      return `${verbOf(operation.do)} neighbor ${describeNeighbor(operation.neighbor)}`;
    case "neighbor.delete":
      return `delete neighbor ${formatIp(operation.neighbor.ip)} dev ${operation.neighbor.dev}`;
    case "fdb.add":
    case "fdb.replace":
    case "fdb.delete":
      return `${verbOf(operation.do)} fdb ${describeFdb(operation.entry)}`;
  }
}

function peerText(link: Extract<Operation, { do: "link.add" }>["link"]): string {
  if (link.kind !== "veth") return "";
  return ` peer ${link.peer.name}${link.peer.netns === undefined ? "" : ` in ${link.peer.netns.path}`}`;
}

function describeNeighbor({ ip, mac, dev }: Neighbor): string {
  return `${formatIp(ip)} lladdr ${mac} dev ${dev}`;
}

function describeFdb({ mac, dev, remote }: FdbEntry): string {
  return `${mac} dev ${dev} dst ${formatIp(remote)}`;
}

/** A route as `ip route` prints it. */
export function describeRoute({ dst, gateway, dev, table, local }: Route): string {
  const via = gateway === undefined ? "" : ` via ${formatIp(gateway)}`;
  const where = table === undefined || table === RT_TABLE_MAIN ? "" : ` table ${table}`;
  return `${local === true ? "local " : ""}${formatPrefix(dst)}${via}${dev === undefined ? "" : ` dev ${dev}`}${where}`;
}

function settings(set: object): string {
  return Object.entries(set)
    .map(([key, value]) => `${key} ${typeof value === "object" && value !== null ? "given" : String(value)}`)
    .join(" ");
}
