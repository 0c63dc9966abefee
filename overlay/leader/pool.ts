import { type Family, formatPrefix, type Ip, networkOf, type Prefix, sizeOf, widthOf } from "../../lib/address.ts";
import type { Overlay } from "../cluster.ts";
import { blockCount, rangeOf } from "../subnet.ts";
import { countTaken, isTaken, lowestFree, release, type Taken, take } from "./interval.ts";
import type { OverlayNetwork } from "./network.ts";

/** Something handed out to nodes, one piece each: tunnel endpoint addresses, or the subnets of an overlay. Pieces are
 *  numbered from the start of the space; the lowest free one is handed out, as the reference does. Immutable. */
export interface Pool {
  /** Names the pool in the configuration: `vtep_subnet`, `overlay dcos subnet`. */
  readonly key: string;
  readonly space: Prefix;
  /** Prefix length of a piece; that of one address for endpoints. */
  readonly length: number;
  /** Lowest and highest number that may be handed out. */
  readonly least: bigint;
  readonly most: bigint;
  readonly taken: Taken;
}

/** How full a pool is. */
export interface PoolUsage {
  readonly key: string;
  readonly space: string;
  readonly size: bigint;
  readonly used: bigint;
}

/** A pool by the family and, for subnets, the overlay. */
export function poolKey(family: Family, overlay?: string): string {
  const suffix = family === 6 ? "6" : "";
  return overlay === undefined ? `vtep_subnet${suffix}` : `overlay ${overlay} subnet${suffix}`;
}

/** Every pool of a configuration, empty, by key. */
export function emptyPools(network: OverlayNetwork): Map<string, Pool> {
  const pools = [endpoints(network.vtepSubnet, 4)];
  if (network.vtepSubnet6 !== undefined) pools.push(endpoints(network.vtepSubnet6, 6));
  for (const overlay of network.overlays) {
    pools.push(...([4, 6] as const).flatMap((family) => subnets(overlay, family)));
  }
  return new Map(pools.map((pool) => [pool.key, pool]));
}

/** The piece with the lowest free number and the pool without it; undefined when the pool is exhausted. */
export function handOut(pool: Pool): { readonly piece: Prefix; readonly rest: Pool } | undefined {
  const number = lowestFree(pool.taken, pool.least, pool.most);
  if (number === undefined) return undefined;
  return { piece: pieceOf(pool, number), rest: { ...pool, taken: take(pool.taken, number) } };
}

/** Why `piece` can't be one of this pool's; undefined when it can, taken or not. */
export function misfit(pool: Pool, piece: Prefix): string | undefined {
  const number = numberOf(pool, piece);
  if (number !== undefined && number >= pool.least && number <= pool.most) return undefined;
  return `${formatPrefix(piece)} is no piece /${pool.length} of ${formatPrefix(pool.space)}`;
}

/** The pool without `piece`; undefined when it is no piece of the pool, or taken. */
export function reserve(pool: Pool, piece: Prefix): Pool | undefined {
  const number = numberOf(pool, piece);
  if (number === undefined || misfit(pool, piece) !== undefined || isTaken(pool.taken, number)) return undefined;
  return { ...pool, taken: take(pool.taken, number) };
}

/** The pool with `piece` free again. Throws when it was not taken: that is our own mistake. */
export function giveBack(pool: Pool, piece: Prefix): Pool {
  const number = numberOf(pool, piece);
  if (number === undefined) throw new Error(`${formatPrefix(piece)} is not of pool ${pool.key}`);
  return { ...pool, taken: release(pool.taken, number) };
}

export function usageOf(pool: Pool): PoolUsage {
  const { key, space, least, most, taken } = pool;
  return { key, space: formatPrefix(space), size: most - least + 1n, used: countTaken(taken) };
}

/** One address as a piece of an endpoint pool. */
export function endpointPiece(ip: Ip): Prefix {
  return { ip, length: widthOf(ip.family) };
}

/** Neither the first address nor the last, which is an IPv4 subnet's broadcast address; the reference treats IPv6
 *  likewise. */
function endpoints(space: Prefix, family: Family): Pool {
  const most = sizeOf(space) - 2n;
  return { key: poolKey(family), space: networkOf(space), length: widthOf(family), least: 1n, most, taken: [] };
}

function subnets(overlay: Overlay, family: Family): Pool[] {
  const range = rangeOf(overlay, family);
  if (range === undefined) return [];
  const most = blockCount(range.subnet, range.nodeLength) - 1n;
  const key = poolKey(family, overlay.name);
  return [{ key, space: networkOf(range.subnet), length: range.nodeLength, least: 0n, most, taken: [] }];
}

function pieceOf({ space, length }: Pool, number: bigint): Prefix {
  const { family, value } = space.ip;
  return { ip: { family, value: value + (number << BigInt(widthOf(family) - length)) }, length };
}

/** Undefined when `piece` isn't of this pool's length and family, starts before the pool, or is off its borders. */
function numberOf({ space, length }: Pool, piece: Prefix): bigint | undefined {
  const { family, value } = space.ip;
  if (piece.length !== length || piece.ip.family !== family || piece.ip.value < value) return undefined;
  const offset = piece.ip.value - value;
  const bits = BigInt(widthOf(family) - length);
  return (offset >> bits) << bits === offset ? offset >> bits : undefined;
}
