import { expect } from "chai";
import { claimedEpoch, clusterFromFacts, isWhole, underlayAddresses } from "../../../../bin/cluster/facts-cluster.ts";
import type { Fact } from "../../../../facts/fact.ts";
import { FactView } from "../../../../facts/view.ts";
import { formatIp, formatPrefix, parseIp } from "../../../../lib/address.ts";
import { assignmentOf } from "../../../../overlay/leader/assignment.ts";
import { assignmentBody } from "../../../../overlay/leader/fact-body.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import { nodeFact } from "../../../support/facts.ts";
import { network, node } from "../../overlay/leader/fixture.ts";

const TUNNEL = { vni: 1024, port: 64_000 };

/** What three nodes and their leader say. */
function facts(epoch: number): Fact[] {
  const draft = draftOf(registryOf(network({}), []));
  const ids = ["n1", "n2", "n3"];
  for (const [index, id] of ids.entries()) register(draft, node(id, `10.0.0.${index + 1}`), () => undefined);
  return ids.flatMap((id, index): Fact[] => {
    const said = nodeFact(id);
    const body = assignmentBody(
      assignmentOf(id, draft.records.get(id), [], draft.network, epoch),
      draft.network,
      TUNNEL,
    );
    const addresses = [`10.0.0.${index + 1}`, `fd00::${index + 1}`];
    if (body === undefined) throw new Error("every node here has an assignment");
    return [
      { ...said, body: { ...said.body, addresses } },
      { kind: "assignment", owner: "n1", key: id, version: epoch, observedAt: 1, body },
    ];
  });
}

describe("the cluster from facts", () => {
  const viewOf = (all: readonly Fact[]) => {
    const view = new FactView();
    view.apply(all.map((fact) => ({ type: "put", fact })));
    return view;
  };

  it("has every node with the addresses that it says itself and the subnets that the leader gave", () => {
    const cluster = clusterFromFacts(viewOf(facts(1)).snapshot(), "n2", 1400);
    expect(cluster).to.include({ vni: 1024, port: 64_000, overlayMtu: 1400 });
    expect(cluster?.overlays.map(({ name }) => name)).to.deep.equal(["dcos", "dcos6"]);
    const shown = cluster?.nodes.map(({ name, address, address6, subnets }) => {
      const subnet = subnets.get("dcos")?.v4;
      return [name, formatIp(address), address6 && formatIp(address6), subnet && formatPrefix(subnet)];
    });
    expect(shown).to.deep.equal([
      ["n1", "10.0.0.1", "fd00::1", "9.0.0.0/24"],
      ["n2", "10.0.0.2", "fd00::2", "9.0.1.0/24"],
      ["n3", "10.0.0.3", "fd00::3", "9.0.2.0/24"],
    ]);
  });

  it("keeps nodes that can't be reached, and loses those that are forgotten", () => {
    const view = viewOf(facts(1));
    const names = () => clusterFromFacts(view.snapshot(), "n2", undefined)?.nodes.map(({ name }) => name);
    view.apply([{ type: "owner", owner: "n3", liveness: "unreachable" }]);
    expect(names()).to.deep.equal(["n1", "n2", "n3"]);
    view.apply([{ type: "owner", owner: "n3", liveness: "forgotten" }]);
    expect(names()).to.deep.equal(["n1", "n2"]);
  });

  it("leaves a node where it was while that says nothing", () => {
    const view = viewOf(facts(1));
    const former = clusterFromFacts(view.snapshot(), "n2", undefined);
    view.apply([{ type: "held", owner: "n3", name: "node/n3", fact: undefined }]);
    expect(clusterFromFacts(view.snapshot(), "n2", undefined)?.nodes).to.have.length(2);
    expect(clusterFromFacts(view.snapshot(), "n2", undefined, former)).to.deep.equal(former);
  });

  it("isn't there for a node without an assignment, or one that was refused as a whole", () => {
    expect(clusterFromFacts(viewOf(facts(1)).snapshot(), "n4", undefined)).to.equal(undefined);
    const body = { node: "n4", epoch: 1, overlays: [], refusal: "address: taken" };
    const refused: Fact = { kind: "assignment", owner: "n1", key: "n4", version: 1, observedAt: 1, body };
    expect(clusterFromFacts(viewOf([...facts(1), refused]).snapshot(), "n4", undefined)).to.equal(undefined);
  });

  it("isn't upset by a node that was refused as a whole", () => {
    const body = { node: "n4", epoch: 1, overlays: [], refusal: "address: taken" };
    const refused: Fact = { kind: "assignment", owner: "n1", key: "n4", version: 1, observedAt: 1, body };
    const all = viewOf([...facts(1), refused]).snapshot();
    expect(clusterFromFacts(all, "n1", undefined)?.nodes).to.have.length(3);
  });

  it("is whole when the leader claims that all its assignments are there", () => {
    const view = viewOf(facts(4));
    expect(isWhole(view.snapshot())).to.equal(false);
    const { body, ...head } = nodeFact("n1");
    const claim = (epoch: number): Fact => ({
      ...head,
      version: 10 + epoch,
      body: { ...body, speaks: { agents: [], overlayEpoch: epoch } },
    });
    view.apply([{ type: "put", fact: claim(3) }]);
    expect(isWhole(view.snapshot())).to.equal(false);
    view.apply([{ type: "put", fact: claim(4) }]);
    expect(isWhole(view.snapshot())).to.equal(true);
    expect(claimedEpoch(view.snapshot())).to.equal(4);
  });

  it("needs an IPv4 address of a node, the first of each family", () => {
    expect(underlayAddresses([parseIp("fd00::1")])).to.equal(undefined);
    const addresses = ["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2"].map(parseIp);
    expect(underlayAddresses(addresses)).to.deep.equal({ address: parseIp("10.0.0.1"), address6: parseIp("fd00::1") });
  });
});
