import type { Section } from "../cni/config.ts";
import { allocate } from "../ipam/allocate.ts";
import { equalIp, equalPrefix, type Family, formatIp, formatPrefix, type Ip, type Prefix } from "../lib/address.ts";
import type { Clock } from "../lib/clock.ts";
import { NetError } from "../lib/error.ts";
import { type LeasePlace, leasesOf, rangeSetOf } from "./lease.ts";
import { type DockerOverlay, type DockerPool, describePools, overlayNamed } from "./overlay.ts";
import { formatPoolId, type PoolName, parsePoolId } from "./pool-id.ts";
import type { NetworkRecord } from "./record.ts";
import {
  type RequestAddressRequest,
  type RequestPoolRequest,
  readPoolId,
  readReleaseAddress,
  readRequestAddress,
  readRequestPool,
} from "./request.ts";

/** A pool that Docker has just been given and asks for again was refused by Docker, which would ask for ever. */
const ASKED_AGAIN_MS = 5000;
/** A lease that no endpoint has is left from a call that was broken off: Docker makes the endpoint in the same
 *  second. */
const ABANDONED_MS = 15_000;

export interface IpamParts {
  readonly place: LeasePlace;
  readonly clock: Clock;
  readonly networks: () => readonly NetworkRecord[];
  /** True when a running container, or a network as reserved, has the address. */
  readonly isKept: (overlay: string, ip: Ip) => boolean;
  /** Told of each address that Docker gives back. */
  readonly onRelease: (overlay: string, ip: Ip) => void;
}

/** Docker's IPAM driver protocol on our leases. A pool is this node's upper half of one overlay; nothing else can be
 *  had, because the other nodes send nothing else here. */
export class IpamDriver {
  readonly #parts: IpamParts;
  /** When a pool was last given out without having been named, monotonic milliseconds, by pool id. */
  readonly #given = new Map<string, number>();

  constructor(parts: IpamParts) {
    this.#parts = parts;
  }

  requestPool(body: Section, overlays: readonly DockerOverlay[]): object {
    const request = readRequestPool(body);
    const overlay = overlayFor(overlays, request);
    const found = poolFor(overlay, request);
    rangeSetOf(found, request.subPool);
    const name = { overlay: overlay.name, pool: found.pool, sub: request.subPool };
    if (request.pool === undefined) this.#refuseRepetition(name);
    return { PoolID: formatPoolId(name), Pool: formatPrefix(found.pool), Data: {} };
  }

  /** Nothing is kept of a pool but that Docker may not have liked it. */
  releasePool(body: Section): object {
    this.#given.delete(formatPoolId(parsePoolId(readPoolId(body))));
    return {};
  }

  requestAddress(body: Section, overlays: readonly DockerOverlay[]): object {
    const request = readRequestAddress(body);
    const name = parsePoolId(request.poolId);
    const pool = presentPool(overlays, name);
    if (request.forGateway) return answer(gatewayOf(pool, request.address), pool.pool);
    return answer(this.#lease(name, pool, request), pool.pool);
  }

  releaseAddress(body: Section): object {
    const { poolId, address } = readReleaseAddress(body);
    const { overlay } = parsePoolId(poolId);
    this.#release(overlay, address);
    this.#parts.onRelease(overlay, address);
    return {};
  }

  /** Reserves an address that nobody is to get, and whose lease may have been lost, as it is at a boot. */
  keep(overlay: string, pool: DockerPool, address: Ip): void {
    const store = leasesOf(this.#parts.place, overlay, address.family);
    if (store.writtenAt(address) !== undefined) return;
    allocate(store, rangeSetOf(pool, undefined), { id: `docker-reserved-${formatIp(address)}`, ifname: "docker" }, [
      address,
    ]);
  }

  /** Writes down that `holder` has an address that another IPAM driver has given. Throws `conflict` when it is leased. */
  hold(overlay: string, address: Ip, holder: string): void {
    const { place, isKept } = this.#parts;
    const taken = leasesOf(place, overlay, address.family).locked((leases) => {
      const owner = { id: heldBy(holder), ifname: "docker" };
      if (leases.of(owner.id).some(({ ip }) => equalIp(ip, address)) || leases.reserve(address, owner)) return false;
      if (isKept(overlay, address)) return true;
      // Nobody has it: it is left from before the engine or this machine went down.
      for (const lease of leases.all()) if (equalIp(lease.ip, address)) leases.release(lease);
      return !leases.reserve(address, owner);
    });
    if (!taken) return;
    throw new NetError("conflict", {
      tried: `give ${formatIp(address)} of overlay ${overlay} to endpoint ${holder.slice(0, 12)}`,
      said: "another container has it",
      remedy: "start the container again, or remove the other one",
    });
  }

  /** Gives back what {@link hold} has written down for `holder`; nothing to give back is fine. */
  drop(overlay: string, address: Ip, holder: string): void {
    leasesOf(this.#parts.place, overlay, address.family).lockedIfPresent((leases) => {
      const own = leases.of(heldBy(holder)).filter(({ ip }) => equalIp(ip, address));
      for (const lease of own) leases.release(lease);
    });
  }

  /** Gives back leases of `overlay` that nothing is known of and that are much older than Docker takes to start a
   *  container. Returns them. */
  collect(overlay: string): Ip[] {
    const { place, clock, isKept } = this.#parts;
    return ([4, 6] as const).flatMap((family) => {
      const store = leasesOf(place, overlay, family);
      const freed = store.lockedIfPresent((leases) => {
        const stale = leases
          .all()
          .filter(({ ip }) => !isKept(overlay, ip) && isOld(store.writtenAt(ip), clock.now(), ABANDONED_MS * 4));
        for (const lease of stale) leases.release(lease);
        return stale.map(({ ip }) => ip);
      });
      return freed ?? [];
    });
  }

  #lease(name: PoolName, pool: DockerPool, { address, name: container }: RequestAddressRequest): Ip {
    const family = pool.pool.ip.family;
    const store = leasesOf(this.#parts.place, name.overlay, family);
    if (address !== undefined) this.#takeBack(name.overlay, address);
    const owner = { id: ownerId(container), ifname: "docker" };
    const sets = rangeSetOf(pool, address === undefined ? name.sub : undefined);
    const [lease] = allocate(store, sets, owner, address === undefined ? [] : [address]);
    if (lease === undefined) throw new Error("one range set gives one lease");
    return lease.address.ip;
  }

  /** A wished address that a broken-off call has left leased is free. */
  #takeBack(overlay: string, address: Ip): void {
    const { place, clock, isKept } = this.#parts;
    const written = leasesOf(place, overlay, address.family).writtenAt(address);
    if (written === undefined || isKept(overlay, address) || !isOld(written, clock.now(), ABANDONED_MS)) return;
    this.#release(overlay, address);
  }

  #release(overlay: string, address: Ip): void {
    leasesOf(this.#parts.place, overlay, address.family).lockedIfPresent((leases) => {
      for (const lease of leases.all()) if (equalIp(lease.ip, address)) leases.release(lease);
    });
  }

  /** Docker compares a pool that wasn't named with the host's routes, and asks for another while they overlap. There is
   *  no other. */
  #refuseRepetition(name: PoolName): void {
    const id = formatPoolId(name);
    const now = this.#parts.clock.monotonic();
    const user = this.#parts.networks().find(({ overlay }) => overlay === name.overlay);
    const asked = this.#given.get(id);
    if (user === undefined && (asked === undefined || now - asked > ASKED_AGAIN_MS)) {
      this.#given.set(id, now);
      return;
    }
    throw new NetError("conflict", {
      tried: `give a network the addresses ${formatPrefix(name.pool)} of overlay ${name.overlay}`,
      said:
        user === undefined
          ? "the host has a route to them already"
          : `network ${user.id.slice(0, 12)} has them already`,
      remedy: `use that network, or share its addresses with --subnet ${formatPrefix(name.pool)}`,
    });
  }
}

function overlayFor(overlays: readonly DockerOverlay[], request: RequestPoolRequest): DockerOverlay {
  const { overlay, pool, v6 } = request;
  if (overlay !== undefined) return overlayNamed(overlays, overlay);
  const family = v6 ? 6 : 4;
  const fitting = overlays.filter(({ pools }) =>
    pools.some((own) => (pool === undefined ? own.pool.ip.family === family : equalPrefix(own.pool, pool))),
  );
  const [only, ...others] = fitting;
  if (only !== undefined && others.length === 0) return only;
  const named = pool === undefined ? `some IPv${family} addresses` : formatPrefix(pool);
  throw new NetError("invalid", {
    tried: `give a network ${named}`,
    said: `this node has ${overlays.map((each) => `${each.name} (${describePools(each)})`).join(", ") || "no overlay"}`,
    remedy: "name the overlay with --ipam-opt overlay=NAME, or one of these subnets with --subnet",
  });
}

function poolFor(overlay: DockerOverlay, { pool, v6 }: RequestPoolRequest): DockerPool {
  const family: Family = v6 ? 6 : 4;
  const own = overlay.pools.find((candidate) => candidate.pool.ip.family === family);
  if (own !== undefined && (pool === undefined || equalPrefix(own.pool, pool))) return own;
  throw new NetError("invalid", {
    tried: `give a network ${pool === undefined ? `IPv${family} addresses` : formatPrefix(pool)} of ${overlay.name}`,
    said: `this node's Docker containers have ${describePools(overlay)} of it`,
    remedy: own === undefined ? "create the network without this family" : `give --subnet ${formatPrefix(own.pool)}`,
  });
}

/** The pool of an id, as long as it is still this node's. */
function presentPool(overlays: readonly DockerOverlay[], { overlay, pool }: PoolName): DockerPool {
  return poolFor(overlayNamed(overlays, overlay), {
    overlay,
    pool,
    subPool: undefined,
    v6: pool.ip.family === 6,
  });
}

function gatewayOf({ pool, gateway }: DockerPool, wish: Ip | undefined): Ip {
  if (wish === undefined || equalIp(wish, gateway)) return gateway;
  throw new NetError("invalid", {
    tried: `make ${formatIp(wish)} the gateway of ${formatPrefix(pool)}`,
    said: `the bridge of all its networks has ${formatIp(gateway)}`,
    remedy: "leave --gateway out",
  });
}

function answer(ip: Ip, pool: Prefix): object {
  return { Address: formatPrefix({ ip, length: pool.length }), Data: {} };
}

/** The holder of a lease by its endpoint's id. */
function heldBy(endpoint: string): string {
  return `docker-${endpoint}`;
}

/** Who holds a lease: the container's name, as far as Docker tells it, and what makes it the only one. */
function ownerId(container: string | undefined): string {
  const name = (container ?? "").replaceAll(/[^\w.-]/g, "_").slice(0, 64);
  const unique = crypto.randomUUID().slice(0, 13);
  return name === "" ? `docker-${unique}` : `docker-${name}-${unique}`;
}

function isOld(writtenNs: bigint | undefined, nowMs: number, leastMs: number): boolean {
  return writtenNs !== undefined && nowMs - Number(writtenNs / 1_000_000n) > leastMs;
}
