import { expect } from "chai";
import fc from "fast-check";
import { diffTasks, isEmptyDelta, taskMap } from "../../../../facts/sources/source.ts";
import { keyOfTask, type Task, taskKey } from "../../../../facts/task.ts";
import { sampleTask } from "../../../support/facts.ts";

const task: fc.Arbitrary<Task> = fc
  .record({ id: fc.constantFrom("a", "b", "c", "d"), framework: fc.constantFrom("F", "G"), healthy: fc.boolean() })
  .map(({ id, framework, healthy }) =>
    sampleTask({ id, framework: { id: framework, name: "x" }, health: healthy ? "healthy" : "unhealthy" }),
  );

describe("diffTasks", () => {
  it("leads from the one set to the other, with nothing that needn't be said", () => {
    fc.assert(
      fc.property(fc.array(task), fc.array(task), (before, after) => {
        const [old, now] = [taskMap(before), taskMap(after)];
        const { put, removed } = diffTasks(old, now);
        const result = new Map(old);
        for (const ref of removed) expect(result.delete(taskKey(ref))).to.equal(true);
        for (const changed of put) {
          expect(result.get(keyOfTask(changed))).to.not.deep.equal(changed);
          result.set(keyOfTask(changed), changed);
        }
        expect([...result].sort()).to.deep.equal([...now].sort());
      }),
    );
  });

  it("says nothing of equal tasks whose fields were set in another order", () => {
    const made = sampleTask();
    const again = Object.fromEntries(Object.entries(made).reverse()) as unknown as Task;
    expect(isEmptyDelta(diffTasks(taskMap([made]), taskMap([again])))).to.equal(true);
  });

  it("keeps two frameworks' tasks of one id apart, whatever stands in the ids", () => {
    const one = sampleTask({ id: "b/c", framework: { id: "a", name: "x" } });
    const other = sampleTask({ id: "c", framework: { id: "a/b", name: "x" } });
    expect(taskMap([one, other]).size).to.equal(2);
  });
});
