import { expect } from "chai";
import { encodeFact } from "../../../facts/codec.ts";
import { factName } from "../../../facts/fact.ts";
import { changesFromGossip } from "../../../facts/gossiped.ts";
import { FactView } from "../../../facts/view.ts";
import { nodeFact, sampleTask, taskFact } from "../../support/facts.ts";

const FACT = taskFact("node-a", sampleTask(), 9);
const NAME = factName(FACT);

/** The view after gossip said these bytes (or their removal), and why it refused any. */
function viewAfter(owner: string, ...values: readonly (readonly [string, Uint8Array | undefined])[]) {
  const view = new FactView();
  const refused: string[] = [];
  for (const [key, value] of values)
    view.apply(changesFromGossip(owner, [{ key, value }], (error) => refused.push(error.message)));
  return { size: view.snapshot().tasks.size, view, refused };
}

describe("changesFromGossip", () => {
  it("follows an owner that counts from 1 again", () => {
    const again = { ...FACT, version: 1, observedAt: 5 };
    const { view } = viewAfter("node-a", [NAME, encodeFact(FACT)], [NAME, encodeFact(again)]);
    expect([...view.snapshot().tasks.values()]).to.deep.equal([again]);
  });

  it("follows removals, also of what isn't there", () => {
    const { size, refused } = viewAfter("node-a", [NAME, undefined], [NAME, encodeFact(FACT)], [NAME, undefined]);
    expect([size, refused.length]).to.deep.equal([0, 0]);
  });

  it("refuses what is said in another owner's name, or under another key", () => {
    const forged = viewAfter("node-b", [NAME, encodeFact(FACT)]);
    expect(forged.size).to.equal(0);
    expect(forged.refused[0]).to.match(/it speaks for node-a/);
    const misplaced = viewAfter("node-a", ["node/node-a", encodeFact(FACT)]);
    expect(misplaced.size).to.equal(0);
    expect(misplaced.refused[0]).to.match(/it is the fact task\//);
  });

  it("shows nothing any more of a fact that can't be read now, and goes on", () => {
    const broken = encodeFact(FACT).subarray(1);
    const { size, refused } = viewAfter("node-a", [NAME, encodeFact(FACT)], [NAME, broken]);
    expect(size).to.equal(0);
    expect(refused).to.have.length(1);
    const node = nodeFact("node-a");
    const { view } = viewAfter("node-a", [NAME, broken], [factName(node), encodeFact(node)]);
    expect(view.snapshot().nodes.get("node-a")?.fact).to.deep.equal(node);
  });
});
