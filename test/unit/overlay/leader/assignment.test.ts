import { expect } from "chai";
import { assignmentOf, currentAssignments } from "../../../../overlay/leader/assignment.ts";
import { forget } from "../../../../overlay/leader/forget.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import type { AssignmentFact } from "../../../../overlay/leader/types.ts";
import { network, node } from "./fixture.ts";

/** The registry after these nodes registered, in this order. */
function registered(...ids: string[]): Draft {
  const draft = draftOf(registryOf(network(), []));
  for (const id of ids) register(draft, node(id, `10.0.0.${id.charCodeAt(0) - 96}`), () => undefined);
  return draft;
}

function published(draft: Draft, epoch: number): AssignmentFact[] {
  return [...draft.records].map(([id, record]) => assignmentOf(id, record, [], draft.network, epoch));
}

function shown(assignments: readonly AssignmentFact[]): string[] {
  return assignments.map(({ node: id, epoch, vtep }) => `${id} ${epoch} ${vtep?.mac.slice(-2)}`);
}

describe("what a reader believes of all assignments", () => {
  it("is the higher epoch's word on a node, in whatever order they came", () => {
    const old = published(registered("a", "b"), 1);
    const fresh = published(registered("b", "a"), 2);
    expect(shown(currentAssignments([...old, ...fresh]))).to.deep.equal(["a 2 02", "b 2 01"]);
    expect(shown(currentAssignments([...fresh, ...old]))).to.deep.equal(["a 2 02", "b 2 01"]);
  });

  it("keeps the old leader's word for nodes that the new one has not come to yet", () => {
    const draft = registered("a", "b", "c");
    const fresh = published(draft, 2).slice(0, 1);
    expect(shown(currentAssignments([...published(draft, 1), ...fresh]))).to.deep.equal(["a 2 01", "b 1 02", "c 1 03"]);
  });

  it("drops an old word that gives away what a later one gave to somebody else", () => {
    const draft = registered("a", "b");
    const old = published(draft, 1);
    forget(draft, "a");
    register(draft, node("c", "10.0.0.3"), () => undefined);
    expect(shown(currentAssignments([...old, ...published(draft, 2)]))).to.deep.equal(["b 2 02", "c 2 01"]);
  });

  it("has a refused node without pieces", () => {
    const refused = assignmentOf("x", undefined, [], network(), 3);
    expect(currentAssignments([refused])).to.deep.equal([refused]);
    expect(refused).to.include({ vtep: undefined, address: undefined });
  });
});
