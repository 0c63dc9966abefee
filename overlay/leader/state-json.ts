import { formatIp, formatPrefix, halves, type Prefix } from "../../lib/address.ts";
import type { NodeSubnets, Overlay } from "../cluster.ts";
import { bridgeName } from "../subnet.ts";
import { assignmentOf } from "./assignment.ts";
import type { OverlayNetwork } from "./network.ts";
import { type PoolUsage, usageOf } from "./pool.ts";
import type { Registry } from "./registry.ts";
import type { AssignmentFact, OverlayStatus } from "./types.ts";

/** The last report of a node on an overlay; undefined when there is none. */
export type StatusOf = (node: string, overlay: string) => OverlayStatus | undefined;

type Json = { readonly [key: string]: unknown };

/** VXLAN network identifier of the reference, whose device is named after it. */
const VNI = 1024;

/**
 * The body of `GET /overlay-master/state`, as the reference's `State` in JSON: keys in alphabetical order, empty lists
 * left out, agents and overlays sorted by address and name. A node's overlay that was refused stands there with
 * `STATUS_FAILED` and the reason. Only when something is refused or used up there is one more key, `exhausted`, with a
 * sentence for each case.
 */
export function masterState(registry: Registry, epoch: number, statusOf: StatusOf): Json {
  const { network, records, refusals } = registry;
  const agents = [...records.values()]
    .sort((a, b) => (a.address.value < b.address.value ? -1 : 1))
    .map((record) => {
      const assignment = assignmentOf(record.id, record, refusals.get(record.id) ?? [], network, epoch);
      return withoutEmpty({ ip: formatIp(record.address), overlays: overlayEntries(assignment, network, statusOf) });
    });
  return withoutEmpty({ agents, exhausted: exhaustion(registry), network: networkJson(network) });
}

/** The body on masters that don't lead: as the reference, only the configuration. */
export function followerState(network: OverlayNetwork): Json {
  return { network: networkJson(network) };
}

/**
 * The body of `GET /overlay-agent/overlay`: the node's own assignment as its agent has it. `attempts` counts how often
 * it was put into the kernel.
 */
export function agentOverlay(
  assignment: AssignmentFact,
  network: OverlayNetwork,
  ip: string,
  attempts: number,
  statusOf: StatusOf,
): Json {
  const overlays = overlayEntries(assignment, network, statusOf);
  return withoutEmpty({ configuration_attempts: attempts, ip, overlays });
}

/** Every pool with its size and how much of it is handed out, for metrics and the status page. */
export function poolUsage(registry: Registry): PoolUsage[] {
  return [...registry.pools.values()].map(usageOf);
}

/** One sentence for each pool that is used up, and for each node that was refused something. */
function exhaustion(registry: Registry): string[] {
  const full = poolUsage(registry)
    .filter(({ size, used }) => used >= size)
    .map(({ key, space, size }) => {
      return `${key} ${space}: all ${size} are handed out; forget nodes that are gone for good, or widen the range`;
    });
  const refused = [...registry.refusals].flatMap(([node, list]) =>
    list.map(({ key, overlay, reason, remedy }) => {
      const without = overlay === undefined ? "the overlays" : `overlay ${overlay}`;
      return `node ${node} goes without ${without}: ${key}: ${reason}; ${remedy}`;
    }),
  );
  return [...full, ...refused];
}

function overlayEntries(assignment: AssignmentFact, network: OverlayNetwork, statusOf: StatusOf): Json[] {
  const { vtep, subnets, wish } = assignment;
  if (vtep === undefined) return [];
  return [...network.overlays]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .filter(({ name, enabled }) => enabled || subnets.has(name))
    .map((overlay) => {
      const held = subnets.get(overlay.name);
      return withoutEmpty({
        backend: { vxlan: vxlanJson(vtep, network) },
        docker_bridge: held && wish.dockerBridge ? bridgeJson("d", overlay.name, held) : undefined,
        info: infoJson(overlay),
        mesos_bridge: held && wish.mesosBridge ? bridgeJson("m", overlay.name, held) : undefined,
        state: stateJson(assignment, overlay.name, statusOf),
        subnet: held?.v4 && formatPrefix(held.v4),
        subnet6: held?.v6 && formatPrefix(held.v6),
      });
    });
}

function vxlanJson({ ip, ip6, mac }: NonNullable<AssignmentFact["vtep"]>, network: OverlayNetwork): Json {
  return withoutEmpty({
    vni: VNI,
    vtep_ip: formatPrefix(ip),
    vtep_ip6: ip6 && formatPrefix(ip6),
    vtep_mac: mac,
    vtep_mtu: network.vtepMtu,
    vtep_name: `vtep${VNI}`,
  });
}

/** The reference's fixed halves: the lower one for Mesos, the upper one for Docker. */
function bridgeJson(kind: "m" | "d", overlay: string, { v4, v6 }: NodeSubnets): Json {
  const half = (subnet: Prefix | undefined) => subnet && formatPrefix(halves(subnet)[kind === "m" ? 0 : 1]);
  return withoutEmpty({ ip: half(v4), ip6: half(v6), name: bridgeName(kind, overlay) });
}

/** Undefined until the node has reported, as in the reference. */
function stateJson({ node, refused }: AssignmentFact, overlay: string, statusOf: StatusOf): Json | undefined {
  const refusal = refused.find((each) => each.overlay === overlay);
  if (refusal !== undefined) {
    return { error: `${refusal.key}: ${refusal.reason}; ${refusal.remedy}`, status: "STATUS_FAILED" };
  }
  const reported = statusOf(node, overlay);
  return reported && withoutEmpty({ error: reported.error, status: reported.status });
}

function infoJson({ name, v4, v6, enabled }: Overlay): Json {
  return withoutEmpty({
    enabled,
    name,
    prefix: v4?.nodeLength,
    prefix6: v6?.nodeLength,
    subnet: v4 && formatPrefix(v4.subnet),
    subnet6: v6 && formatPrefix(v6.subnet),
  });
}

function networkJson({ overlays, macOui, vtepMtu, vtepSubnet, vtepSubnet6 }: OverlayNetwork): Json {
  return withoutEmpty({
    overlays: overlays.map(infoJson),
    vtep_mac_oui: `${macOui}:00:00:00`.toUpperCase(),
    vtep_mtu: vtepMtu,
    vtep_subnet: formatPrefix(vtepSubnet),
    vtep_subnet6: vtepSubnet6 && formatPrefix(vtepSubnet6),
  });
}

/** Protocol buffers in JSON leave out absent fields and empty lists. Callers write the keys in alphabetical order. */
function withoutEmpty(value: Json): Json {
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined && !(Array.isArray(each) && each.length === 0)),
  );
}
