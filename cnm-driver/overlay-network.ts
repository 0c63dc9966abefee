import { equalPrefix, formatIp, formatPrefix, tryParsePrefix } from "../lib/address.ts";
import { DRIVER, type EngineNetwork, MANAGED, type NetworkSpec } from "./engine.ts";
import { type DockerOverlay, describePools } from "./overlay.ts";

/** What is to be done so that every overlay has its Docker network. */
export interface NetworkPlan {
  /** Ids; before anything is created, because a network may have to be made anew under its name. */
  readonly remove: readonly string[];
  readonly create: readonly NetworkSpec[];
  /** What stands in the way and is not ours to touch, in sentences. */
  readonly conflicts: readonly string[];
}

/** First API version whose networks may do without IPv4 (Docker 28). */
const IPV4_OPTIONAL = [1, 48] as const;

/** The plan for these overlays and the engine's present networks. Pure. Only networks with the label {@link MANAGED}
 *  are ever removed, and only while no container is on them: those of overlays that are gone, and those whose addresses
 *  are no longer this node's. */
export function planNetworks(
  overlays: readonly DockerOverlay[],
  networks: readonly EngineNetwork[],
  apiVersion: string,
): NetworkPlan {
  const remove: string[] = [];
  const create: NetworkSpec[] = [];
  const conflicts: string[] = [];
  for (const overlay of overlays) {
    const present = networks.find(({ name }) => name === overlay.name);
    if (present !== undefined && fits(present, overlay)) continue;
    const obstacle = present === undefined ? undefined : obstacleOf(present, overlay);
    const problem = obstacle ?? withoutIpv4Problem(overlay, apiVersion);
    if (problem !== undefined) {
      conflicts.push(problem);
      continue;
    }
    if (present !== undefined) remove.push(present.id);
    create.push(specOf(overlay));
  }
  for (const network of networks.filter(isManaged)) {
    if (overlays.some(({ name }) => name === network.name)) continue;
    if (network.endpoints.length === 0) remove.push(network.id);
    else conflicts.push(`network ${network.name} stays without its overlay: containers are still on it`);
  }
  return { remove, create, conflicts };
}

function isManaged({ driver, labels }: EngineNetwork): boolean {
  return driver === DRIVER && labels[MANAGED] === "true";
}

function fits({ driver, pools }: EngineNetwork, overlay: DockerOverlay): boolean {
  const subnets = pools.map(({ subnet }) => tryParsePrefix(subnet));
  return (
    driver === DRIVER &&
    subnets.length === overlay.pools.length &&
    overlay.pools.every(({ pool }) => subnets.some((subnet) => subnet !== undefined && equalPrefix(subnet, pool)))
  );
}

function obstacleOf(network: EngineNetwork, overlay: DockerOverlay): string | undefined {
  const { name, driver, endpoints } = network;
  if (!isManaged(network)) {
    return `network ${name} (driver ${driver}) has the name of an overlay and wasn't made by this agent: remove it`;
  }
  if (endpoints.length === 0) return undefined;
  return `network ${name} doesn't have the present addresses ${describePools(overlay)}: containers are still on it`;
}

function withoutIpv4Problem({ name, pools }: DockerOverlay, apiVersion: string): string | undefined {
  if (pools.some(({ pool }) => pool.ip.family === 4)) return undefined;
  const [major = 0, minor = 0] = apiVersion.split(".").map(Number);
  const [needed, andMinor] = IPV4_OPTIONAL;
  if (major > needed || (major === needed && minor >= andMinor)) return undefined;
  return `overlay ${name} has no IPv4, and this Docker (API ${apiVersion}) makes no network without: use 28 or later`;
}

function specOf({ name, pools }: DockerOverlay): NetworkSpec {
  return {
    name,
    overlay: name,
    pools: pools.map(({ pool, gateway }) => ({ subnet: formatPrefix(pool), gateway: formatIp(gateway) })),
    ipv4: pools.some(({ pool }) => pool.ip.family === 4),
    ipv6: pools.some(({ pool }) => pool.ip.family === 6),
  };
}
