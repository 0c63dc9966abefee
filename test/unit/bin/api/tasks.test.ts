import { expect } from "chai";
import { taskPage } from "../../../../bin/api/tasks.ts";
import { sampleState } from "../../../support/api-state.ts";
import { nodeFact, sampleTask, taskFact } from "../../../support/facts.ts";

function sample() {
  const { state, learn } = sampleState();
  const kafka = { id: "F-0001", name: "kafka" };
  learn(
    nodeFact("n2"),
    taskFact("m1", sampleTask({ id: "b" })),
    taskFact("m1", sampleTask({ id: "a", discovery: { name: "web", visibility: "cluster", ports: [] } })),
    taskFact("n2", sampleTask({ id: "a", framework: kafka, agent: { id: "S2", addresses: ["10.0.0.2"] } })),
    taskFact("m1", sampleTask({ id: "c", agent: { id: "S9", addresses: [] }, observer: "master" })),
  );
  return (query: string) => taskPage(state, new URLSearchParams(query));
}

describe("GET /v1/tasks", () => {
  it("shows each task with the node whose word it is and the time", () => {
    const { tasks, total, next } = sample()("framework=kafka");
    expect({ total, next }).to.deep.equal({ total: 1, next: undefined });
    const task = sampleTask({
      id: "a",
      framework: { id: "F-0001", name: "kafka" },
      agent: { id: "S2", addresses: ["10.0.0.2"] },
    });
    expect(tasks).to.deep.equal([{ ...task, owner: "n2", observedAt: "1970-01-01T00:00:01.000Z" }]);
  });

  for (const [query, ids] of [
    ["", ["F-0000/a", "F-0000/b", "F-0000/c", "F-0001/a"]],
    ["framework=F-0001", ["F-0001/a"]],
    ["framework=marathon&name=web", ["F-0000/a"]],
    ["name=app", ["F-0000/a", "F-0000/b", "F-0000/c", "F-0001/a"]],
    ["node=n2", ["F-0001/a"]],
    ["node=n2.example", ["F-0001/a"]],
    ["node=S2", ["F-0001/a"]],
    ["node=10.0.0.2", ["F-0001/a"]],
    // The master that told of a task isn't the task's node.
    ["node=m1", ["F-0000/a", "F-0000/b"]],
    ["node=S9", ["F-0000/c"]],
    ["name=nothing", []],
  ] as const) {
    it(`filters by ${query === "" ? "nothing" : query}`, () => {
      const { tasks } = sample()(query);
      expect(tasks.map(({ framework, id }) => `${framework.id}/${id}`)).to.deep.equal(ids);
    });
  }

  it("comes in pages", () => {
    const ask = sample();
    const first = ask("limit=3");
    expect(first).to.include({ total: 4, next: "F-0000/c" });
    expect(ask(`limit=3&after=${first.next}`).tasks.map(({ id }) => id)).to.deep.equal(["a"]);
  });

  it("refuses a filter that it doesn't know", () => {
    expect(() => sample()("frame=x")).to.throw("known are framework, name, node, limit, after");
  });
});
