import { contains, equalIp, type Family, formatIp, formatPrefix, type Ip, type Prefix } from "../../lib/address.ts";
import type { NodeSubnets, Overlay } from "../cluster.ts";
import { overlayOf, rangeOf, vtepMac } from "../subnet.ts";
import { handOut, type Pool, poolKey } from "./pool.ts";
import { type Draft, type NodeRecord, putRecord } from "./registry.ts";
import type { NodeFact, Refusal } from "./types.ts";

/** The last word of a node that is or may be alive; undefined for one that is gone. It must not be asked before the
 *  membership is known: a node that is not known yet would pass for gone. */
export type LiveNodes = (id: string) => NodeFact | undefined;

/**
 * Gives a node what it asks for and does not hold yet, or takes note of its new address or wish. A node keeps whatever
 * it has, so registering again is harmless; it never gets part of what belongs together: a tunnel endpoint of both
 * families or none, an overlay's subnets of both families or none. What it could not get is noted in the draft's
 * refusals.
 */
export function register(draft: Draft, node: NodeFact, live: LiveNodes): void {
  const problem = addressProblem(draft, node, live);
  const known = draft.records.get(node.id);
  const refusals = problem === undefined ? [] : [problem];
  if (problem === undefined || known !== undefined) {
    const pools = new Map<string, Pool>();
    const placed = problem === undefined ? place(draft, pools, node, known, refusals) : known;
    if (placed !== undefined) settle(draft, pools, known, addSubnets(draft, pools, placed, node, refusals), node);
  }
  if (refusals.length === 0) draft.refusals.delete(node.id);
  else draft.refusals.set(node.id, refusals);
}

/** Why the node can't be at its address: packets to it would go into the tunnel that they should carry, or to another
 *  node. A node that is gone, or that says itself to be elsewhere, gives its address up. */
function addressProblem({ network, byAddress }: Draft, node: NodeFact, live: LiveNodes): Refusal | undefined {
  if (node.address.family !== 4) {
    const reason = `the node's address ${formatIp(node.address)} is not IPv4`;
    return refusal("invalid", "address", undefined, reason, "give the node an IPv4 address for the tunnel's packets");
  }
  const inside = ownSpace(network, node);
  if (inside !== undefined) {
    const reason = `the node's address ${inside}`;
    return refusal(
      "invalid",
      "address",
      undefined,
      reason,
      "give the node another address, or the overlay another range",
    );
  }
  const owner = byAddress.get(formatIp(node.address));
  if (owner === undefined || owner === node.id) return undefined;
  const other = live(owner);
  if (other === undefined || !equalIp(other.address, node.address)) return undefined;
  const reason = `${formatIp(node.address)} is the address of node ${owner}, which is alive`;
  return refusal(
    "conflict",
    "address",
    undefined,
    reason,
    "two hosts have one address or one node id: give each its own",
  );
}

function ownSpace({ vtepSubnet, vtepSubnet6, overlays }: Draft["network"], node: NodeFact): string | undefined {
  for (const ip of [node.address, node.address6]) {
    if (ip === undefined) continue;
    const overlay = overlayOf(overlays, ip);
    if (overlay !== undefined) return `${formatIp(ip)} lies inside overlay ${overlay.name}`;
    const pool = [vtepSubnet, vtepSubnet6].find((subnet) => subnet !== undefined && contains(subnet, ip));
    if (pool !== undefined) return `${formatIp(ip)} lies inside the tunnel endpoints' ${formatPrefix(pool)}`;
  }
  return undefined;
}

/** The node's record with address, wish and a tunnel endpoint of every family that is configured; undefined when a new
 *  node can have no endpoint. `pools` collects what is used up. */
function place(
  draft: Draft,
  pools: Map<string, Pool>,
  node: NodeFact,
  known: NodeRecord | undefined,
  refusals: Refusal[],
): NodeRecord | undefined {
  const { id, address, address6, wish } = node;
  const present = { id, address, address6, wish, superseded: false };
  const families: Family[] = known === undefined ? [4] : [];
  if (known?.vtep.ip6 === undefined && draft.network.vtepSubnet6 !== undefined) families.push(6);
  const pieces = claim(draft, pools, families, undefined, refusals);
  if (known !== undefined) {
    const ip6 = known.vtep.ip6 ?? pieces?.get(6)?.ip;
    return { ...known, ...present, vtep: { ...known.vtep, ip6 } };
  }
  const ip = pieces?.get(4)?.ip;
  if (ip === undefined) return undefined;
  const vtep = { ip, ip6: pieces?.get(6)?.ip, mac: vtepMac(draft.network.macOui, ip) };
  return { ...present, vtep, subnets: new Map() };
}

function addSubnets(
  draft: Draft,
  pools: Map<string, Pool>,
  record: NodeRecord,
  { wish }: NodeFact,
  refusals: Refusal[],
): NodeRecord {
  if (!wish.allocateSubnet) return record;
  const subnets = new Map(record.subnets);
  for (const overlay of draft.network.overlays) {
    const held = subnets.get(overlay.name);
    const missing = overlay.enabled ? missingFamilies(overlay, held) : [];
    const pieces = missing.length === 0 ? undefined : claim(draft, pools, missing, overlay.name, refusals);
    if (pieces === undefined) continue;
    subnets.set(overlay.name, { v4: held?.v4 ?? pieces.get(4), v6: held?.v6 ?? pieces.get(6) });
  }
  return { ...record, subnets };
}

function missingFamilies(overlay: Overlay, held: NodeSubnets | undefined): Family[] {
  return ([4, 6] as const).filter((family) => {
    const has = family === 4 ? held?.v4 : held?.v6;
    return has === undefined && rangeOf(overlay, family) !== undefined;
  });
}

/** Takes one piece of each family, or none at all: `pools` changes only when every family has one. */
function claim(
  draft: Draft,
  pools: Map<string, Pool>,
  families: readonly Family[],
  overlay: string | undefined,
  refusals: Refusal[],
): Map<Family, Prefix> | undefined {
  const pieces = new Map<Family, Prefix>();
  const rests = new Map<string, Pool>();
  for (const family of families) {
    const key = poolKey(family, overlay);
    const pool = pools.get(key) ?? draft.pools.get(key);
    const got = pool === undefined ? undefined : handOut(pool);
    if (pool !== undefined && got === undefined) {
      refusals.push(exhausted(pool, overlay));
      return undefined;
    }
    if (got === undefined) throw new Error(`the configuration has no pool ${key}`);
    pieces.set(family, got.piece);
    rests.set(key, got.rest);
  }
  for (const [key, rest] of rests) pools.set(key, rest);
  return pieces;
}

/** Makes the result count, if it differs from what is stored. */
function settle(
  draft: Draft,
  pools: ReadonlyMap<string, Pool>,
  known: NodeRecord | undefined,
  record: NodeRecord,
  node: NodeFact,
): void {
  for (const [key, pool] of pools) draft.pools.set(key, pool);
  if (known !== undefined && sameRecord(known, record)) return;
  const owner = record.superseded ? undefined : draft.byAddress.get(formatIp(node.address));
  const former = owner === undefined || owner === record.id ? undefined : draft.records.get(owner);
  if (former !== undefined && equalIp(record.address, node.address)) putRecord(draft, { ...former, superseded: true });
  putRecord(draft, record);
}

function sameRecord(a: NodeRecord, b: NodeRecord): boolean {
  return (
    a.superseded === b.superseded &&
    sameIp(a.address, b.address) &&
    sameIp(a.address6, b.address6) &&
    sameIp(a.vtep.ip6, b.vtep.ip6) &&
    a.wish.allocateSubnet === b.wish.allocateSubnet &&
    a.wish.mesosBridge === b.wish.mesosBridge &&
    a.wish.dockerBridge === b.wish.dockerBridge &&
    a.subnets.size === b.subnets.size &&
    [...b.subnets].every(([name, { v4, v6 }]) => {
      const other = a.subnets.get(name);
      return sameIp(other?.v4?.ip, v4?.ip) && sameIp(other?.v6?.ip, v6?.ip);
    })
  );
}

function sameIp(a: Ip | undefined, b: Ip | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalIp(a, b);
}

function exhausted({ key, space, most, least }: Pool, overlay: string | undefined): Refusal {
  const reason = `all ${most - least + 1n} of ${key} ${formatPrefix(space)} are handed out`;
  const remedy = "forget nodes that are gone for good, or widen the range in the configuration";
  return refusal("exhausted", key, overlay, reason, remedy);
}

function refusal(
  code: Refusal["code"],
  key: string,
  overlay: string | undefined,
  reason: string,
  remedy: string,
): Refusal {
  return { code, key, overlay, reason, remedy };
}
