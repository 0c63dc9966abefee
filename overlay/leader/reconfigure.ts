import { contains, type Family, formatIp, formatPrefix, type Prefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { NodeSubnets, Overlay, OverlayRange } from "../cluster.ts";
import { overlayOf, rangeOf } from "../subnet.ts";
import type { OverlayNetwork } from "./network.ts";
import { emptyPools, endpointPiece, misfit, poolKey } from "./pool.ts";
import { type Draft, type NodeRecord, putRecord, type Registry, registryOf } from "./registry.ts";

/** How many containers a node has in an overlay, as it last told; undefined when it never did. */
export type ContainerCount = (node: string, overlay: string) => number | undefined;

/** Why a new configuration can't take the place of the present one. */
export interface Obstacle {
  /** Key in the configuration, or the overlay that is missing from it. */
  readonly key: string;
  readonly reason: string;
  readonly remedy: string;
  /** Ids of the nodes that are in the way, sorted. */
  readonly nodes: readonly string[];
}

const NODES_SHOWN = 20;

/**
 * What stands against putting `next` in force; empty when nothing does. Allowed are: adding, enabling and disabling
 * overlays, widening or narrowing ranges as long as every piece that is held stays a piece of its pool, another OUI or
 * MTU, and taking out an overlay (or one family of it) that is disabled and has no container anywhere. Disabling
 * first closes the overlay to new nodes, so that the number of containers can only fall.
 */
export function obstaclesTo(registry: Registry, next: OverlayNetwork, containers: ContainerCount): Obstacle[] {
  const records = [...registry.records.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const found = [...endpointObstacles(records, next), ...addressObstacles(records, next)];
  for (const overlay of registry.network.overlays) {
    for (const family of [4, 6] as const) {
      const holders = records.filter((record) => subnetOf(record, overlay.name, family) !== undefined);
      if (holders.length === 0) continue;
      const range = rangeAfter(next, overlay.name, family);
      const more =
        range === undefined
          ? withdrawalObstacles(overlay, family, holders, containers)
          : misfitObstacles(overlay, family, range, holders, next);
      found.push(...more);
    }
  }
  return found.filter(({ nodes }) => nodes.length > 0);
}

/**
 * Puts `next` in force. Throws a NetError `conflict` with every obstacle and its nodes; then the draft is as before.
 * New overlays are given to nodes when they register again, as in the reference. The nodes' records are changed
 * before the configuration, so that storing only a beginning leaves a consistent state.
 */
export function reconfigure(draft: Draft, next: OverlayNetwork, containers: ContainerCount): void {
  const obstacles = obstaclesTo(draft, next, containers);
  if (obstacles.length > 0) throw refusal(obstacles);
  for (const record of draft.records.values()) {
    const kept = without(record, next);
    if (kept !== record) putRecord(draft, kept);
  }
  const { pools } = registryOf(next, draft.records.values());
  draft.pools.clear();
  for (const [key, pool] of pools) draft.pools.set(key, pool);
  draft.network = next;
  draft.changes.push({ do: "network", network: next });
}

function endpointObstacles(records: readonly NodeRecord[], next: OverlayNetwork): Obstacle[] {
  const pools = emptyPools(next);
  return ([4, 6] as const).flatMap((family): Obstacle[] => {
    const pool = pools.get(poolKey(family));
    // Without vtep_subnet6 no overlay has IPv6 (the configuration's check sees to that), so nothing needs the endpoint.
    if (pool === undefined) return [];
    const nodes = records.filter(({ vtep }) => {
      const ip = family === 4 ? vtep.ip : vtep.ip6;
      return ip !== undefined && misfit(pool, endpointPiece(ip)) !== undefined;
    });
    const reason = `tunnel endpoints lie outside ${formatPrefix(pool.space)}`;
    const remedy = "choose a range that includes the present one";
    return [{ key: pool.key, reason, remedy, nodes: nodes.map(({ id }) => id) }];
  });
}

/** A range over the address of a node would draw the tunnel's own packets into the tunnel. */
function addressObstacles(records: readonly NodeRecord[], next: OverlayNetwork): Obstacle[] {
  const byReason = new Map<string, string[]>();
  for (const { id, address, address6 } of records) {
    for (const ip of [address, address6]) {
      const overlay = ip === undefined ? undefined : overlayOf(next.overlays, ip);
      const pool = [next.vtepSubnet, next.vtepSubnet6].find(
        (subnet) => subnet !== undefined && ip !== undefined && contains(subnet, ip),
      );
      if (ip === undefined || (overlay === undefined && pool === undefined)) continue;
      const where = overlay === undefined ? "the tunnel endpoints' range" : `overlay ${overlay.name}`;
      const reason = `nodes' own addresses, such as ${formatIp(ip)}, lie inside ${where}`;
      const same = [...byReason.keys()].find((known) => known.endsWith(where)) ?? reason;
      byReason.set(same, [...(byReason.get(same) ?? []), id]);
    }
  }
  const remedy = "choose a range apart from the nodes'";
  return [...byReason].map(([reason, nodes]) => ({ key: "address", reason, remedy, nodes }));
}

function withdrawalObstacles(
  overlay: Overlay,
  family: Family,
  holders: readonly NodeRecord[],
  containers: ContainerCount,
): Obstacle[] {
  const key = poolKey(family, overlay.name);
  if (overlay.enabled) {
    const reason = `it is enabled, and ${holders.length} nodes have a subnet of it`;
    const remedy = "first set enabled: false, then wait until its containers have ended, then take it out";
    return [{ key, reason, remedy, nodes: holders.map(({ id }) => id) }];
  }
  const nodesWhere = (test: (count: number | undefined) => boolean) =>
    holders.filter(({ id }) => test(containers(id, overlay.name))).map(({ id }) => id);
  return [
    {
      key,
      reason: "containers still run in it",
      remedy: "move or stop them, then try again",
      nodes: nodesWhere((count) => count !== undefined && count > 0),
    },
    {
      key,
      reason: "it is not known whether containers still run in it",
      remedy: "wait until these nodes have reported, or forget those that are gone for good",
      nodes: nodesWhere((count) => count === undefined),
    },
  ];
}

function misfitObstacles(
  overlay: Overlay,
  family: Family,
  range: OverlayRange,
  holders: readonly NodeRecord[],
  next: OverlayNetwork,
): Obstacle[] {
  const pool = emptyPools(next).get(poolKey(family, overlay.name));
  const nodes = holders.filter((record) => {
    const held = subnetOf(record, overlay.name, family);
    return held !== undefined && (pool === undefined || misfit(pool, held) !== undefined);
  });
  const reason = `subnets are not of ${formatPrefix(range.subnet)} in pieces of /${range.nodeLength}`;
  const remedy = "keep the prefix and include the present range, or add another overlay and retire this one";
  return [{ key: poolKey(family, overlay.name), reason, remedy, nodes: nodes.map(({ id }) => id) }];
}

/** The record without what the new configuration doesn't have any more; the same object when it has all. */
function without(record: NodeRecord, next: OverlayNetwork): NodeRecord {
  const dropsIp6 = record.vtep.ip6 !== undefined && next.vtepSubnet6 === undefined;
  const subnets = new Map<string, NodeSubnets>();
  let dropped = dropsIp6;
  for (const [name, held] of record.subnets) {
    const kept = {
      v4: rangeAfter(next, name, 4) === undefined ? undefined : held.v4,
      v6: rangeAfter(next, name, 6) === undefined ? undefined : held.v6,
    };
    if (kept.v4 !== held.v4 || kept.v6 !== held.v6) dropped = true;
    if (kept.v4 !== undefined || kept.v6 !== undefined) subnets.set(name, kept);
  }
  if (!dropped) return record;
  return { ...record, subnets, vtep: dropsIp6 ? { ...record.vtep, ip6: undefined } : record.vtep };
}

function rangeAfter(next: OverlayNetwork, name: string, family: Family): OverlayRange | undefined {
  const overlay = next.overlays.find((each) => each.name === name);
  return overlay === undefined ? undefined : rangeOf(overlay, family);
}

function subnetOf(record: NodeRecord, overlay: string, family: Family): Prefix | undefined {
  const subnets = record.subnets.get(overlay);
  return family === 4 ? subnets?.v4 : subnets?.v6;
}

function refusal(obstacles: readonly Obstacle[]): NetError {
  const sentences = obstacles.map(({ key, reason, remedy, nodes }) => {
    const shown = nodes.slice(0, NODES_SHOWN).join(", ");
    const more = nodes.length > NODES_SHOWN ? ` and ${nodes.length - NODES_SHOWN} more` : "";
    return `${key}: ${reason} (nodes ${shown}${more}): ${remedy}`;
  });
  return new NetError("conflict", {
    tried: "change the overlays",
    said: sentences.join("; "),
    remedy: "nothing was changed",
  });
}
