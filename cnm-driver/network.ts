import type { Section } from "../cni/config.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { contains, formatIp, formatPrefix, type Ip, type Prefix, parseIp, parsePrefix } from "../lib/address.ts";
import type { Clock } from "../lib/clock.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { ensureBridge, removeBridge } from "./bridge.ts";
import { closePorts, protect, unprotect } from "./endpoint-firewall.ts";
import { containerEnd, ensurePair, hasPair, removePair } from "./endpoint-link.ts";
import { chooseHostPorts } from "./host-port-choice.ts";
import type { IpamDriver } from "./ipam.ts";
import { endpointRecord, networkRecord, refuseOtherEndpoint, refuseOtherNetwork } from "./network-record.ts";
import { type DockerOverlay, overlayNamed } from "./overlay.ts";
import type { EndpointRecord, NetworkRecord } from "./record.ts";
import {
  type EndpointRequest,
  readCreateEndpoint,
  readCreateNetwork,
  readEndpointRequest,
  readNetworkId,
  readWantedPorts,
} from "./request.ts";
import type { DockerStore } from "./store.ts";

export interface NetworkParts {
  readonly kernel: Kernel;
  readonly files: Files;
  readonly clock: Clock;
  readonly store: DockerStore;
  /** Leases of networks whose addresses another IPAM driver gives. */
  readonly leases: Pick<IpamDriver, "hold" | "drop">;
}

/** Docker's network driver protocol. Every method may be called twice, after a restart, and for what was never or is no
 *  longer there: a call that creates gives the same answer again, a call that removes succeeds. What is made is
 *  written down before it is made, so that whoever is killed in between leaves nothing that nobody knows of. */
export class NetworkDriver {
  readonly #parts: NetworkParts;

  constructor(parts: NetworkParts) {
    this.#parts = parts;
  }

  createNetwork(body: Section, overlays: readonly DockerOverlay[]): object {
    const { store, kernel, clock } = this.#parts;
    const request = readCreateNetwork(body);
    const record = networkRecord(request, overlays, clock.now());
    const known = store.network(record.id);
    refuseOtherNetwork(store.networks(), record);
    const overlay = overlayNamed(overlays, record.overlay);
    store.putNetwork(known ?? record);
    try {
      ensureBridge(kernel, bridgeWish(record, overlay.mtu));
    } catch (error) {
      if (known === undefined) store.removeNetwork(record.id);
      throw error;
    }
    return {};
  }

  deleteNetwork(body: Section): object {
    const { store, kernel } = this.#parts;
    const id = readNetworkId(body);
    for (const endpoint of store.endpoints(id)) this.forget(endpoint);
    const record = store.network(id);
    if (record === undefined) return {};
    const isShared = store.networks().some((other) => other.id !== id && other.bridge === record.bridge);
    if (!isShared) removeBridge(kernel, bridgeWish(record, 0));
    // Last: whoever is killed before this is asked again, and knows what to remove.
    store.removeNetwork(id);
    return {};
  }

  createEndpoint(body: Section, overlays: readonly DockerOverlay[]): object {
    const { store, clock } = this.#parts;
    const request = readCreateEndpoint(body);
    const network = this.#network(request);
    const known = store.endpoint(request.endpoint);
    const record = known ?? endpointRecord(request, network, clock.now());
    refuseOtherEndpoint(record, request);
    const mtu = network.mtu ?? overlayNamed(overlays, network.overlay).mtu;
    try {
      // Before the record, which would make an abandoned lease of the address look alive.
      this.#hold(network, record);
      store.putEndpoint(record);
      this.#connect(record, network, mtu);
    } catch (error) {
      if (known === undefined) this.forget(record);
      throw error;
    }
    // Only what was left open may be answered: Docker refuses even an equal value for what it has set itself.
    return request.mac === undefined ? { Interface: { MacAddress: record.mac } } : {};
  }

  deleteEndpoint(body: Section): object {
    const { store, kernel } = this.#parts;
    const { endpoint } = readEndpointRequest(body);
    const known = store.endpoint(endpoint);
    if (known === undefined) removePair(kernel, endpoint);
    else this.forget(known);
    return {};
  }

  /** Docker shows nothing of this to anybody; it is for whoever asks the socket. */
  endpointInfo(body: Section): object {
    const { store } = this.#parts;
    const endpoint = store.endpoint(readEndpointRequest(body).endpoint);
    if (endpoint === undefined) return { Value: {} };
    const ports = endpoint.ports.map(
      ({ hostIp, hostPort, containerPort, protocol }) =>
        `${hostIp === undefined ? "" : `${hostIp} `}${hostPort}->${containerPort}/${protocol}`,
    );
    const overlay = store.network(endpoint.network)?.overlay ?? "";
    return { Value: { "dcos.overlay": overlay, "dcos.addresses": endpoint.addresses, "dcos.host_ports": ports } };
  }

  join(body: Section, overlays: readonly DockerOverlay[]): object {
    const { store, kernel, files } = this.#parts;
    const request = readEndpointRequest(body);
    const network = this.#network(request);
    const endpoint = this.#endpoint(request);
    const overlay = overlayNamed(overlays, network.overlay);
    const joined = { ...endpoint, joined: true };
    if (!hasPair(kernel, endpoint.id)) this.#connect(joined, network, network.mtu ?? overlay.mtu);
    store.putEndpoint(joined);
    protect(kernel, files, { network, endpoint: joined, inside: overlay.inside });
    return {
      InterfaceName: { SrcName: containerEnd(endpoint.id), DstPrefix: "eth" },
      ...(network.internal
        ? { StaticRoutes: routesInside(network, endpoint, overlay) }
        : gatewaysOf(network, endpoint)),
      // Docker must not add an interface on a bridge of its own.
      DisableGatewayService: true,
    };
  }

  leave(body: Section): object {
    const { store, kernel, files } = this.#parts;
    const { network, endpoint } = readEndpointRequest(body);
    const overlay = store.network(network)?.overlay;
    if (overlay !== undefined) unprotect(kernel, files, overlay, endpoint);
    const known = store.endpoint(endpoint);
    if (known !== undefined) store.putEndpoint({ ...known, joined: false, ports: [] });
    return {};
  }

  program(body: Section, overlays: readonly DockerOverlay[]): object {
    const { store, kernel, files } = this.#parts;
    const request = readEndpointRequest(body);
    const wanted = readWantedPorts(body);
    const network = this.#network(request);
    const endpoint = this.#endpoint(request);
    if (network.internal || wanted.length + endpoint.ports.length === 0) return {};
    closePorts(kernel, files, network.overlay, endpoint.id);
    const ports = chooseHostPorts(kernel, files, wanted);
    const programmed = { ...endpoint, ports };
    protect(kernel, files, { network, endpoint: programmed, inside: insideOf(overlays, network) });
    store.putEndpoint(programmed);
    return {};
  }

  revoke(body: Section): object {
    const { store, kernel, files } = this.#parts;
    const { network, endpoint } = readEndpointRequest(body);
    const overlay = store.network(network)?.overlay;
    const known = store.endpoint(endpoint);
    if (known?.ports.length === 0) return {};
    if (overlay !== undefined) closePorts(kernel, files, overlay, endpoint);
    if (known !== undefined) store.putEndpoint({ ...known, ports: [] });
    return {};
  }

  /** Removes an endpoint with all that it has. */
  forget(endpoint: EndpointRecord): void {
    const { store, kernel, files } = this.#parts;
    removePair(kernel, endpoint.id);
    const overlay = store.network(endpoint.network)?.overlay;
    // What has left has nothing there any more.
    if (overlay !== undefined && endpoint.joined) unprotect(kernel, files, overlay, endpoint.id);
    this.#drop(store.network(endpoint.network), endpoint);
    store.removeEndpoint(endpoint.id);
  }

  /** A network's IPAM driver gives an address once. Whoever else has it there went with an engine that was killed: of
   *  such endpoints Docker doesn't tell us. */
  #hold(network: NetworkRecord, { id, addresses }: EndpointRecord): void {
    if (!network.foreignIpam) return;
    const former = this.#parts.store
      .endpoints(network.id)
      .filter((endpoint) => endpoint.id !== id && endpoint.addresses.some((address) => addresses.includes(address)));
    for (const endpoint of former) this.forget(endpoint);
    for (const address of addresses) this.#parts.leases.hold(network.overlay, parsePrefix(address).ip, id);
  }

  /** What our own IPAM driver has given, Docker gives back to it; then it may have another holder already. */
  #drop(network: NetworkRecord | undefined, { id, addresses }: EndpointRecord): void {
    if (network?.foreignIpam !== true) return;
    for (const address of addresses) this.#parts.leases.drop(network.overlay, parsePrefix(address).ip, id);
  }

  #connect(endpoint: EndpointRecord, network: NetworkRecord, mtu: number): void {
    const { kernel } = this.#parts;
    const { bridge, isolated } = network;
    // Addresses and settings are looked after by the repair: every question here waits for the kernel's one lock.
    if (kernel.link(bridge)?.up !== true) ensureBridge(kernel, bridgeWish(network, mtu));
    ensurePair(kernel, { endpoint: endpoint.id, bridge, mac: endpoint.mac, mtu, isolated });
  }

  #network({ network }: EndpointRequest): NetworkRecord {
    const record = this.#parts.store.network(network);
    if (record !== undefined) return record;
    throw new NetError("not-found", {
      tried: `use network ${network.slice(0, 12)}`,
      said: "this driver has no record of it",
      remedy: "remove the network and create it again; the agent does so by itself for the networks that it made",
    });
  }

  #endpoint({ endpoint }: EndpointRequest): EndpointRecord {
    const record = this.#parts.store.endpoint(endpoint);
    if (record !== undefined) return record;
    throw new NetError("not-found", {
      tried: `use endpoint ${endpoint.slice(0, 12)}`,
      said: "this driver has no record of it",
      remedy: "start the container again",
    });
  }
}

/** What a network's bridge must be like. `overlayMtu` in bytes counts where the network has no MTU of its own. */
export function bridgeWish(network: NetworkRecord, overlayMtu: number): Parameters<typeof ensureBridge>[1] {
  return {
    name: network.bridge,
    overlay: network.overlay,
    mtu: network.mtu ?? overlayMtu,
    gateways: network.pools.map(({ pool, gateway }) => ({ ip: parseIp(gateway), length: parsePrefix(pool).length })),
  };
}

/** Addresses of all overlays; none when this node no longer knows the network's. */
function insideOf(overlays: readonly DockerOverlay[], network: NetworkRecord): readonly Prefix[] {
  return overlays.find(({ name }) => name === network.overlay)?.inside ?? [];
}

function gatewaysOf({ pools }: NetworkRecord, { addresses }: EndpointRecord): object {
  const of = (family: 4 | 6): Ip | undefined =>
    servedPools(pools, addresses)
      .map(({ gateway }) => parseIp(gateway))
      .find((ip) => ip.family === family);
  const v4 = of(4);
  const v6 = of(6);
  return {
    ...(v4 === undefined ? {} : { Gateway: formatIp(v4) }),
    ...(v6 === undefined ? {} : { GatewayIPv6: formatIp(v6) }),
  };
}

/** A next hop must be inside the container's own network, which it is on the bridge. */
const NEXT_HOP = 0;

/** The way to the overlay's containers on other nodes, without a way to anywhere else. */
function routesInside(network: NetworkRecord, { addresses }: EndpointRecord, { pools }: DockerOverlay): object[] {
  const served = new Set(servedPools(network.pools, addresses).map(({ pool }) => pool));
  return pools
    .filter(({ pool }) => served.has(formatPrefix(pool)))
    .map(({ range, gateway }) => ({
      Destination: formatPrefix(range),
      RouteType: NEXT_HOP,
      NextHop: formatIp(gateway),
    }));
}

/** The pools that the endpoint has an address of. */
function servedPools(pools: NetworkRecord["pools"], addresses: readonly string[]): NetworkRecord["pools"] {
  return pools.filter(({ pool }) => addresses.some((address) => contains(parsePrefix(pool), parsePrefix(address).ip)));
}
