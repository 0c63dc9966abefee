import { expect } from "chai";
import { assignmentOf } from "../../../../overlay/leader/assignment.ts";
import { type ClusterFacts, clusterOf } from "../../../../overlay/leader/cluster-view.ts";
import { assignmentBody, assignmentOfBody, networkOfBody } from "../../../../overlay/leader/fact-body.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import { network, node } from "./fixture.ts";

const TUNNEL = { vni: 1024, port: 64_000 };

function registered(changes: object = {}): Draft {
  const draft = draftOf(registryOf(network(changes), []));
  for (const number of [1, 2, 3]) register(draft, node(`n${number}`, `10.0.0.${number}`), () => undefined);
  return draft;
}

function assignments({ records, refusals, network: present }: Draft) {
  return [...records].map(([id, record]) => assignmentOf(id, record, refusals.get(id) ?? [], present, 7));
}

describe("the body of an assignment's fact", () => {
  it("gives every reader the cluster that the leader means", () => {
    const overlays = [
      { name: "both", subnet: "9.0.0.0/8", prefix: 24, subnet6: "fd01:b::/64", prefix6: 80, isolated: true },
      { name: "off", subnet: "10.64.0.0/16", prefix: 24, enabled: false },
    ];
    const draft = registered({ overlays, vtep_mtu: 1400 });
    const meant = assignments(draft);
    const bodies = meant.flatMap((each) => {
      const body = assignmentBody(each, draft.network, TUNNEL);
      return body === undefined ? [] : [JSON.parse(JSON.stringify(body))];
    });
    const addressesOf: ClusterFacts["addressesOf"] = (id) => draft.records.get(id);
    const rest = { addressesOf, ...TUNNEL, overlayMtu: undefined };
    const networks = [{ epoch: 7, network: draft.network }];
    const read = clusterOf({
      networks: bodies.flatMap((body) => networkOfBody(body) ?? []),
      assignments: bodies.map(assignmentOfBody),
      ...rest,
    });
    expect(read).to.deep.equal(clusterOf({ networks, assignments: meant, ...rest }));
    expect(read?.nodes).to.have.length(3);
    for (const body of bodies) expect(networkOfBody(body)).to.deep.equal(networks[0]);
  });

  it("names the reason at each overlay that was refused", () => {
    const draft = registered({ overlays: [{ name: "x", subnet: "9.0.0.0/23", prefix: 24 }] });
    const bodies = assignments(draft).map((each) => assignmentBody(each, draft.network, TUNNEL));
    expect(bodies[0]?.overlays[0]).to.include({ subnet: "9.0.0.0/24", mesosBridge: true, dockerBridge: true });
    expect(bodies[2]?.overlays[0]).to.include({ mesosBridge: false }).and.not.to.have.property("subnet");
    expect(bodies[2]?.overlays[0]?.refusal).to.match(/all 2 of overlay x subnet .*; forget nodes/);
  });

  it("tells a node why it was refused as a whole", () => {
    const draft = draftOf(registryOf(network(), []));
    register(draft, node("lost", "9.1.2.3"), () => undefined);
    const refused = assignmentOf("lost", undefined, draft.refusals.get("lost") ?? [], draft.network, 3);
    const body = assignmentBody(refused, draft.network, TUNNEL);
    expect(body).to.deep.include({ node: "lost", epoch: 3, overlays: [] }).and.not.to.have.property("vtep");
    expect(body?.refusal).to.match(/^address: .*9\.1\.2\.3 lies inside overlay/);
    expect(body && networkOfBody(body)).to.equal(undefined);
    expect(body && assignmentOfBody(body).vtep).to.equal(undefined);
  });

  it("is not there for a node that got nothing or whose address is somebody else's", () => {
    const draft = registered();
    register(draft, node("new", "10.0.0.2"), () => undefined);
    const bodies = assignments(draft).map((each) => assignmentBody(each, draft.network, TUNNEL)?.node);
    expect(bodies).to.deep.equal(["n1", undefined, "n3", "new"]);
    expect(assignmentBody(assignmentOf("x", undefined, [], draft.network, 1), draft.network, TUNNEL)).to.equal(
      undefined,
    );
  });
});
