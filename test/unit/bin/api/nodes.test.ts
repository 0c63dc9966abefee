import { expect } from "chai";
import { leaderOf, mayBeAlive, nodeEntries } from "../../../../bin/api/nodes.ts";
import { registryOf } from "../../../../overlay/leader/registry.ts";
import { member, NOW, sampleState } from "../../../support/api-state.ts";
import { assignmentFact, nodeFact } from "../../../support/facts.ts";
import { network } from "../../overlay/leader/fixture.ts";

describe("GET /v1/nodes", () => {
  it("shows a node with the keys of DC/OS, what it says, how it is and what it was given", () => {
    const { state, learn } = sampleState();
    learn(assignmentFact("m1", "m1", 4));
    expect(nodeEntries(state)).to.deep.equal([
      {
        private_ip: "10.0.0.1",
        public_ips: [],
        hostname: "m1.example",
        updated: "1970-01-01T00:00:01.000Z",
        id: "m1",
        role: "agent",
        status: "alive",
        since: new Date(NOW - 90_000).toISOString(),
        age: 90,
        addresses: ["10.0.0.1"],
        versions: { "dcos-net": "0.1.0" },
        vtep: ["44.128.0.1/20", "70:b3:d5:80:00:01"],
        subnets: { dcos: ["9.0.1.0/24"] },
        self: true,
      },
    ]);
  });

  it("shows a member that has said nothing yet, by the address of gossip", () => {
    const sample = sampleState();
    sample.members.push({ ...member("n2", "remembered"), address: "[fd00::2]:62501" });
    expect(nodeEntries(sample.state)[0]).to.deep.include({
      id: "n2",
      private_ip: "fd00::2",
      hostname: "",
      status: "remembered",
    });
  });

  it("shows who holds an assignment although gossip has forgotten it, and no other that is forgotten", () => {
    const sample = sampleState();
    sample.members.push(member("gone", "forgotten"));
    sample.learn(assignmentFact("m1", "holder", 4));
    const [holder] = nodeEntries(sample.state);
    expect(nodeEntries(sample.state).map(({ id }) => id)).to.deep.equal(["holder", "m1"]);
    expect(holder).to.include({ status: "unknown", private_ip: "" }).and.not.to.have.any.keys("since", "age");
  });

  it("shows why a node goes without an overlay, or without all", () => {
    const { state, learn } = sampleState();
    const { body, ...head } = assignmentFact("m1", "m1", 4);
    const { subnet: _, ...overlay } = body.overlays[0] ?? { name: "", isolated: false };
    learn({ ...head, body: { ...body, overlays: [{ ...overlay, refusal: "pool is empty" } as never] } });
    learn({ ...head, key: "n2", body: { node: "n2", epoch: 4, overlays: [], refusal: "no endpoint left" } });
    const [n2, m1] = nodeEntries(state);
    expect(m1).to.deep.include({ refused: { dcos: "pool is empty" }, subnets: {} });
    expect(n2).to.deep.include({ refusal: "no endpoint left" }).and.not.to.have.any.keys("vtep", "refused");
  });

  it("sorts by host name, then id", () => {
    const { state, learn } = sampleState();
    learn(nodeFact("b"), nodeFact("a"));
    expect(nodeEntries(state).map(({ id }) => id)).to.deep.equal(["a", "b", "m1"]);
  });
});

describe("the leader, as a node knows it", () => {
  it("is this node when it leads", () => {
    const sample = sampleState();
    sample.master = {
      network: network(),
      leading: { epoch: 3, registry: registryOf(network(), []) },
      problem: undefined,
    };
    sample.learn(nodeFact("m2", { overlayEpoch: 9 }));
    expect(leaderOf(sample.state)?.id).to.equal("m1");
    expect(nodeEntries(sample.state).find(({ id }) => id === "m1")).to.include({ leader: true });
  });

  it("is the one with the highest epoch, as long as it isn't gone", () => {
    const sample = sampleState();
    sample.learn(nodeFact("m2", { overlayEpoch: 2 }), nodeFact("m3", { overlayEpoch: 3 }));
    sample.members.push(member("m2"), member("m3"));
    expect(leaderOf(sample.state)).to.deep.equal({ id: "m3", name: "m3.example", address: "10.0.0.1" });
    sample.members[2] = member("m3", "unreachable");
    expect(leaderOf(sample.state)).to.equal(undefined);
  });

  it("is nobody when only this node's own old claim is there", () => {
    const sample = sampleState();
    sample.learn(nodeFact("m1", { overlayEpoch: 2 }, 2));
    expect(leaderOf(sample.state)).to.equal(undefined);
  });
});

describe("whether a node may be alive", () => {
  it("is denied only of those seen leaving or dying, and of strangers", () => {
    const sample = sampleState();
    const statuses = ["alive", "remembered", "unreachable", "left", "forgotten"] as const;
    sample.members = statuses.map((status) => member(status, status));
    const may = [...statuses, "stranger"].filter((id) => mayBeAlive(sample.state, id));
    expect(may).to.deep.equal(["alive", "remembered"]);
  });
});
