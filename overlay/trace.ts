import type { Operation } from "../kernel/kernel.ts";
import { contains, equalIp, formatIp, formatPrefix, halves, hostPrefix, type Ip, type Prefix } from "../lib/address.ts";
import type { Cluster, ClusterNode, Overlay } from "./cluster.ts";
import { AGENT_TABLE, addressKey, fdbKey, neighborKey, routeKey, ruleKey } from "./key.ts";
import type { Plan } from "./plan.ts";
import { bridgeName, overlayOf, rangeOf } from "./subnet.ts";
import { type Desired, gatewayOf } from "./table.ts";

/** One kernel object on the way of a packet. */
export interface TraceStep {
  /** As the `ip` or `bridge` command would print it. */
  readonly object: string;
  /** False when the present plan would have to make or correct it. */
  readonly present: boolean;
}

export interface Trace {
  /** What the address is: `9.0.2.5 is in overlay dcos on node n2`. */
  readonly about: string;
  /** In the order in which a packet meets them; empty when the overlay has nothing to do with the address. */
  readonly steps: readonly TraceStep[];
  /** The first step that is missing, which is what to look at. */
  readonly missing: string | undefined;
}

export interface TraceInput {
  readonly cluster: Cluster;
  readonly self: ClusterNode;
  readonly desired: Desired;
  /** From the kernel's present state; an object that it makes or corrects counts as missing. */
  readonly plan: Plan;
}

/** Walks from an address to the kernel objects of this node that a container's packet to it uses. Pure: the same plan
 *  that repairs also says what is missing, so the two can't disagree. */
export function traceAddress(ip: Ip, input: TraceInput): Trace {
  const { about, objects } = explain(ip, input);
  const planned = plannedObjects(input.plan);
  const wanted = wantedObjects(input.desired);
  const steps = objects.map(({ id, object }) => ({ object, present: wanted(id) && !planned.has(idText(id)) }));
  return { about, steps, missing: steps.find((step) => !step.present)?.object };
}

/** How a step finds its object in the table and its operation in the plan. */
interface ObjectId {
  readonly kind: "link" | "address" | "route" | "rule" | "neighbor" | "fdb";
  /** Name of a link, else the key of overlay/key.ts. */
  readonly key: string;
}

interface Step {
  readonly id: ObjectId;
  readonly object: string;
}

interface Explanation {
  readonly about: string;
  readonly objects: readonly Step[];
}

function explain(ip: Ip, input: TraceInput): Explanation {
  const { cluster, self } = input;
  const text = formatIp(ip);
  const overlay = overlayOf(cluster.overlays, ip);
  if (overlay !== undefined) return inOverlay(ip, overlay, input);
  for (const node of cluster.nodes) {
    const own = node === self ? "this node" : `node ${node.name}`;
    if (isVtep(node, ip)) {
      return {
        about: `${text} is the tunnel endpoint of ${own}`,
        objects: node === self ? [] : tunnel(node, ip, input),
      };
    }
    if (equalIp(node.address, ip) || (node.address6 !== undefined && equalIp(node.address6, ip))) {
      return { about: `${text} is the own address of ${own}`, objects: node === self ? [] : toAgent(node, ip, input) };
    }
  }
  return { about: `${text} belongs to no overlay, tunnel endpoint or node of this cluster`, objects: [] };
}

function inOverlay(ip: Ip, overlay: Overlay, input: TraceInput): Explanation {
  const { cluster, self, desired } = input;
  const node = cluster.nodes.find((each) => subnetWith(each, overlay, ip) !== undefined);
  const subnet = node === undefined ? undefined : subnetWith(node, overlay, ip);
  if (node === undefined || subnet === undefined) {
    return { about: `${formatIp(ip)} is in overlay ${overlay.name}, in no node's subnet`, objects: [] };
  }
  const where = `${formatIp(ip)} is in overlay ${overlay.name} on`;
  if (node === self && contains(halves(subnet)[1], ip))
    return { about: `${where} this node, in Docker's half`, objects: [] };
  if (node === self) return { about: `${where} this node`, objects: onBridge(overlay, subnet) };
  const gateway = vtepAddress(node, ip);
  const dev = desired.vtep?.name;
  if (gateway === undefined || dev === undefined) return { about: `${where} node ${node.name}`, objects: [] };
  const route = { dst: subnet, gateway, dev };
  const object = `route ${formatPrefix(subnet)} via ${formatIp(gateway)} dev ${dev}`;
  return {
    about: `${where} node ${node.name}`,
    objects: [{ id: { kind: "route", key: routeKey(route) }, object }, ...tunnel(node, gateway, input)],
  };
}

function onBridge(overlay: Overlay, subnet: Prefix): Step[] {
  const dev = bridgeName("m", overlay.name);
  const address = gatewayOf(subnet);
  return [
    { id: { kind: "link", key: dev }, object: `bridge ${dev}` },
    {
      id: { kind: "address", key: addressKey({ dev, address }) },
      object: `address ${formatPrefix(address)} dev ${dev}`,
    },
  ];
}

/** Device, neighbour entry, forwarding entry: from a tunnel endpoint's address to the packet on the underlay. */
function tunnel(node: ClusterNode, endpoint: Ip, { desired }: TraceInput): Step[] {
  const dev = desired.vtep?.name;
  if (dev === undefined) return [];
  const { mac } = node.vtep;
  const remote = formatIp(node.address);
  return [
    { id: { kind: "link", key: dev }, object: `vxlan ${dev}` },
    {
      id: { kind: "neighbor", key: neighborKey({ dev, ip: endpoint }) },
      object: `neighbor ${formatIp(endpoint)} lladdr ${mac} dev ${dev}`,
    },
    { id: { kind: "fdb", key: fdbKey({ dev, mac }) }, object: `fdb ${mac} dev ${dev} dst ${remote}` },
  ];
}

/** Containers reach another node's own address through the tunnel, by the rule of their overlay. */
function toAgent(node: ClusterNode, ip: Ip, input: TraceInput): Step[] {
  const dev = input.desired.vtep?.name;
  const gateway = vtepAddress(node, ip);
  if (dev === undefined || gateway === undefined) return [];
  const rules = input.cluster.overlays.flatMap((overlay): Step[] => {
    const from = rangeOf(overlay, ip.family)?.subnet;
    if (from === undefined) return [];
    const key = ruleKey({ family: ip.family, from, table: AGENT_TABLE });
    return [{ id: { kind: "rule", key: key }, object: `rule from ${formatPrefix(from)} lookup ${AGENT_TABLE}` }];
  });
  const route = { dst: hostPrefix(ip), gateway, dev, table: AGENT_TABLE };
  const object = `route ${formatIp(ip)} via ${formatIp(gateway)} dev ${dev} table ${AGENT_TABLE}`;
  return [...rules, { id: { kind: "route", key: routeKey(route) }, object }, ...tunnel(node, gateway, input)];
}

function subnetWith(node: ClusterNode, overlay: Overlay, ip: Ip): Prefix | undefined {
  const subnets = node.subnets.get(overlay.name);
  const subnet = ip.family === 4 ? subnets?.v4 : subnets?.v6;
  return subnet !== undefined && contains(subnet, ip) ? subnet : undefined;
}

function vtepAddress(node: ClusterNode, { family }: Ip): Ip | undefined {
  return family === 4 ? node.vtep.ip.ip : node.vtep.ip6?.ip;
}

function isVtep(node: ClusterNode, ip: Ip): boolean {
  const endpoint = vtepAddress(node, ip);
  return endpoint !== undefined && equalIp(endpoint, ip);
}

function plannedObjects(plan: Plan): Set<string> {
  return new Set([...plan.links, ...plan.local, ...plan.peers].flatMap(objectOf).map(idText));
}

function idText({ kind, key }: ObjectId): string {
  return `${kind} ${key}`;
}

/** Whether the table has an object: a family that this node does without isn't in it. */
function wantedObjects(desired: Desired): (id: ObjectId) => boolean {
  const links = new Set(
    [...desired.bridges, ...(desired.vtep === undefined ? [] : [desired.vtep])].map(({ name }) => name),
  );
  const maps = {
    link: links,
    address: desired.addresses,
    route: desired.routes,
    rule: desired.rules,
    neighbor: desired.neighbors,
    fdb: desired.fdb,
  };
  return ({ kind, key }) => maps[kind].has(key);
}

/** What an operation makes or corrects; nothing for those that only remove. */
function objectOf(operation: Operation): ObjectId[] {
  switch (operation.do) {
    case "link.add":
      return [{ kind: "link", key: operation.link.name }];
    case "link.set":
      return [{ kind: "link", key: operation.dev }];
    case "address.add":
    case "address.replace":
      return [{ kind: "address", key: addressKey(operation.address) }];
    case "route.replace":
      return [{ kind: "route", key: routeKey(operation.route) }];
    case "rule.add":
      return [{ kind: "rule", key: ruleKey(operation.rule) }];
    case "neighbor.replace":
      return [{ kind: "neighbor", key: neighborKey(operation.neighbor) }];
    case "fdb.add":
    case "fdb.replace":
      return [{ kind: "fdb", key: fdbKey(operation.entry) }];
    default:
      return [];
  }
}
