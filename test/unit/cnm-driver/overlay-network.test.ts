import { expect } from "chai";
import { type EngineNetwork, MANAGED } from "../../../cnm-driver/engine.ts";
import { planNetworks } from "../../../cnm-driver/overlay-network.ts";
import { OVERLAYS } from "../../support/docker-plugin.ts";

const [DCOS] = OVERLAYS;
if (DCOS === undefined) throw new Error("the first overlay of the tests is missing");
const SUBNETS = ["9.0.1.128/25", "fd01:b::1:8000:0:0/81"];

function network(changes: Partial<EngineNetwork> = {}, subnets: readonly string[] = SUBNETS): EngineNetwork {
  return {
    id: "1".repeat(64),
    name: "dcos",
    driver: "dcos",
    ipamDriver: "default",
    internal: false,
    labels: { [MANAGED]: "true" },
    options: {},
    pools: subnets.map((subnet) => ({ subnet, gateway: undefined, aux: {} })),
    endpoints: [],
    idle: [],
    ...changes,
  };
}

describe("the Docker networks of overlays", () => {
  const plan = (networks: readonly EngineNetwork[], overlays = [DCOS]) => planNetworks(overlays, networks, "1.41");

  it("are made where they are missing, named as the overlay, with this node's subnets", () => {
    expect(plan([])).to.deep.equal({
      remove: [],
      create: [
        {
          name: "dcos",
          overlay: "dcos",
          pools: [
            { subnet: "9.0.1.128/25", gateway: "9.0.1.129" },
            { subnet: "fd01:b::1:8000:0:0/81", gateway: "fd01:b::1:8000:0:1" },
          ],
          ipv4: true,
          ipv6: true,
        },
      ],
      conflicts: [],
    });
  });

  it("need nothing where they are there, whoever made them", () => {
    for (const labels of [{ [MANAGED]: "true" }, {}]) {
      expect(plan([network({ labels })])).to.deep.equal({ remove: [], create: [], conflicts: [] });
    }
  });

  it("are made anew when the node's subnets have changed and no container is on them", () => {
    const { remove, create } = plan([network({}, ["9.0.7.128/25"])]);
    expect([remove.length, create.length]).to.deep.equal([1, 1]);
    const busy = plan([network({ endpoints: ["e"] }, ["9.0.7.128/25"])]);
    expect([busy.remove.length, busy.create.length, busy.conflicts.length]).to.deep.equal([0, 0, 1]);
  });

  it("go with their overlay when they are empty, if the agent has made them", () => {
    expect(plan([network()], []).remove).to.have.length(1);
    expect(plan([network({ labels: {} })], []).remove).to.deep.equal([]);
    const busy = plan([network({ endpoints: ["e"] })], []);
    expect([busy.remove.length, busy.conflicts.length]).to.deep.equal([0, 1]);
  });

  it("leave a foreign network of the same name alone and say so", () => {
    const { remove, create, conflicts } = plan([network({ driver: "bridge", labels: {} })]);
    expect([remove.length, create.length]).to.deep.equal([0, 0]);
    expect(conflicts.join()).to.include("driver bridge");
  });

  it("without IPv4 need Docker 28", () => {
    const six = { ...DCOS, pools: DCOS.pools.filter(({ pool }) => pool.ip.family === 6) };
    expect(planNetworks([six], [], "1.41").conflicts.join()).to.include("28 or later");
    expect(planNetworks([six], [], "1.48").create[0]).to.include({ ipv4: false, ipv6: true });
  });
});
