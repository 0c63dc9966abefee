import { expect } from "chai";
import fc from "fast-check";
import { decodeFact } from "../../../facts/codec.ts";
import { changesFromGossip, type GossipedValue } from "../../../facts/gossiped.ts";
import { publishingSink } from "../../../facts/publish-source.ts";
import { Publisher } from "../../../facts/publisher.ts";
import { type SourceSink, type TaskMap, taskMap } from "../../../facts/sources/source.ts";
import { keyOfTask, refOf, type Task } from "../../../facts/task.ts";
import { FactView } from "../../../facts/view.ts";
import type { NetError } from "../../../lib/error.ts";
import { nodeFact, sampleTask, statusFact } from "../../support/facts.ts";

/** A publisher whose writes reach a view, as through gossip. */
function loop() {
  const view = new FactView();
  const batches: (readonly GossipedValue[])[] = [];
  const problems: string[] = [];
  const onProblem = (error: NetError): void => void problems.push(error.message);
  const publisher = new Publisher({
    owner: "node-a",
    now: () => 1000 + batches.length,
    write: (values) => {
      batches.push(values);
      view.apply(changesFromGossip("node-a", values, onProblem, (bytes) => publisher.writes(bytes)));
    },
  });
  return { view, publisher, batches, problems, onProblem };
}

/** Tells a sink of a whole set, or of a change that removes the first task and puts the others; gives the set after
 *  it. */
function tell(sink: SourceSink, whole: boolean, tasks: readonly Task[], before: TaskMap): Map<string, Task> {
  const [first, ...rest] = tasks;
  if (whole || first === undefined) {
    sink.replace(tasks);
    return taskMap(tasks);
  }
  const put = rest.filter((task) => keyOfTask(task) !== keyOfTask(first));
  sink.change({ put, removed: [refOf(first)] });
  const kept = [...before.values()].filter((task) => keyOfTask(task) !== keyOfTask(first));
  return taskMap([...kept, ...put]);
}

describe("Publisher", () => {
  it("brings statements of every kind to the view", () => {
    const { view, publisher, batches } = loop();
    const [node, status] = [nodeFact("node-a"), statusFact("node-a", "dcos")];
    publisher.put({ kind: "node", key: "node-a", body: node.body });
    publisher.put({ kind: "status", key: "dcos", body: status.body });
    publisher.flush();
    expect(batches).to.have.length(1);
    expect(view.snapshot().nodes.get("node-a")?.fact.body).to.deep.equal(node.body);
    expect(view.snapshot().statuses.get("node-a/dcos")?.body).to.deep.equal(status.body);
  });

  it("writes nothing for what was said before", () => {
    const { publisher, batches } = loop();
    for (let times = 0; times < 3; times++) {
      publisher.put({ kind: "status", key: "dcos", body: { overlay: "dcos", state: "ok" } });
      publisher.flush();
    }
    publisher.take({ kind: "status", key: "other" });
    publisher.flush();
    expect(batches).to.have.length(1);
    const loose = sampleTask({ addresses: [{ address: "fd00:0::1" }] });
    for (let times = 0; times < 3; times++) {
      publisher.put({ kind: "task", key: keyOfTask(loose), body: loose });
      publisher.flush();
    }
    expect(batches).to.have.length(2);
  });

  it("shows what others read, and holds it once: what was stated, unless that isn't canonical", () => {
    const { view, publisher, batches } = loop();
    const canonical = sampleTask({ id: "canonical" });
    const loose = sampleTask({ id: "loose", addresses: [{ address: "fd00:0::1" }] });
    for (const body of [canonical, loose]) publisher.put({ kind: "task", key: keyOfTask(body), body });
    publisher.flush();
    const { tasks } = view.snapshot();
    expect(tasks.get(keyOfTask(canonical))?.body).to.equal(canonical);
    expect(tasks.get(keyOfTask(loose))?.body.addresses).to.deep.equal([{ address: "fd00::1" }]);
    for (const { value } of batches.flat()) {
      if (value === undefined) throw new Error("a fact was taken back");
      const fact = decodeFact(value);
      expect(tasks.get(fact.key)).to.deep.equal(fact);
      expect(publisher.writes(value)).to.equal(undefined);
    }
  });

  it("knows what is said now", () => {
    const { publisher } = loop();
    const { kind, key, body } = nodeFact("node-a");
    expect(publisher.says("node/node-a")).to.equal(false);
    publisher.put({ kind, key, body });
    expect(publisher.says("node/node-a")).to.equal(true);
    publisher.take({ kind, key });
    expect(publisher.says("node/node-a")).to.equal(false);
  });

  it("takes back what it can no longer say, and says why", () => {
    const { view, publisher, problems, onProblem } = loop();
    const sink = publishingSink(publisher, onProblem);
    sink.replace([sampleTask(), sampleTask({ id: "good" })]);
    sink.replace([sampleTask({ name: "a\nb" }), sampleTask({ id: "good" })]);
    expect(problems).to.have.length(1);
    expect(problems[0]).to.match(/body.name: contains a control character/);
    expect([...view.snapshot().tasks.values()].map(({ body }) => body.id)).to.deep.equal(["good"]);
  });

  it("shows what two sources tell together, whatever they tell", () => {
    const tasksOf = (framework: string) =>
      fc.array(
        fc
          .record({ id: fc.constantFrom("a", "b", "c"), health: fc.constantFrom("healthy", "unhealthy") })
          .map(({ id, health }) => sampleTask({ id, health, framework: { id: framework, name: "x" } })),
        { maxLength: 4 },
      );
    const step = fc.record({
      docker: fc.boolean(),
      whole: fc.boolean(),
      tasks: fc.tuple(tasksOf("docker"), tasksOf("file")),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
        const { view, publisher, onProblem } = loop();
        const sinks = [publishingSink(publisher, onProblem), publishingSink(publisher, onProblem)] as const;
        const expected: [Map<string, Task>, Map<string, Task>] = [new Map(), new Map()];
        for (const { docker, whole, tasks } of steps) {
          const which = docker ? 0 : 1;
          expected[which] = tell(sinks[which], whole, tasks[which], expected[which]);
          const all = new Map([...expected[0], ...expected[1]]);
          const shown = new Map([...view.snapshot().tasks].map(([key, { body }]) => [key, body]));
          expect([...shown].sort()).to.deep.equal([...all].sort());
        }
      }),
      { numRuns: 200 },
    );
  });
});
