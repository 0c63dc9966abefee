import { expect } from "chai";
import { factPage } from "../../../../bin/api/facts.ts";
import { sampleState } from "../../../support/api-state.ts";
import { assignmentFact, nodeFact, sampleTask, statusFact, taskFact } from "../../../support/facts.ts";

function sample() {
  const { state, learn } = sampleState();
  learn(
    assignmentFact("m1", "n2", 1),
    statusFact("m1", "dcos"),
    statusFact("n2", "dcos"),
    taskFact("n2", sampleTask()),
    nodeFact("n2"),
  );
  return (query: string) => factPage(state, new URLSearchParams(query));
}

describe("GET /v1/facts", () => {
  it("shows every fact that counts as nodes exchange it, also those of one name and two owners", () => {
    const { facts, total } = sample()("");
    expect(total).to.equal(6);
    expect(facts.map(({ kind, key, owner }) => `${kind}/${key} of ${owner}`)).to.deep.equal([
      "assignment/n2 of m1",
      "node/m1 of m1",
      "node/n2 of n2",
      "status/dcos of m1",
      "status/dcos of n2",
      "task/F-0000/app.1 of n2",
    ]);
    expect(facts[4]).to.deep.equal(statusFact("n2", "dcos"));
  });

  it("filters by kind and owner", () => {
    const owners = (query: string) => sample()(query).facts.map(({ owner }) => owner);
    expect(owners("kind=status")).to.deep.equal(["m1", "n2"]);
    expect(owners("kind=status&owner=n2")).to.deep.equal(["n2"]);
    expect(() => sample()("kind=nodes")).to.throw("must be one of node, assignment, status, task");
  });

  it("comes in pages, which are of one generation as long as nothing changes", () => {
    const ask = sample();
    const first = ask("limit=4");
    const second = ask(`limit=4&after=${first.next}`);
    expect(first.next).to.equal("status/m1/dcos");
    expect(second.facts).to.have.lengthOf(2);
    expect(second).to.include({ generation: first.generation }).and.not.to.have.property("next");
  });
});
