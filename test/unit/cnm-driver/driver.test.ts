import { expect } from "chai";
import {
  BOTH,
  createEndpointCall,
  createNetworkCall,
  ENDPOINT,
  JOIN,
  lifeOf,
  NETWORK,
  PORTS,
  PROGRAM,
  poolData,
  RECORDED,
} from "../../support/docker-life.ts";
import { DockerPlugin, OVERLAYS } from "../../support/docker-plugin.ts";

const GENERIC = "com.docker.network.generic";
/** The node of {@link OVERLAYS}. */
const PLACE = { v4: "9.0.1", v6: "fd01:b::1:8000:0" };
const LIFE = lifeOf(PLACE, 28);
const CREATE_NETWORK = createNetworkCall(PLACE, 28);
const CREATE_ENDPOINT = createEndpointCall(PLACE);
const [V4] = poolData(PLACE);
const POOL4 = "dcos,9.0.1.128/25";
const BEFORE_JOIN = LIFE.findIndex(([method]) => method === "NetworkDriver.Join");
const BEFORE_LEAVE = LIFE.findIndex(([method]) => method === "NetworkDriver.Leave");

describe("the Docker drivers on their socket", () => {
  let plugin: DockerPlugin;

  beforeEach(async () => {
    plugin = await DockerPlugin.open();
  });
  afterEach(() => plugin.close());

  async function live(upTo: number = LIFE.length): Promise<void> {
    for (const [method, body] of LIFE.slice(0, upTo)) expect((await plugin.call(method, body)).status).to.equal(200);
  }
  const tableNames = () =>
    ["dcos_host_ports", "dcos_masquerade"].filter((name) => plugin.kernel.nftables.chains("ip", name) !== undefined);
  const names = () => plugin.kernel.links().map(({ name }) => name);
  const expectNothing = () => {
    expect(names()).to.deep.equal(["lo"]);
    expect(tableNames()).to.deep.equal([]);
    expect(plugin.driver.store.networks()).to.deep.equal([]);
    expect(plugin.driver.store.endpoints()).to.deep.equal([]);
    expect(plugin.state()).not.to.include("docker-");
  };

  for (const release of RECORDED) {
    it(`answer the recorded life of a network and a container of Docker ${release} word for word, and leave nothing`, async () => {
      for (const [method, body, reply] of lifeOf(PLACE, release)) {
        expect({ method, ...(await plugin.call(method, body)) }).to.deep.equal({ method, status: 200, body: reply });
      }
      expectNothing();
    });
  }

  it("take what Docker tells of other nodes, and make nothing of it", async () => {
    const self = { DiscoveryType: 1, DiscoveryData: { Address: "10.0.0.1", Self: true } };
    for (const method of ["NetworkDriver.DiscoverNew", "NetworkDriver.DiscoverDelete"]) {
      expect(await plugin.call(method, self)).to.deep.equal({ status: 200, body: {} });
    }
    expectNothing();
  });

  it("answer the same when every call comes twice", async () => {
    for (const [method, body, reply] of LIFE) {
      const first = await plugin.call(method, body);
      expect(first.body).to.deep.equal(reply);
      // A second address would be another one, as it should.
      if (method === "IpamDriver.RequestAddress" && !JSON.stringify(body).includes("gateway")) continue;
      if (method === "IpamDriver.RequestPool" && !JSON.stringify(body).includes("9.0.1.128")) continue;
      expect({ method, ...(await plugin.call(method, body)) }).to.deep.equal({ method, status: 200, body: reply });
    }
    expectNothing();
  });

  it("take up a bridge that an agent was killed over before it had marked it, and no bridge of others", async () => {
    const bridge = (mac: string) => ({ do: "link.add", link: { kind: "bridge", name: "d-dcos", mac } }) as const;
    plugin.kernel.apply([bridge("0a:58:09:00:01:81")]);
    await live();
    expectNothing();
    plugin.kernel.apply([bridge("02:42:09:00:01:81")]);
    const { body } = await plugin.call("NetworkDriver.CreateNetwork", CREATE_NETWORK);
    expect(body["Err"]).to.include("a link (bridge) of this name that this driver didn't make");
    expect(names()).to.deep.equal(["lo", "d-dcos"]);
    expect(plugin.driver.store.networks()).to.deep.equal([]);
  });

  it("go on after a restart between any two calls", async () => {
    for (const [method, body, reply] of LIFE) {
      expect((await plugin.call(method, body)).body, method).to.deep.equal(reply);
      await plugin.restart();
    }
    expectNothing();
  });

  it("know a network for as long as its bridge stands, so that a removal that was broken off is finished later", async () => {
    const deletion = LIFE.findIndex(([method]) => method === "NetworkDriver.DeleteNetwork");
    await live(deletion);
    const { kernel } = plugin;
    const attempt = kernel.attempt.bind(kernel);
    kernel.attempt = (operations) => {
      if (operations.some((each) => each.do === "link.delete")) throw new Error("broken off");
      return attempt(operations);
    };
    const [method = "", body] = LIFE[deletion] ?? [];
    expect((await plugin.call(method, body)).body).to.have.property("Err");
    expect(plugin.driver.store.networks()).to.have.length(1);
    kernel.attempt = attempt;
    for (const [each, its] of LIFE.slice(deletion)) expect((await plugin.call(each, its)).status).to.equal(200);
    expectNothing();
  });

  it("make bridge, pair, masquerading and host port of a container", async () => {
    await live(BEFORE_LEAVE - 1);
    const { kernel } = plugin;
    const bridge = kernel.link("d-dcos");
    expect(bridge).to.include({ kind: "bridge", up: true, mtu: 1420, mac: "0a:58:09:00:01:81" });
    expect(kernel.link("vetheeeeeeeeeee")).to.include({ up: true, mtu: 1420, master: bridge?.index });
    expect(kernel.link("vetheeeeeeeeeee")?.bridgePort).to.include({ hairpin: true, isolated: false });
    expect(kernel.link("vconeeeeeeeeeee")).to.include({ mac: "02:42:09:00:01:82", mtu: 1420 });
    const [port] = kernel.nftables.elements("ip", "dcos_host_ports", "ports") ?? [];
    expect(port).to.deep.include({ key: ["tcp", "8080"], data: ["9.0.1.130", "80"] });
    expect(kernel.nftables.elements("ip", "dcos_masquerade", "containers")).to.have.length(1);
    expect(kernel.nftables.elements("ip6", "dcos_masquerade", "containers")).to.have.length(1);
  });

  it("make nothing but routes inside the overlay for an internal network", async () => {
    await plugin.call("NetworkDriver.CreateNetwork", {
      ...CREATE_NETWORK,
      Options: { ...CREATE_NETWORK.Options, "com.docker.network.internal": true },
    });
    await plugin.call("NetworkDriver.CreateEndpoint", CREATE_ENDPOINT);
    expect((await plugin.call("NetworkDriver.Join", JOIN)).body).to.deep.equal({
      InterfaceName: { SrcName: "vconeeeeeeeeeee", DstPrefix: "eth" },
      StaticRoutes: [
        { Destination: "9.0.0.0/8", RouteType: 0, NextHop: "9.0.1.129" },
        { Destination: "fd01:b::/64", RouteType: 0, NextHop: "fd01:b::1:8000:0:1" },
      ],
      DisableGatewayService: true,
    });
    expect(tableNames()).to.deep.equal([]);
  });

  it("replace the host ports when they are programmed again, and choose free ones from a range", async () => {
    await live(BEFORE_JOIN + 1);
    const program = (ports: object[]) =>
      plugin.call("NetworkDriver.ProgramExternalConnectivity", {
        ...BOTH,
        Options: { "com.docker.network.portmap": ports },
      });
    await program(PORTS);
    const range = { Proto: 17, Port: 53, HostIP: "0.0.0.0", HostPort: 9000, HostPortEnd: 9001 };
    expect((await program([range, { ...range, Port: 54 }])).status).to.equal(200);
    const ports = plugin.kernel.nftables.elements("ip", "dcos_host_ports", "ports") ?? [];
    expect(ports.map(({ key, data }) => [...key, ...data].join(" ")).sort()).to.deep.equal([
      "udp 9000 9.0.1.130 53",
      "udp 9001 9.0.1.130 54",
    ]);
    expect((await program([0, 1, 2].map((more) => ({ ...range, Port: 53 + more })))).body["Err"]).to.include(
      "from 9000 to 9001",
    );
  });

  it("refuse a host port that another container has, naming it", async () => {
    await live(BEFORE_LEAVE - 1);
    const other = { NetworkID: NETWORK, EndpointID: "f".repeat(64) };
    const Interface = { Address: "9.0.1.131/25", AddressIPv6: "", MacAddress: "02:42:09:00:01:99" };
    expect((await plugin.call("NetworkDriver.CreateEndpoint", { ...other, Interface })).body).to.deep.equal({});
    expect((await plugin.call("NetworkDriver.Join", { ...JOIN, ...other })).body).not.to.have.property("GatewayIPv6");
    const refused = await plugin.call("NetworkDriver.ProgramExternalConnectivity", { ...PROGRAM, ...other });
    expect(refused.status).to.equal(500);
    expect(refused.body["Err"]).to.include("host port 8080/tcp").and.to.include(ENDPOINT);
    expect((await plugin.call("NetworkDriver.DeleteEndpoint", other)).status).to.equal(200);
    expect(plugin.kernel.nftables.elements("ip", "dcos_host_ports", "ports")).to.have.length(1);
  });

  it("take an address that Docker gives back from an endpoint of which it never told", async () => {
    await live(BEFORE_LEAVE - 1);
    await plugin.call("IpamDriver.ReleaseAddress", { PoolID: POOL4, Address: "9.0.1.130" });
    expect(plugin.driver.store.endpoints()).to.deep.equal([]);
    expect(names()).to.deep.equal(["lo", "d-dcos"]);
    expect(tableNames()).to.deep.equal([]);
  });

  it("remove the endpoints that are left of a network with it", async () => {
    await live(BEFORE_LEAVE - 1);
    expect((await plugin.call("NetworkDriver.DeleteNetwork", { NetworkID: NETWORK })).status).to.equal(200);
    expect(names()).to.deep.equal(["lo"]);
    expect(tableNames()).to.deep.equal([]);
  });

  it("are content with what they are to remove and don't know", async () => {
    const known = ["Leave", "DeleteEndpoint", "RevokeExternalConnectivity", "EndpointOperInfo", "DeleteNetwork"];
    for (const method of known) expect((await plugin.call(`NetworkDriver.${method}`, BOTH)).status).to.equal(200);
    const address = { PoolID: POOL4, Address: "9.0.1.200" };
    expect((await plugin.call("IpamDriver.ReleaseAddress", address)).status).to.equal(200);
    for (const method of ["Join", "CreateEndpoint", "ProgramExternalConnectivity"]) {
      const { status, body } = await plugin.call(`NetworkDriver.${method}`, CREATE_ENDPOINT);
      expect(status, method).to.equal(500);
      expect(body["Err"]).to.include("no record of it").and.to.equal(body["Error"]);
    }
  });

  it("refuse a call whose body was lost, but for a question whose answer Docker makes nothing of", async () => {
    await live(BEFORE_LEAVE);
    const before = plugin.state();
    for (const [method, body] of LIFE) {
      const asked = await plugin.call(method, "");
      const expected = body === undefined || method === "NetworkDriver.EndpointOperInfo" ? 200 : 400;
      expect(asked.status, method).to.equal(expected);
    }
    expect(plugin.state()).to.equal(before);
  });

  it("tell what is wrong with a request and change nothing", async () => {
    await live(BEFORE_JOIN);
    const before = [plugin.state(), names().join()];
    const generic = (options: object) => ({ ...CREATE_NETWORK, Options: { [GENERIC]: options } });
    const wrong: readonly (readonly [method: string, body: object | string, said: string])[] = [
      ["NetworkDriver.Join", "", "it came without its body"],
      ["NetworkDriver.Join", "{", "cannot decode"],
      ["NetworkDriver.Join", "[]", "not an object"],
      ["NetworkDriver.Join", `${'{"a":'.repeat(99)}1${"}".repeat(99)}`, "nested deeper"],
      ["NetworkDriver.Join", { NetworkID: NETWORK }, "EndpointID: it is missing"],
      ["NetworkDriver.Join", { NetworkID: NETWORK, EndpointID: "../../etc/passwd" }, "64 hexadecimal digits"],
      ["NetworkDriver.Join", { NetworkID: 7, EndpointID: ENDPOINT }, "a string"],
      ["NetworkDriver.CreateNetwork", generic({ bridgename: "x" }), '"bridgename"'],
      ["NetworkDriver.CreateNetwork", generic({ isolated: "maybe" }), "no truth value"],
      ["NetworkDriver.CreateNetwork", generic({ "com.docker.network.driver.mtu": "1e9" }), "no MTU"],
      ["NetworkDriver.CreateNetwork", generic({ "com.docker.network.bridge.name": "a/b" }), "no name of a link"],
      ["NetworkDriver.CreateNetwork", { ...CREATE_NETWORK, IPv4Data: [{ ...V4, Pool: "10.0.0.0/8" }] }, "9.0.1.128/25"],
      ["NetworkDriver.CreateNetwork", { ...CREATE_NETWORK, IPv4Data: [V4, V4] }, "subnets"],
      ["NetworkDriver.CreateNetwork", { ...CREATE_NETWORK, IPv4Data: {} }, "a list"],
      [
        "NetworkDriver.CreateEndpoint",
        { ...CREATE_ENDPOINT, EndpointID: "a".repeat(64), Interface: { Address: "10.0.0.1/25" } },
        "outside of the network",
      ],
      [
        "NetworkDriver.ProgramExternalConnectivity",
        { ...BOTH, Options: { "com.docker.network.portmap": [{ Proto: 1, Port: 80 }] } },
        "6 for TCP",
      ],
      ["IpamDriver.RequestPool", { Pool: "10.0.0.0/8", V6: false }, "9.0.1.128/25"],
      ["IpamDriver.RequestPool", { Pool: "9.0.1.128/25", SubPool: "9.0.0.0/25", V6: false }, "not inside"],
      ["IpamDriver.RequestAddress", { PoolID: "dcos,x", Address: "" }, "pool id"],
      ["IpamDriver.RequestAddress", { PoolID: POOL4, Address: "9.0.9.9" }, "9.0.9.9"],
      ["IpamDriver.RequestAddress", { PoolID: POOL4, Address: "9.0.1.129" }, "gateway"],
      [
        "IpamDriver.RequestAddress",
        { PoolID: POOL4, Address: "9.0.1.200", Options: { RequestAddressType: "com.docker.network.gateway" } },
        "9.0.1.129",
      ],
    ];
    for (const [method, request, said] of wrong) {
      const { status, body } = await plugin.call(method, request);
      expect(status, `${method} ${said}`).to.equal(400);
      expect(body["Err"]).to.include(said).and.to.equal(body["Error"]);
    }
    expect([plugin.state(), names().join()]).to.deep.equal(before);
  });

  it("name the overlay's pool, its size and its holders when it is used up", async () => {
    const request = {
      PoolID: "small,10.64.1.4/30",
      Address: "",
      Options: { "com.docker.network.endpoint.name": "web" },
    };
    expect((await plugin.call("IpamDriver.RequestAddress", request)).body["Address"]).to.equal("10.64.1.6/30");
    const { status, body } = await plugin.call("IpamDriver.RequestAddress", request);
    expect(status).to.equal(500);
    expect(body["Error"])
      .to.include("no IP addresses available")
      .and.to.include("1 address; ")
      .and.to.include("docker-web-");
  });

  it("end Docker's search for another pool when the one there is doesn't suit it", async () => {
    const request = { AddressSpace: "dcos-local", Pool: "", SubPool: "", Options: { overlay: "small" }, V6: false };
    expect((await plugin.call("IpamDriver.RequestPool", request)).status).to.equal(200);
    expect((await plugin.call("IpamDriver.RequestPool", request)).body["Error"]).to.include("--subnet 10.64.1.4/30");
    await plugin.call("IpamDriver.ReleasePool", { PoolID: "small,10.64.1.4/30" });
    expect((await plugin.call("IpamDriver.RequestPool", request)).status).to.equal(200);
  });

  it("answer two calls at once for one endpoint alike", async () => {
    await live(BEFORE_JOIN - 1);
    const replies = await Promise.all([1, 2].map(() => plugin.call("NetworkDriver.CreateEndpoint", CREATE_ENDPOINT)));
    expect(replies[0]).to.deep.equal(replies[1]);
    expect(names()).to.have.members(["lo", "d-dcos", "vetheeeeeeeeeee", "vconeeeeeeeeeee"]);
  });
});

describe("the Docker drivers before anything else is ready", () => {
  it("answer the handshake at once, and what needs the overlays when they are known", async () => {
    const plugin = await DockerPlugin.open(undefined);
    try {
      expect((await plugin.call("Plugin.Activate")).status).to.equal(200);
      const waiting = plugin.call("IpamDriver.RequestPool", { Pool: "9.0.1.128/25", V6: false });
      expect((await plugin.call("NetworkDriver.DeleteNetwork", { NetworkID: NETWORK })).status).to.equal(200);
      plugin.driver.overlays.set(OVERLAYS);
      expect((await waiting).body["PoolID"]).to.equal(POOL4);
    } finally {
      await plugin.close();
    }
  });
});
