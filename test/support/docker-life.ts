const GENERIC = "com.docker.network.generic";

export const NETWORK = "1".repeat(64);
export const ENDPOINT = "e".repeat(64);
/** A network and the endpoint on it, as nearly every call names them. */
export const BOTH = { NetworkID: NETWORK, EndpointID: ENDPOINT };
export const PORTS = [{ Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 }];
export const PROGRAM = { ...BOTH, Options: { "com.docker.network.portmap": PORTS } };
export const JOIN = { ...BOTH, SandboxKey: "/var/run/docker/netns/0123456789ab", Options: {} };

/** What Docker says, and what it must hear. */
export type LifeCall = readonly [method: string, body: object | undefined, reply: object];

/** A node's half of overlay `dcos` without the last part of the addresses: `9.0.1` and `fd01:b::1:8000:0`. */
export interface LifePlace {
  readonly v4: string;
  readonly v6: string;
}

/** The pools of a place in the words of CreateNetwork. */
export function poolData({ v4, v6 }: LifePlace) {
  return [
    { AddressSpace: "dcos-local", Pool: `${v4}.128/25`, Gateway: `${v4}.129/25`, AuxAddresses: {} },
    { AddressSpace: "dcos-local", Pool: `${v6}:0/81`, Gateway: `${v6}:1/81` },
  ] as const;
}

/** The call that creates the network of {@link lifeOf}. */
export function createNetworkCall(place: LifePlace) {
  const [IPv4Data, IPv6Data] = poolData(place);
  return {
    NetworkID: NETWORK,
    Options: { "com.docker.network.enable_ipv6": true, [GENERIC]: {} },
    IPv4Data: [IPv4Data],
    IPv6Data: [IPv6Data],
  };
}

/** The call that creates the endpoint of {@link lifeOf}. */
export function createEndpointCall({ v4, v6 }: LifePlace) {
  return {
    ...BOTH,
    Interface: { Address: `${v4}.130/25`, AddressIPv6: `${v6}:2/81`, MacAddress: "" },
    Options: { "com.docker.network.endpoint.exposedports": [{ Proto: 6, Port: 80 }] },
  };
}

/** What Docker says and hears while a network is made, a container lives on it, and both go. All releases make these
 *  calls in this order; since 28 the container's namespace is there at Join, before it is made only afterwards. */
export function lifeOf(place: LifePlace): readonly LifeCall[] {
  const { v4, v6 } = place;
  const [pool4, pool6] = [`dcos,${v4}.128/25`, `dcos,${v6}:0/81`];
  const gateway = { RequestAddressType: "com.docker.network.gateway" };
  const bytes = [...v4.split(".").map(Number), 130];
  const mac = `02:42:${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
  return [
    ["Plugin.Activate", undefined, { Implements: ["NetworkDriver", "IpamDriver"] }],
    [
      "NetworkDriver.GetCapabilities",
      undefined,
      { Scope: "local", ConnectivityScope: "global", GwAllocChecker: false },
    ],
    ["IpamDriver.GetCapabilities", undefined, { RequiresMACAddress: false, RequiresRequestReplay: false }],
    [
      "IpamDriver.GetDefaultAddressSpaces",
      undefined,
      { LocalDefaultAddressSpace: "dcos-local", GlobalDefaultAddressSpace: "dcos-global" },
    ],
    [
      "IpamDriver.RequestPool",
      { AddressSpace: "dcos-local", Pool: `${v4}.128/25`, SubPool: "", Options: null, V6: false },
      { PoolID: pool4, Pool: `${v4}.128/25`, Data: {} },
    ],
    [
      "IpamDriver.RequestAddress",
      { PoolID: pool4, Address: "", Options: gateway },
      { Address: `${v4}.129/25`, Data: {} },
    ],
    [
      "IpamDriver.RequestPool",
      { AddressSpace: "dcos-local", Pool: "", SubPool: "", Options: { overlay: "dcos" }, V6: true },
      { PoolID: pool6, Pool: `${v6}:0/81`, Data: {} },
    ],
    [
      "IpamDriver.RequestAddress",
      { PoolID: pool6, Address: "", Options: gateway },
      { Address: `${v6}:1/81`, Data: {} },
    ],
    ["NetworkDriver.CreateNetwork", createNetworkCall(place), {}],
    ["NetworkDriver.DiscoverNew", { DiscoveryType: 1, DiscoveryData: { Address: "10.0.0.1", Self: true } }, {}],
    ["IpamDriver.RequestAddress", { PoolID: pool4, Address: "", Options: null }, { Address: `${v4}.130/25`, Data: {} }],
    [
      "IpamDriver.RequestAddress",
      { PoolID: pool6, Address: "", Options: { "com.docker.network.endpoint.name": "web" } },
      { Address: `${v6}:2/81`, Data: {} },
    ],
    ["NetworkDriver.CreateEndpoint", createEndpointCall(place), { Interface: { MacAddress: mac } }],
    [
      "NetworkDriver.Join",
      JOIN,
      {
        InterfaceName: { SrcName: "vconeeeeeeeeeee", DstPrefix: "eth" },
        Gateway: `${v4}.129`,
        GatewayIPv6: `${v6}:1`,
        DisableGatewayService: true,
      },
    ],
    ["NetworkDriver.ProgramExternalConnectivity", PROGRAM, {}],
    [
      "NetworkDriver.EndpointOperInfo",
      BOTH,
      {
        Value: {
          "dcos.overlay": "dcos",
          "dcos.addresses": [`${v4}.130/25`, `${v6}:2/81`],
          "dcos.host_ports": ["8080->80/tcp"],
        },
      },
    ],
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
