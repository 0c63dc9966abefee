import { expect } from "chai";
import fc from "fast-check";
import { DefinedTasks } from "../../../../facts/sources/file-defined.ts";
import { keyOfTask, type Task, taskKey } from "../../../../facts/task.ts";
import { sampleTask } from "../../../support/facts.ts";

const task = (id: number, name = "one"): Task => sampleTask({ id: `task.${id}`, name });

/** What counts of these files: the first by name. */
function expected(files: ReadonlyMap<string, readonly Task[]>): Map<string, Task> {
  const merged = new Map<string, Task>();
  for (const file of [...files.keys()].sort().reverse()) {
    for (const each of files.get(file) ?? []) merged.set(keyOfTask(each), each);
  }
  return merged;
}

describe("the tasks of several files", () => {
  it("are those of the files together, the first by name counting, after whatever changes; only what differs is told", () => {
    const change = fc.record({
      file: fc.constantFrom("a.json", "b.json", "c.yaml"),
      tasks: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom("one", "two")), {
        selector: ([id]) => id,
        maxLength: 4,
      }),
      settles: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        const defined = new DefinedTasks();
        const files = new Map<string, readonly Task[]>();
        const told = new Map<string, Task>();
        const settle = (): void => {
          const { put, removed } = defined.settle();
          for (const each of put) {
            expect(told.get(keyOfTask(each))).to.not.deep.equal(each);
            told.set(keyOfTask(each), each);
          }
          for (const ref of removed) expect(told.delete(taskKey(ref))).to.equal(true);
          expect(Object.fromEntries(told)).to.deep.equal(Object.fromEntries(expected(files)));
        };
        for (const { file, tasks, settles } of changes) {
          const made = tasks.map(([id, name]) => task(id, name));
          files.set(file, made);
          defined.set(file, made);
          if (settles) settle();
        }
        settle();
        expect(defined.settle()).to.deep.equal({ put: [], removed: [] });
      }),
    );
  });

  it("are named when two files define one, by the file that doesn't count", () => {
    const defined = new DefinedTasks();
    defined.set("b.json", [task(1), task(2)]);
    expect(defined.twice().size).to.equal(0);
    defined.set("a.json", [task(2)]);
    expect([...defined.twice()]).to.deep.equal([["b.json", { id: "task.2", other: "a.json" }]]);
    defined.set("a.json", []);
    expect(defined.twice().size).to.equal(0);
  });
});
