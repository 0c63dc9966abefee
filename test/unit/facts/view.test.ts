import { expect } from "chai";
import fc from "fast-check";
import type { Changes } from "../../../facts/delta.ts";
import type { Fact } from "../../../facts/fact.ts";
import { keyOfTask, type Task } from "../../../facts/task.ts";
import type { TrieMap } from "../../../facts/trie.ts";
import { type FactChange, FactView, type Snapshot, type ViewDelta } from "../../../facts/view.ts";
import {
  assignmentFact,
  drainFact,
  nodeFact,
  noting,
  sampleTask,
  statusFact,
  taskFact,
  vipFact,
} from "../../support/facts.ts";

const put = (fact: Fact): FactChange => ({ type: "put", fact });
const drop = ({ owner, kind, key }: Fact, version: number): FactChange => ({
  type: "drop",
  ref: { owner, kind, key, version },
});
const judge = (owner: string, liveness: "alive" | "unreachable" | "forgotten"): FactChange => ({
  type: "owner",
  owner,
  liveness,
});

function viewOf(...changes: readonly FactChange[]): FactView {
  const view = new FactView();
  view.apply(changes);
  return view;
}

/** Who is believed about the task; undefined when it isn't shown. */
function ownerOf(view: FactView, task: Task): string | undefined {
  return view.snapshot().tasks.get(keyOfTask(task))?.owner;
}

const TASK = sampleTask();
const TOLD = sampleTask({ observer: "master" });
const OWN = taskFact("node-a", TASK);
const FROM_MASTER = taskFact("master-1", TOLD);
const SPEAKER = nodeFact("node-a", { agents: ["S0"] });

describe("the view of a task that both its node and a master see", () => {
  it("shows it once, in the words of its own node", () => {
    const view = viewOf(put(FROM_MASTER), put(OWN));
    expect([...view.snapshot().tasks]).to.deep.equal([[keyOfTask(TASK), OWN]]);
  });

  it("shows the master's words when the node is unreachable and didn't claim to know all", () => {
    const view = viewOf(put(FROM_MASTER), put(OWN), judge("node-a", "unreachable"));
    expect(ownerOf(view, TASK)).to.equal("master-1");
    view.apply([judge("node-a", "alive")]);
    expect(ownerOf(view, TASK)).to.equal("node-a");
  });

  it("doesn't show what a node that speaks for the agent doesn't mention", () => {
    const view = viewOf(put(FROM_MASTER), put(OWN), put(SPEAKER));
    view.apply([drop(OWN, 2)]);
    expect(ownerOf(view, TASK)).to.equal(undefined);
    view.apply([put(nodeFact("node-a", {}, 2))]);
    expect(ownerOf(view, TASK)).to.equal("master-1");
  });

  it("shows nothing on an unreachable node that spoke for itself, and all of it when the node is back", () => {
    const view = viewOf(put(FROM_MASTER), put(OWN), put(SPEAKER), judge("node-a", "unreachable"));
    expect(ownerOf(view, TASK)).to.equal(undefined);
    view.apply([judge("node-a", "alive")]);
    expect(ownerOf(view, TASK)).to.equal("node-a");
  });

  it("shows the master's words of an unreachable node when told to", () => {
    const view = new FactView({ lostNodes: "by-master" });
    view.apply([put(FROM_MASTER), put(SPEAKER)]);
    expect(ownerOf(view, TASK)).to.equal(undefined);
    view.apply([judge("node-a", "unreachable")]);
    expect(ownerOf(view, TASK)).to.equal("master-1");
  });

  it("shows the master's words when the node is forgotten", () => {
    const view = viewOf(put(FROM_MASTER), put(OWN), put(SPEAKER), judge("node-a", "unreachable"));
    view.apply([judge("node-a", "forgotten")]);
    expect(ownerOf(view, TASK)).to.equal("master-1");
    expect(view.snapshot().nodes.size).to.equal(0);
  });

  it("keeps the words of a master that is unreachable", () => {
    expect(ownerOf(viewOf(put(FROM_MASTER), judge("master-1", "unreachable")), TASK)).to.equal("master-1");
  });

  it("believes the master with the newest complete snapshot, and it alone", () => {
    const other = sampleTask({ id: "app.2", observer: "master" });
    const view = viewOf(
      put(nodeFact("master-1", { masterSince: 1 })),
      put(FROM_MASTER),
      put(taskFact("master-1", other)),
      put(taskFact("master-2", TOLD)),
    );
    expect(ownerOf(view, TOLD)).to.equal("master-1");
    view.apply([put(nodeFact("master-2", { masterSince: 2 }))]);
    expect(ownerOf(view, TOLD)).to.equal("master-2");
    expect(ownerOf(view, other)).to.equal(undefined);
  });

  it("knows a task that two masters told of as long as one of them does", () => {
    const view = viewOf(put(FROM_MASTER), put(taskFact("master-2", TOLD)), drop(FROM_MASTER, 2));
    expect(ownerOf(view, TOLD)).to.equal("master-2");
    view.apply([put(SPEAKER)]);
    expect(ownerOf(view, TOLD)).to.equal(undefined);
  });

  it("believes of two masters with equally new snapshots the one whose id sorts first", () => {
    const claims = ["master-1", "master-2"].map((name) => put(nodeFact(name, { masterSince: 5 })));
    const facts = [put(FROM_MASTER), put(taskFact("master-2", TOLD, 1, 9000))];
    expect(ownerOf(viewOf(...facts, ...claims), TOLD)).to.equal("master-1");
    expect(ownerOf(viewOf(...facts, ...claims.reverse()), TOLD)).to.equal("master-1");
  });

  it("believes of two nodes that both claim the task the one that observed last", () => {
    const early = taskFact("node-b", TASK, 7, 1000);
    const late = taskFact("node-a", TASK, 1, 2000);
    expect(ownerOf(viewOf(put(early), put(late)), TASK)).to.equal("node-a");
    expect(ownerOf(viewOf(put(late), put(early)), TASK)).to.equal("node-a");
  });
});

describe("the view of a lost task", () => {
  const lostOwner = (view: FactView): string | undefined => view.snapshot().lostTasks.get(keyOfTask(TASK))?.owner;

  it("has what its unreachable node said last, until the node is back or forgotten", () => {
    const view = viewOf(put(OWN), put(SPEAKER));
    expect([ownerOf(view, TASK), lostOwner(view)]).to.deep.equal(["node-a", undefined]);
    view.apply([judge("node-a", "unreachable")]);
    expect([ownerOf(view, TASK), lostOwner(view)]).to.deep.equal([undefined, "node-a"]);
    view.apply([judge("node-a", "alive")]);
    expect([ownerOf(view, TASK), lostOwner(view)]).to.deep.equal(["node-a", undefined]);
    view.apply([judge("node-a", "unreachable")]);
    view.apply([judge("node-a", "forgotten")]);
    expect([ownerOf(view, TASK), lostOwner(view)]).to.deep.equal([undefined, undefined]);
  });

  it("has nothing of a task that somebody alive shows, or says is gone", () => {
    const view = viewOf(put(OWN), put(FROM_MASTER), judge("node-a", "unreachable"));
    expect([ownerOf(view, TASK), lostOwner(view)]).to.deep.equal(["master-1", undefined]);
    view.apply([drop(FROM_MASTER, 2)]);
    expect(lostOwner(view)).to.equal("node-a");
    view.apply([put(nodeFact("node-b", { agents: ["S0"] }))]);
    expect(lostOwner(view)).to.equal(undefined);
    view.apply([judge("node-b", "unreachable")]);
    expect(lostOwner(view)).to.equal("node-a");
  });
});

describe("the view", () => {
  it("shows two tasks when one task id is in two frameworks", () => {
    const other = sampleTask({ framework: { id: "F-0001", name: "marathon" } });
    expect(viewOf(put(OWN), put(taskFact("node-a", other))).snapshot().tasks.size).to.equal(2);
  });

  it("keeps node, assignment and status of an unreachable node, and says that it is unreachable", () => {
    const node = nodeFact("node-a");
    const [assignment, status] = [assignmentFact("master-1", "node-a", 1), statusFact("node-a", "dcos")];
    const view = viewOf(put(node), put(assignment), put(status));
    view.apply([judge("node-a", "unreachable"), judge("master-1", "unreachable")]);
    const { nodes, assignments, statuses } = view.snapshot();
    expect(nodes.get("node-a")).to.deep.equal({ fact: node, liveness: "unreachable" });
    expect(assignments.get("node-a")).to.equal(assignment);
    expect(statuses.get("node-a/dcos")).to.equal(status);
  });

  it("shows the assignment of the highest epoch, whoever spoke last", () => {
    const deposed = assignmentFact("master-1", "node-a", 1);
    const present = assignmentFact("master-2", "node-a", 2, 9);
    for (const order of [
      [deposed, present],
      [present, deposed],
    ])
      expect(
        viewOf(...order.map(put))
          .snapshot()
          .assignments.get("node-a"),
      ).to.equal(present);
  });

  it("shows no assignment that a later leadership didn't repeat, once that has published all of its own", () => {
    const view = viewOf(put(assignmentFact("master-1", "node-a", 1)), put(assignmentFact("master-1", "node-b", 1, 2)));
    view.apply([put(assignmentFact("master-2", "node-a", 2))]);
    expect([...view.snapshot().assignments.keys()].sort()).to.deep.equal(["node-a", "node-b"]);
    view.apply([put(nodeFact("master-2", { overlayEpoch: 2 }))]);
    expect([...view.snapshot().assignments.keys()]).to.deep.equal(["node-a"]);
  });

  it("doesn't bring back what was taken back when an older version arrives late", () => {
    const view = viewOf(drop(OWN, 2), put(OWN));
    expect(ownerOf(view, TASK)).to.equal(undefined);
    view.apply([{ type: "expire", ref: { ...OWN, version: 2 } }, put(OWN)]);
    expect(ownerOf(view, TASK)).to.equal("node-a");
  });

  it("tells nothing when nothing that is shown became different", () => {
    const view = viewOf(put(OWN));
    view.subscribe(() => expect.fail("was told"));
    view.apply([put(OWN), put(FROM_MASTER), judge("node-a", "alive"), drop(FROM_MASTER, 2)]);
    expect(view.snapshot().generation).to.equal(1);
  });

  it("tells a reader until it unsubscribes", () => {
    const view = new FactView();
    const seen: number[] = [];
    const end = view.subscribe(({ generation }) => seen.push(generation));
    view.apply([put(OWN)]);
    end();
    view.apply([drop(OWN, 2)]);
    expect(seen).to.deep.equal([1]);
  });

  it("refuses to be changed by a reader, and works on", () => {
    const view = new FactView();
    const end = view.subscribe(() => view.apply([]));
    expect(() => view.apply([put(OWN)])).to.throw("must not change it");
    end();
    view.apply([drop(OWN, 2)]);
    expect(view.snapshot().tasks.size).to.equal(0);
  });

  it("leaves earlier snapshots as they were", () => {
    const view = viewOf(put(OWN));
    const before = view.snapshot();
    view.apply([drop(OWN, 2)]);
    expect([before.tasks.size, view.snapshot().tasks.size]).to.deep.equal([1, 0]);
  });
});

const OWNERS = ["node-a", "node-b", "master-1", "master-2"] as const;
const owner = fc.constantFrom(...OWNERS);
const version = fc.integer({ min: 1, max: 6 });
// One version has one content, as an owner writes it once: every value comes from the version.
const aTask = fc.record({
  owner,
  version,
  id: fc.constantFrom("t1", "t2", "t3"),
  frameworkId: fc.constantFrom("F", "G"),
});
const anyFact: fc.Arbitrary<Fact> = fc.oneof(
  aTask.map(({ owner, version, id, frameworkId }) => {
    const observer = owner.startsWith("master") ? ("master" as const) : ("node" as const);
    const agent = { id: observer === "node" ? owner : OWNERS[version % 2 === 0 ? 0 : 1], addresses: [] };
    const framework = { id: frameworkId, name: "marathon" };
    return taskFact(owner, sampleTask({ id, framework, agent, observer }), version, 1000 + (version % 3));
  }),
  fc.record({ owner, version }).map(({ owner, version }) => {
    const agents = version % 2 === 0 ? [owner] : [];
    const claims = owner.startsWith("master") && version > 2 ? { masterSince: version, overlayEpoch: version - 2 } : {};
    return nodeFact(owner, { agents, ...claims }, version);
  }),
  fc.record({ owner, version, node: owner }).map(({ owner, version, node }) => assignmentFact(owner, node, version)),
  fc.record({ owner, version }).map(({ owner, version }) => statusFact(owner, "dcos", version)),
  fc.record({ owner, version }).map(({ owner, version }) => {
    return vipFact(owner, "app.marathon", `11.0.0.${version}`, 1000, version);
  }),
  fc
    .record({ owner, version })
    .map(({ owner, version }) => drainFact(owner, "node", "node-a", 1000 + version, version)),
);
// An owner takes a fact back with a version that no fact has, or else one version would have two contents.
const factChange: fc.Arbitrary<FactChange> = fc.oneof(
  { weight: 5, arbitrary: anyFact.map(put) },
  { weight: 1, arbitrary: anyFact.map((fact) => drop(fact, fact.version + 0.5)) },
);
const verdict = fc
  .record({ owner, alive: fc.boolean() })
  .map(({ owner, alive }) => judge(owner, alive ? "alive" : "unreachable"));

function contentOf({ generation: _, ...tables }: Snapshot): unknown {
  return Object.values(tables).map((table) => [...(table as TrieMap<unknown>)]);
}

/** What a reader has that takes every delta, and checks that each fits what it has. */
function fold<T>(table: TrieMap<T>, { added, changed, removed }: Changes<T>): TrieMap<T> {
  let next = table;
  for (const { key, value } of added) {
    expect(next.has(key)).to.equal(false);
    next = next.with(key, value);
  }
  for (const { key, before, after } of changed) {
    expect(next.get(key)).to.equal(before);
    next = next.with(key, after);
  }
  for (const { key, value } of removed) {
    expect(next.get(key)).to.equal(value);
    next = next.without(key);
  }
  return next;
}

function foldDelta(snapshot: Snapshot, delta: ViewDelta): Snapshot {
  return {
    generation: delta.generation,
    nodes: fold(snapshot.nodes, delta.nodes),
    assignments: fold(snapshot.assignments, delta.assignments),
    statuses: fold(snapshot.statuses, delta.statuses),
    tasks: fold(snapshot.tasks, delta.tasks),
    lostTasks: fold(snapshot.lostTasks, delta.lostTasks),
    vips: fold(snapshot.vips, delta.vips),
    drains: fold(snapshot.drains, delta.drains),
  };
}

describe("the view, whatever happens", () => {
  it("is the same for every order in which facts come, in whatever batches and however often", () => {
    const runs = fc
      .record({
        facts: fc.array(factChange, { maxLength: 40 }),
        verdicts: fc.uniqueArray(verdict, { selector: (change) => (change.type === "owner" ? change.owner : "") }),
      })
      .chain(({ facts, verdicts }) => {
        const all = [...facts, ...verdicts];
        return fc.record({
          all: fc.constant(all),
          shuffled: fc.shuffledSubarray(all, { minLength: all.length }),
          again: fc.subarray(all),
          size: fc.integer({ min: 1, max: 10 }),
          lostNodes: fc.constantFrom("hidden" as const, "by-master" as const),
        });
      });
    fc.assert(
      fc.property(runs, ({ all, shuffled, again, size, lostNodes }) => {
        const view = new FactView({ lostNodes });
        const whole = new FactView({ lostNodes });
        whole.apply(all);
        for (let at = 0; at < shuffled.length; at += size) view.apply(shuffled.slice(at, at + size));
        view.apply(again);
        expect(contentOf(view.snapshot())).to.deep.equal(contentOf(whole.snapshot()));
      }),
      { numRuns: 800 },
    );
  });

  it("is what its deltas add up to", () => {
    const forgotten = owner.map((name) => judge(name, "forgotten"));
    const anyChange = fc.oneof({ weight: 6, arbitrary: factChange }, verdict, forgotten);
    fc.assert(
      fc.property(fc.array(fc.array(anyChange, { maxLength: 5 }), { maxLength: 20 }), (batches) => {
        const view = new FactView();
        let folded = view.snapshot();
        view.subscribe((delta, snapshot) => {
          folded = foldDelta(folded, delta);
          expect(folded.generation).to.equal(snapshot.generation);
        });
        for (const batch of batches) view.apply(batch);
        expect(contentOf(folded)).to.deep.equal(contentOf(view.snapshot()));
      }),
      { numRuns: 300 },
    );
  });

  it("is empty again when every owner is forgotten", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(factChange, verdict), { maxLength: 40 }), (changes) => {
        const view = viewOf(...changes, ...OWNERS.map((name) => judge(name, "forgotten")));
        expect(contentOf(view.snapshot())).to.deep.equal(Array(7).fill([]));
        view.apply([put(FROM_MASTER), put(assignmentFact("master-1", "node-a", 1))]);
        expect([view.snapshot().tasks.size, view.snapshot().assignments.size]).to.deep.equal([1, 1]);
      }),
    );
  });

  it("reads no other task when one of 10,000 changes", () => {
    const reads = new Set<string>();
    const watched = noting(reads);
    const tasks = Array.from({ length: 10_000 }, (_, index) => sampleTask({ id: `task.${index}` }));
    const view = viewOf(...tasks.map((task) => put(watched(taskFact("node-a", task)))));
    const deltas: ViewDelta[] = [];
    view.subscribe((delta) => deltas.push(delta));
    expect(reads.size).to.equal(10_000);
    reads.clear();
    const changed = taskFact("node-a", sampleTask({ id: "task.77", health: "unhealthy" }), 2);
    view.apply([put(watched(changed))]);
    expect([...reads]).to.deep.equal([changed.key]);
    expect(deltas.map(({ tasks }) => tasks.changed.length)).to.deep.equal([1]);
  });
});
