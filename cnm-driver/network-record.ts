import { contains, equalIp, equalPrefix, formatIp, formatPrefix, parsePrefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import { macFor } from "./endpoint-link.ts";
import { ADDRESS_SPACE } from "./lease.ts";
import { isInternal, readNetworkOptions } from "./network-options.ts";
import { type DockerOverlay, describePools, overlayNamed } from "./overlay.ts";
import type { EndpointRecord, NetworkRecord } from "./record.ts";
import type { CreateEndpointRequest, CreateNetworkRequest, PoolData } from "./request.ts";

/** What a network of these options and pools is. Throws `invalid` when the pools aren't this node's part of an
 *  overlay. */
export function networkRecord(
  { network: id, options, pools }: CreateNetworkRequest,
  overlays: readonly DockerOverlay[],
  now: number,
): NetworkRecord {
  const { overlay: named, bridge, mtu, isolated, masquerade } = readNetworkOptions(options);
  const overlay = named === undefined ? overlayOf(overlays, pools) : overlayNamed(overlays, named);
  const own = pools.map((pool) => recordedPool(overlay, pool));
  if (own.length === 0 || own.length !== new Set(pools.map(({ pool }) => pool.ip.family)).size) {
    throw new NetError("invalid", {
      tried: `create network ${id.slice(0, 12)} on overlay ${overlay.name}`,
      said: `it has ${pools.length} subnets`,
      remedy: "give one subnet of each family, or none",
    });
  }
  return {
    id,
    overlay: overlay.name,
    bridge: bridge ?? overlay.bridge,
    ...(mtu === undefined ? {} : { mtu }),
    internal: isInternal(options),
    isolated,
    masquerade,
    foreignIpam: pools.some(({ addressSpace }) => addressSpace !== ADDRESS_SPACE),
    pools: own,
    createdAt: now,
  };
}

function overlayOf(overlays: readonly DockerOverlay[], pools: readonly PoolData[]): DockerOverlay {
  const found = overlays.find((overlay) =>
    overlay.pools.some((own) => pools.some(({ pool }) => equalPrefix(own.pool, pool))),
  );
  if (found !== undefined) return found;
  const known = overlays.map((overlay) => `${overlay.name} (${describePools(overlay)})`).join(", ");
  throw new NetError("invalid", {
    tried: `find the overlay of ${pools.map(({ pool }) => formatPrefix(pool)).join(" and ") || "a network"}`,
    said: `this node has ${known === "" ? "no overlay" : known}`,
    remedy: "create the network with --ipam-driver dcos, or name the overlay with -o overlay=NAME",
  });
}

function recordedPool(overlay: DockerOverlay, { pool, gateway, aux }: PoolData): NetworkRecord["pools"][number] {
  const own = overlay.pools.find((candidate) => equalPrefix(candidate.pool, pool));
  const refuse = (said: string) =>
    new NetError("invalid", {
      tried: `create a network with ${formatPrefix(pool)} on overlay ${overlay.name}`,
      said,
      remedy: "create it with --ipam-driver dcos and without --subnet and --gateway",
    });
  if (own === undefined) throw refuse(`this node's Docker containers have ${describePools(overlay)} of it`);
  if (gateway !== undefined && !equalIp(gateway, own.gateway)) {
    throw refuse(`its gateway is ${formatIp(own.gateway)}, not ${formatIp(gateway)}`);
  }
  return { pool: formatPrefix(own.pool), gateway: formatIp(own.gateway), aux: aux.map(formatIp) };
}

/** Two bridges with the same addresses would both be the way to them. */
function refuseSecondBridge(networks: readonly NetworkRecord[], { overlay, bridge }: NetworkRecord): void {
  const other = networks.find((known) => known.overlay === overlay && known.bridge !== bridge);
  const foreign = networks.find((known) => known.overlay !== overlay && known.bridge === bridge);
  if (other === undefined && foreign === undefined) return;
  throw new NetError("conflict", {
    tried: `use bridge ${bridge} for overlay ${overlay}`,
    said:
      other === undefined
        ? `it is the bridge of overlay ${foreign?.overlay}`
        : `network ${other.id.slice(0, 12)} has the overlay's addresses on bridge ${other.bridge}`,
    remedy: "leave com.docker.network.bridge.name out",
  });
}

/** What an endpoint of the network is. Throws `invalid` when its addresses aren't the network's. */
export function endpointRecord(request: CreateEndpointRequest, network: NetworkRecord, now: number): EndpointRecord {
  const { endpoint: id, addresses } = request;
  const pools = network.pools.map(({ pool }) => parsePrefix(pool));
  const outside = addresses.find(({ ip }) => !pools.some((pool) => contains(pool, ip)));
  if (outside !== undefined || addresses.length === 0) {
    throw new NetError("invalid", {
      tried: `make endpoint ${id.slice(0, 12)}`,
      said: outside === undefined ? "it has no address" : `${formatPrefix(outside)} is outside of the network`,
      remedy: `use an IPAM driver that gives addresses of ${network.pools.map(({ pool }) => pool).join(" and ")}`,
    });
  }
  return {
    id,
    network: network.id,
    addresses: addresses.map(formatPrefix),
    mac: request.mac ?? macFor(addresses),
    joined: false,
    ports: [],
    createdAt: now,
  };
}

/** Throws `conflict` when a network of this id, or another one, stands against `wish`. */
export function refuseOtherNetwork(networks: readonly NetworkRecord[], wish: NetworkRecord): void {
  const known = networks.find(({ id }) => id === wish.id);
  if (known !== undefined && !sameNetwork(known, wish)) {
    throw new NetError("conflict", {
      tried: `create network ${wish.id.slice(0, 12)}`,
      said: `there is one of this id on overlay ${known.overlay}, with other settings`,
    });
  }
  refuseSecondBridge(networks, wish);
}

/** Throws `conflict` when the endpoint of this id is not the one that is asked for. */
export function refuseOtherEndpoint(known: EndpointRecord, request: CreateEndpointRequest): void {
  const { network, addresses, mac } = request;
  const same = known.addresses.join() === addresses.map(formatPrefix).join();
  if (same && known.network === network && (mac === undefined || mac === known.mac)) return;
  throw new NetError("conflict", {
    tried: `make endpoint ${known.id.slice(0, 12)}`,
    said: `there is one of this id with ${known.addresses.join(" and ")}`,
  });
}

function sameNetwork(a: NetworkRecord, b: NetworkRecord): boolean {
  return JSON.stringify({ ...a, createdAt: 0 }) === JSON.stringify({ ...b, createdAt: 0 });
}
