import {
  asFlag,
  asInteger,
  asIp,
  asMac,
  asPrefix,
  asSection,
  asText,
  child,
  type Decode,
  listOf,
  optional,
  required,
  type Section,
  unexpected,
} from "../cni/config.ts";
import type { Ip, Prefix } from "../lib/address.ts";

/** One element of IPv4Data or IPv6Data. */
export interface PoolData {
  readonly pool: Prefix;
  readonly gateway: Ip | undefined;
  readonly aux: readonly Ip[];
  /** The IPAM driver's name for the whole of its pools. */
  readonly addressSpace: string | undefined;
}

export interface CreateNetworkRequest {
  readonly network: string;
  readonly options: Section;
  readonly pools: readonly PoolData[];
}

export interface EndpointRequest {
  readonly network: string;
  readonly endpoint: string;
}

export interface CreateEndpointRequest extends EndpointRequest {
  readonly addresses: readonly Prefix[];
  /** Undefined when the driver is to choose. */
  readonly mac: string | undefined;
}

/** A host port as `docker run -p` wishes it. */
export interface WantedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  readonly hostIp: Ip | undefined;
  /** The first that may be taken; 0 leaves the choice to us. */
  readonly hostPort: number;
  /** The last that may be taken. */
  readonly hostPortEnd: number;
}

export interface RequestPoolRequest {
  readonly overlay: string | undefined;
  readonly pool: Prefix | undefined;
  readonly subPool: Prefix | undefined;
  readonly v6: boolean;
}

export interface RequestAddressRequest {
  readonly poolId: string;
  readonly address: Ip | undefined;
  /** The address is for the network's gateway, not for a container. */
  readonly forGateway: boolean;
  /** Name of the container, which releases of Docker after 28 tell. */
  readonly name: string | undefined;
}

const PORT_MAP = "com.docker.network.portmap";
const ENDPOINT_NAME = "com.docker.network.endpoint.name";
const PROTOCOLS: Readonly<Record<number, WantedPort["protocol"]>> = { 6: "tcp", 17: "udp", 132: "sctp" };
/** Longest pool id that is looked at, characters. */
const POOL_ID_LIMIT = 300;

/** Docker's ids become names of files, so nothing else is let through. */
const asId: Decode<string> = (value, at) => {
  const id = asText(value, at);
  if (!/^[0-9a-f]{64}$/.test(id)) throw unexpected(value, at, "an id of 64 hexadecimal digits");
  return id;
};
const asPort = asInteger(0, 65535);
const asPoolId: Decode<string> = (value, at) => {
  const id = asText(value, at);
  if (id.length > POOL_ID_LIMIT) throw unexpected(value, at, `at most ${POOL_ID_LIMIT} characters`);
  return id;
};

/** The readers of request bodies, one for each shape of the remote driver protocol (Docker's
 *  daemon/libnetwork/drivers/remote/api and ipams/remote/api). Each throws `invalid` naming the field. */
export function readNetworkId(body: Section): string {
  return required(body, "NetworkID", asId);
}

export function readEndpointRequest(body: Section): EndpointRequest {
  return { network: readNetworkId(body), endpoint: required(body, "EndpointID", asId) };
}

export function readCreateNetwork(body: Section): CreateNetworkRequest {
  const pools = [...listOf(body, "IPv4Data", asPoolData(4)), ...listOf(body, "IPv6Data", asPoolData(6))];
  return { network: readNetworkId(body), options: child(body, "Options"), pools };
}

export function readCreateEndpoint(body: Section): CreateEndpointRequest {
  const link = child(body, "Interface");
  const addresses = [optional(link, "Address", asFamily(4)), optional(link, "AddressIPv6", asFamily(6))];
  return {
    ...readEndpointRequest(body),
    addresses: addresses.filter((address) => address !== undefined),
    mac: optional(link, "MacAddress", asMac),
  };
}

/** The host ports among the options of CreateEndpoint, Join or ProgramExternalConnectivity. */
export function readWantedPorts(body: Section): readonly WantedPort[] {
  return listOf(child(body, "Options"), PORT_MAP, asWantedPort);
}

export function readRequestPool(body: Section): RequestPoolRequest {
  const v6 = optional(body, "V6", asFlag) ?? false;
  const family = v6 ? 6 : 4;
  return {
    overlay: optional(child(body, "Options"), "overlay", asText),
    pool: optional(body, "Pool", asFamily(family)),
    subPool: optional(body, "SubPool", asFamily(family)),
    v6,
  };
}

export function readPoolId(body: Section): string {
  return required(body, "PoolID", asPoolId);
}

export function readRequestAddress(body: Section): RequestAddressRequest {
  const options = child(body, "Options");
  return {
    poolId: readPoolId(body),
    address: optional(body, "Address", asIp),
    forGateway: optional(options, "RequestAddressType", asText) === "com.docker.network.gateway",
    name: optional(options, ENDPOINT_NAME, asText),
  };
}

export function readReleaseAddress(body: Section): { readonly poolId: string; readonly address: Ip } {
  return { poolId: readPoolId(body), address: required(body, "Address", asIp) };
}

function asFamily(family: 4 | 6): Decode<Prefix> {
  return (value, at) => {
    const prefix = asPrefix(value, at);
    if (prefix.ip.family !== family) throw unexpected(value, at, `an IPv${family} address`);
    return prefix;
  };
}

function asPoolData(family: 4 | 6): Decode<PoolData> {
  return (value, at) => {
    const data = asSection(value, at);
    const aux = child(data, "AuxAddresses");
    return {
      pool: required(data, "Pool", asFamily(family)),
      gateway: optional(data, "Gateway", asFamily(family))?.ip,
      addressSpace: optional(data, "AddressSpace", asText),
      aux: Object.keys(aux.fields).map((name) => required(aux, name, asFamily(family)).ip),
    };
  };
}

const asWantedPort: Decode<WantedPort> = (value, at) => {
  const port = asSection(value, at);
  const number = required(port, "Proto", asInteger(0, 255));
  const protocol = PROTOCOLS[number];
  if (protocol === undefined) throw unexpected(number, `${at}.Proto`, "6 for TCP, 17 for UDP or 132 for SCTP");
  const containerPort = required(port, "Port", asInteger(1, 65535));
  const hostPort = optional(port, "HostPort", asPort) ?? 0;
  const hostPortEnd = Math.max(optional(port, "HostPortEnd", asPort) ?? hostPort, hostPort);
  return { protocol, containerPort, hostIp: optional(port, "HostIP", asIp), hostPort, hostPortEnd };
};
