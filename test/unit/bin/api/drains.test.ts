import { expect } from "chai";
import { changeDrain, drainEntries } from "../../../../bin/api/drains.ts";
import { NetError } from "../../../../lib/error.ts";
import { sampleState } from "../../../support/api-state.ts";
import { drainFact, nodeFact, sampleTask, taskFact } from "../../../support/facts.ts";

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof NetError)) throw new Error("it was not refused");
  return `${error.code}: ${error.message}`;
}

describe("drains over HTTP", () => {
  it("begin and are called off", async () => {
    const { state, learn } = sampleState();
    learn(taskFact("m1", sampleTask()));
    const since = "2027-01-15T08:00:00.000Z";
    const one = { target: "task", id: "F-0000/app.1", since, owner: "m1" };
    expect(await changeDrain(state, { target: "task", id: "F-0000/app.1", drain: true })).to.deep.equal(one);
    expect(await changeDrain(state, { target: "node", id: "m1", drain: true })).to.include({
      target: "node",
      id: "m1",
    });
    expect(drainEntries(state).map(({ id }) => id)).to.deep.equal(["m1", "F-0000/app.1"]);
    await changeDrain(state, { target: "node", id: "m1", drain: false });
    expect(drainEntries(state)).to.deep.equal([one]);
  });

  it("are refused for what there isn't, and for what another node has to call off", async () => {
    const { state, learn } = sampleState();
    learn(nodeFact("n2"), drainFact("n2", "node", "m1"));
    expect(await refusal(changeDrain(state, { target: "node", id: "n9", drain: true }))).to.match(
      /^not-found: .*no such node/,
    );
    expect(await refusal(changeDrain(state, { target: "node", id: "n2", drain: false }))).to.match(
      /^not-found: .*not drained/,
    );
    expect(await refusal(changeDrain(state, { target: "node", id: "m1", drain: false }))).to.match(
      /^conflict: .*there: n2.example/,
    );
    expect(await refusal(changeDrain(state, { target: "rack", id: "1", drain: true }))).to.match(/^invalid: /);
    expect(await refusal(changeDrain(state, []))).to.match(/^invalid: /);
  });
});
