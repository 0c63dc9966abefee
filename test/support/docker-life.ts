const GENERIC = "com.docker.network.generic";

export const NETWORK = "1".repeat(64);
export const ENDPOINT = "e".repeat(64);
/** Where Docker makes the container's namespace; its name changes with every container. */
export const SANDBOX = "/var/run/docker/netns/0123456789ab";
/** A network and the endpoint on it, as nearly every call names them. */
export const BOTH = { NetworkID: NETWORK, EndpointID: ENDPOINT };
export const PORTS = [{ Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 }];
const PORT_OPTIONS = {
  "com.docker.network.endpoint.exposedports": [{ Proto: 6, Port: 80 }],
  "com.docker.network.portmap": PORTS,
};
export const PROGRAM = { ...BOTH, Options: PORT_OPTIONS };
export const JOIN = { ...BOTH, SandboxKey: SANDBOX, Options: PORT_OPTIONS };

/** What Docker says, and what it must hear. */
export type LifeCall = readonly [method: string, body: object | undefined, reply: object];

/** A release whose calls were recorded: 20.10 or 28.5. The namespace of a container is there at Join since 28. */
export type Release = 20 | 28;
export const RECORDED: readonly Release[] = [20, 28];

/** A node's half of overlay `dcos` without the last part of the addresses: `9.0.1` and `fd01:b::1:8000:0`. */
export interface LifePlace {
  readonly v4: string;
  readonly v6: string;
}

/** The pools of a place in the words of CreateNetwork. */
export function poolData({ v4, v6 }: LifePlace) {
  return [
    { AddressSpace: "dcos-local", Pool: `${v4}.128/25`, Gateway: `${v4}.129/25` },
    { AddressSpace: "dcos-local", Pool: `${v6}:0/81`, Gateway: `${v6}:1/81` },
  ] as const;
}

/** The call that creates the network of {@link lifeOf}. */
export function createNetworkCall(place: LifePlace, release: Release) {
  const [IPv4Data, IPv6Data] = poolData(place);
  const ipv4 = release < 28 ? {} : { "com.docker.network.enable_ipv4": true };
  return {
    NetworkID: NETWORK,
    Options: { ...ipv4, "com.docker.network.enable_ipv6": true, [GENERIC]: {} },
    IPv4Data: [IPv4Data],
    IPv6Data: [IPv6Data],
  };
}

/** The call that creates the endpoint of {@link lifeOf}. */
export function createEndpointCall({ v4, v6 }: LifePlace) {
  return {
    ...BOTH,
    Interface: { Address: `${v4}.130/25`, AddressIPv6: `${v6}:2/81`, MacAddress: "" },
    Options: PORT_OPTIONS,
  };
}

/** What a release of Docker says and hears while a network is made, a container lives on it, and both go:
 *
 *  - `docker network create --driver dcos --ipam-driver dcos --ipam-opt overlay=dcos --subnet 9.0.1.128/25 --ipv6 life`
 *  - `docker run --detach --name web --network life --publish 8080:80 IMAGE`
 *  - `docker rm --force web` and `docker network rm life`
 *
 *  The suite of `docker-calls.test.ts` compares it with what the real one says. */
export function lifeOf(place: LifePlace, release: Release): readonly LifeCall[] {
  return [...activation(), ...creation(place, release), ...start(place, release), ...end(place)];
}

function activation(): LifeCall[] {
  const capabilities = { Scope: "local", ConnectivityScope: "global", GwAllocChecker: false };
  return [
    ["Plugin.Activate", undefined, { Implements: ["NetworkDriver", "IpamDriver"] }],
    ["NetworkDriver.GetCapabilities", undefined, capabilities],
    ["IpamDriver.GetCapabilities", undefined, { RequiresMACAddress: false, RequiresRequestReplay: false }],
  ];
}

function creation(place: LifePlace, release: Release): LifeCall[] {
  const { v4, v6 } = place;
  const { pool4, pool6 } = poolIds(place);
  const spaces: LifeCall = [
    "IpamDriver.GetDefaultAddressSpaces",
    undefined,
    { LocalDefaultAddressSpace: "dcos-local", GlobalDefaultAddressSpace: "dcos-global" },
  ];
  const again = release < 28 ? [] : [spaces];
  const pool = { AddressSpace: "dcos-local", SubPool: "", Options: { overlay: "dcos" } };
  const gateway = { Address: "", Options: { RequestAddressType: "com.docker.network.gateway" } };
  return [
    spaces,
    ...again,
    [
      "IpamDriver.RequestPool",
      { ...pool, Pool: `${v4}.128/25`, V6: false },
      { PoolID: pool4, Pool: `${v4}.128/25`, Data: {} },
    ],
    ["IpamDriver.RequestAddress", { PoolID: pool4, ...gateway }, { Address: `${v4}.129/25`, Data: {} }],
    ...again,
    ["IpamDriver.RequestPool", { ...pool, Pool: "", V6: true }, { PoolID: pool6, Pool: `${v6}:0/81`, Data: {} }],
    ["IpamDriver.RequestAddress", { PoolID: pool6, ...gateway }, { Address: `${v6}:1/81`, Data: {} }],
    ["NetworkDriver.CreateNetwork", createNetworkCall(place, release), {}],
  ];
}

function start(place: LifePlace, release: Release): LifeCall[] {
  const { v4, v6 } = place;
  const { pool4, pool6 } = poolIds(place);
  const bytes = [...v4.split(".").map(Number), 130];
  const mac = `02:42:${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
  const joined = {
    InterfaceName: { SrcName: "vconeeeeeeeeeee", DstPrefix: "eth" },
    Gateway: `${v4}.129`,
    GatewayIPv6: `${v6}:1`,
    DisableGatewayService: true,
  };
  const info = {
    "dcos.overlay": "dcos",
    "dcos.addresses": [`${v4}.130/25`, `${v6}:2/81`],
    "dcos.host_ports": ["8080->80/tcp"],
  };
  const infoCall: LifeCall = ["NetworkDriver.EndpointOperInfo", BOTH, { Value: info }];
  const proxy = release < 28 ? {} : { "com.docker.network.driver.private.no_proxy_6to4": false };
  return [
    ["IpamDriver.RequestAddress", { PoolID: pool4, Address: "", Options: null }, { Address: `${v4}.130/25`, Data: {} }],
    ["IpamDriver.RequestAddress", { PoolID: pool6, Address: "", Options: null }, { Address: `${v6}:2/81`, Data: {} }],
    ["NetworkDriver.CreateEndpoint", createEndpointCall(place), { Interface: { MacAddress: mac } }],
    ["NetworkDriver.Join", JOIN, joined],
    ["NetworkDriver.ProgramExternalConnectivity", { ...PROGRAM, Options: { ...proxy, ...PORT_OPTIONS } }, {}],
    infoCall,
    ...(release < 28 ? [infoCall] : []),
  ];
}

function end(place: LifePlace): LifeCall[] {
  const { v4, v6 } = place;
  const { pool4, pool6 } = poolIds(place);
  return [
    ["NetworkDriver.RevokeExternalConnectivity", BOTH, {}],
    ["NetworkDriver.Leave", BOTH, {}],
    ["NetworkDriver.DeleteEndpoint", BOTH, {}],
    ["IpamDriver.ReleaseAddress", { PoolID: pool4, Address: `${v4}.130` }, {}],
    ["IpamDriver.ReleaseAddress", { PoolID: pool6, Address: `${v6}:2` }, {}],
    ["IpamDriver.ReleaseAddress", { PoolID: pool4, Address: `${v4}.129` }, {}],
    ["IpamDriver.ReleasePool", { PoolID: pool4 }, {}],
    ["IpamDriver.ReleaseAddress", { PoolID: pool6, Address: `${v6}:1` }, {}],
    ["IpamDriver.ReleasePool", { PoolID: pool6 }, {}],
    ["NetworkDriver.DeleteNetwork", { NetworkID: NETWORK }, {}],
  ];
}

/** How our IPAM driver names a place's pools. */
function poolIds({ v4, v6 }: LifePlace) {
  return { pool4: `dcos,${v4}.128/25`, pool6: `dcos,${v6}:0/81` };
}
