import { expect } from "chai";
import type { Engine, EngineNetwork, IdleEndpoint, NetworkSpec } from "../../../cnm-driver/engine.ts";
import { Reconciler } from "../../../cnm-driver/reconcile.ts";
import { NetError } from "../../../lib/error.ts";
import { ENDPOINT, NETWORK } from "../../support/docker-life.ts";
import { DockerPlugin, OVERLAYS } from "../../support/docker-plugin.ts";

const [DCOS] = OVERLAYS;
if (DCOS === undefined) throw new Error("the first overlay of the tests is missing");
const MINUTES = 60_000;

/** An engine that has these networks, remembers what it is told, and may be away. */
class ScriptedEngine implements Engine {
  present: readonly EngineNetwork[] = [];
  isAway = false;
  readonly created: NetworkSpec[] = [];
  async networks() {
    if (this.isAway) throw new NetError("unavailable", { tried: "list Docker networks", said: "ENOENT" });
    return this.present;
  }
  async apiVersion() {
    return "1.41";
  }
  async create(spec: NetworkSpec) {
    this.created.push(spec);
  }
  async remove() {}
  /** Names of containers that exist. */
  containers: readonly string[] = [];
  readonly released: string[] = [];
  async removeEndpoint(_network: string, { name }: IdleEndpoint) {
    if (this.containers.includes(name)) return false;
    this.released.push(name);
    return true;
  }
}

const KNOWN: EngineNetwork = {
  id: NETWORK,
  name: "dcos",
  driver: "dcos",
  ipamDriver: "default",
  internal: false,
  labels: {},
  options: { overlay: "dcos" },
  pools: DCOS.pools.map(({ pool, gateway }) => ({
    subnet: pool.ip.family === 4 ? "9.0.1.128/25" : "fd01:b::1:8000:0:0/81",
    gateway: pool.ip.family === 4 ? "9.0.1.129" : `fd01:b::1:8000:0:${gateway.value & 0xffn}`,
    aux: {},
  })),
  endpoints: [],
  idle: [],
};

describe("the reconciliation with the Docker engine", () => {
  let plugin: DockerPlugin;
  let engine: ScriptedEngine;
  let told: string[];
  let reconciler: Reconciler;

  beforeEach(async () => {
    plugin = await DockerPlugin.open();
    engine = new ScriptedEngine();
    told = [];
    const note = (event: string) => void told.push(event);
    reconciler = new Reconciler(engine, plugin.driver, { debug: note, info: note, warn: note, error: note });
  });
  afterEach(() => plugin.close());

  const pass = (laterMs = 0) => reconciler.pass([DCOS], Date.now() + laterMs);
  const leases = () => plugin.state().match(/9\.0\.1\.\d+: docker-\w+/g) ?? [];
  async function start(): Promise<void> {
    engine.present = [KNOWN];
    await pass();
    const ids = { NetworkID: NETWORK, EndpointID: ENDPOINT };
    await plugin.call("NetworkDriver.CreateEndpoint", { ...ids, Interface: { Address: "9.0.1.140/25" } });
    await plugin.call("NetworkDriver.Join", { ...ids, SandboxKey: "/x" });
  }

  it("waits for an engine that is away, and says so once", async () => {
    engine.isAway = true;
    await pass();
    await pass();
    expect(told).to.deep.equal(["waiting for the Docker engine"]);
    engine.isAway = false;
    await pass();
    expect(engine.created.map(({ name }) => name)).to.deep.equal(["dcos"]);
  });

  it("takes up a network that Docker has and we have no record of", async () => {
    engine.present = [KNOWN];
    await pass();
    expect(plugin.driver.store.network(NETWORK)).to.include({ overlay: "dcos", bridge: "d-dcos", foreignIpam: true });
    expect(plugin.kernel.link("d-dcos")).to.include({ up: true });
  });

  it("writes down the leases that Docker's own IPAM driver gives, and refuses one that another network has", async () => {
    await start();
    expect(leases()).to.deep.equal([`9.0.1.140: docker-${ENDPOINT}`]);
    const address = { PoolID: "dcos,9.0.1.128/25", Address: "9.0.1.140" };
    expect((await plugin.call("IpamDriver.RequestAddress", address)).body["Err"]).to.include("not available");
    await plugin.call("NetworkDriver.DeleteEndpoint", { NetworkID: NETWORK, EndpointID: ENDPOINT });
    expect(leases()).to.deep.equal([]);
  });

  it("replaces an endpoint whose address Docker gives again, for it went with a killed engine", async () => {
    await start();
    const next = { NetworkID: NETWORK, EndpointID: "f".repeat(64), Interface: { Address: "9.0.1.140/25" } };
    expect((await plugin.call("NetworkDriver.CreateEndpoint", next)).status).to.equal(200);
    expect(plugin.driver.store.endpoints().map(({ id }) => id)).to.deep.equal(["f".repeat(64)]);
    expect(leases()).to.deep.equal([`9.0.1.140: docker-${"f".repeat(64)}`]);
    expect(plugin.kernel.link("vetheeeeeeeeeee")).to.equal(undefined);
  });

  it("removes an endpoint that has no container at two passes, unless there is a container of its name", async () => {
    const gone = { id: ENDPOINT, name: "gone" };
    const stopped = { id: "d".repeat(64), name: "stopped" };
    engine.containers = ["stopped"];
    await start();
    for (const idle of [[gone], [stopped], [gone], []]) {
      engine.present = [{ ...KNOWN, idle }];
      await pass();
    }
    expect(engine.released, "one that comes or goes").to.deep.equal([]);
    engine.present = [{ ...KNOWN, idle: [gone, stopped] }];
    await pass();
    told.length = 0;
    await pass();
    expect(engine.released).to.deep.equal(["gone"]);
    expect(told).to.deep.equal(["Docker endpoint without container removed", "Docker networks"]);
  });

  it("forgets endpoints and networks that Docker doesn't know, but not at once", async () => {
    await start();
    await pass();
    expect(plugin.driver.store.endpoints()).to.have.length(1);
    engine.present = [{ ...KNOWN, endpoints: [ENDPOINT] }];
    await pass(5 * MINUTES);
    expect(plugin.driver.store.endpoints(), "one that Docker knows").to.have.length(1);
    engine.present = [KNOWN];
    await pass(5 * MINUTES);
    expect(plugin.driver.store.endpoints()).to.deep.equal([]);
    expect(leases()).to.deep.equal([]);
    engine.present = [];
    await pass(5 * MINUTES);
    expect(plugin.driver.store.networks()).to.deep.equal([]);
    expect(plugin.kernel.links().map(({ name }) => name)).to.deep.equal(["lo"]);
  });
});
