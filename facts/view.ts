import {
  chooseAssignment,
  chooseLostTask,
  chooseTask,
  isDenied,
  type Liveness,
  type LostNodes,
  type Standing,
} from "./choose.ts";
import { type Changes, isQuiet } from "./delta.ts";
import type { AssignmentFact, DrainFact, Fact, FactRef, NodeFact, StatusFact, TaskFact, VipFact } from "./fact.ts";
import { type Held, OwnedFacts } from "./owned.ts";
import { Table } from "./table.ts";
import type { TrieMap } from "./trie.ts";
import { Voices } from "./voices.ts";

/** A node as the cluster sees it. An unreachable one stays, with its assignment, until it is forgotten. */
export interface NodeView {
  readonly fact: NodeFact;
  readonly liveness: Liveness;
}

/** All facts of the cluster, merged; never changes. */
export interface Snapshot {
  /** Grows by one with each delta. */
  readonly generation: number;
  /** By node id. */
  readonly nodes: TrieMap<NodeView>;
  /** By id of the node that it is for. */
  readonly assignments: TrieMap<AssignmentFact>;
  /** By `<node id>/<overlay>`. */
  readonly statuses: TrieMap<StatusFact>;
  /** By `keyOfTask`; each task once, whoever saw it. */
  readonly tasks: TrieMap<TaskFact>;
  /** By `keyOfTask`; tasks that aren't shown because their node can't be reached, as it told of them last. */
  readonly lostTasks: TrieMap<TaskFact>;
  /** By `<node id>/<family>/<name>`: the claims of all nodes. */
  readonly vips: TrieMap<VipFact>;
  /** By `<node id>/<key>`. */
  readonly drains: TrieMap<DrainFact>;
}

/** Stands for the owner in the table of lost tasks, which has one fact for each key. */
const LOST = "";

/** What leads from the snapshot before to the snapshot with this generation. */
export interface ViewDelta {
  readonly generation: number;
  readonly nodes: Changes<NodeView>;
  readonly assignments: Changes<AssignmentFact>;
  readonly statuses: Changes<StatusFact>;
  readonly tasks: Changes<TaskFact>;
  readonly lostTasks: Changes<TaskFact>;
  readonly vips: Changes<VipFact>;
  readonly drains: Changes<DrainFact>;
}

/** What can happen to the facts of the cluster. `put` and `drop` come in any order and any number of times. */
export type FactChange =
  /** What a replica that keeps each owner's order holds now under this name (`factName`), whatever the version: an
   *  owner that lost its memory may count from 1 again. */
  | { readonly type: "held"; readonly owner: string; readonly name: string; readonly fact: Fact | undefined }
  | { readonly type: "put"; readonly fact: Fact }
  /** The owner took the fact back, as of this version. */
  | { readonly type: "drop"; readonly ref: FactRef }
  /** The taking back of this fact need no longer be remembered: no older version of it is under way any more. */
  | { readonly type: "expire"; readonly ref: FactRef }
  /** What the failure detector says; owners that it said nothing of are alive. `forgotten`: all that they said is
   *  gone. */
  | { readonly type: "owner"; readonly owner: string; readonly liveness: Liveness | "forgotten" };

/** Told of each delta, after the snapshot has changed. Notes what it needs and returns: it doesn't throw, nor call
 *  `apply`. */
export type ViewReader = (delta: ViewDelta, snapshot: Snapshot) => void;

export interface ViewOptions {
  /** Default `hidden`. */
  readonly lostNodes?: LostNodes;
}

/** Merges the facts of all owners. One change costs what it changes, however many facts there are; only two claims in
 *  node facts (another master's word, another overlay epoch) cost as much as there are tasks from masters, or
 *  assignments. What is shown depends on which facts and verdicts have come, not on the order in which they came. */
export class FactView {
  readonly #owned = new OwnedFacts();
  readonly #liveness = new Map<string, Liveness>();
  readonly #voices = new Voices();
  /** Keys of the tasks that masters told of, by agent. */
  readonly #toldByAgent = new Map<string, Set<string>>();
  /** Keys of lost tasks, denied ones included, by agent, and the reverse. */
  readonly #agentOfLost = new Map<string, string>();
  readonly #lostByAgent = new Map<string, Set<string>>();
  readonly #readers = new Set<ViewReader>();
  readonly #nodes: Table<NodeFact, NodeView>;
  readonly #assignments: Table<AssignmentFact, AssignmentFact>;
  readonly #statuses: Table<StatusFact, StatusFact>;
  readonly #tasks: Table<TaskFact, TaskFact>;
  readonly #lostTasks: Table<TaskFact, TaskFact>;
  readonly #vips: Table<VipFact, VipFact>;
  readonly #drains: Table<DrainFact, DrainFact>;
  readonly #choice: Standing;
  #snapshot: Snapshot;
  #telling = false;

  constructor({ lostNodes = "hidden" }: ViewOptions = {}) {
    const standing = this.#standing(lostNodes);
    this.#choice = standing;
    this.#nodes = new Table({
      choose: ([fact]) => (fact === undefined ? undefined : { fact, liveness: standing.livenessOf(fact.owner) }),
      same: (a, b) => a.fact === b.fact && a.liveness === b.liveness,
    });
    this.#assignments = new Table({ choose: (facts) => chooseAssignment(facts, standing.epoch), same: Object.is });
    this.#statuses = new Table({ choose: ([fact]) => fact, same: Object.is });
    this.#tasks = new Table({ choose: (facts) => chooseTask(facts, standing), same: Object.is });
    this.#lostTasks = new Table({ choose: ([fact]) => fact, same: Object.is });
    this.#vips = new Table({ choose: ([fact]) => fact, same: Object.is });
    this.#drains = new Table({ choose: ([fact]) => fact, same: Object.is });
    this.#snapshot = this.#shown(0);
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Calls `reader` with each delta from now on, until the function that it returns is called. A reader that starts
   *  from `snapshot()` in the same turn misses nothing. */
  subscribe(reader: ViewReader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** Takes a batch of changes as one: one snapshot, and one delta if anything that is shown became different. */
  apply(batch: Iterable<FactChange>): void {
    if (this.#telling) throw new Error("a reader of the view must not change it");
    for (const change of batch) this.#take(change);
    const delta: ViewDelta = {
      generation: this.#snapshot.generation + 1,
      nodes: this.#nodes.settle(),
      assignments: this.#assignments.settle(),
      statuses: this.#statuses.settle(),
      tasks: this.#tasks.settle((key, shown) => this.#noteLost(key, shown)),
      lostTasks: this.#lostTasks.settle(),
      vips: this.#vips.settle(),
      drains: this.#drains.settle(),
    };
    const { generation: _, ...changes } = delta;
    if (Object.values(changes).every(isQuiet)) return;
    this.#snapshot = this.#shown(delta.generation);
    this.#tell(delta);
  }

  #tell(delta: ViewDelta): void {
    this.#telling = true;
    try {
      for (const reader of this.#readers) reader(delta, this.#snapshot);
    } finally {
      this.#telling = false;
    }
  }

  #standing(lostNodes: LostNodes): Standing {
    const voices = this.#voices;
    return {
      lostNodes,
      livenessOf: (owner) => this.#liveness.get(owner) ?? "alive",
      speakersOf: (agent) => voices.speakersOf(agent),
      get master() {
        return voices.master;
      },
      get epoch() {
        return voices.epoch;
      },
    };
  }

  #shown(generation: number): Snapshot {
    return {
      generation,
      nodes: this.#nodes.shown,
      assignments: this.#assignments.shown,
      statuses: this.#statuses.shown,
      tasks: this.#tasks.shown,
      lostTasks: this.#lostTasks.shown,
      vips: this.#vips.shown,
      drains: this.#drains.shown,
    };
  }

  #take(change: FactChange): void {
    switch (change.type) {
      case "held":
        this.#replace(this.#owned.hold(change.owner, change.name, change.fact), change.fact);
        break;
      case "put":
        this.#replace(this.#owned.put(change.fact), change.fact);
        break;
      case "drop":
        this.#replace(this.#owned.drop(change.ref), undefined);
        break;
      case "expire":
        this.#owned.expire(change.ref);
        break;
      case "owner":
        this.#judge(change.owner, change.liveness);
        break;
    }
  }

  #judge(owner: string, liveness: Liveness | "forgotten"): void {
    if (liveness === "forgotten") {
      for (const fact of this.#owned.forget(owner)) this.#replace({ before: fact }, undefined);
      this.#liveness.delete(owner);
      return;
    }
    if (this.#liveness.get(owner) === liveness) return;
    this.#liveness.set(owner, liveness);
    for (const fact of this.#owned.of(owner)) {
      if (fact.kind === "node") this.#touchNode(fact);
      else if (fact.kind === "task") this.#tasks.touch(fact.key);
    }
  }

  #touchNode(fact: NodeFact): void {
    this.#nodes.touch(fact.key);
    for (const agent of fact.body.speaks.agents) this.#touchAgent(agent);
  }

  #touchAgent(agent: string): void {
    for (const key of this.#toldByAgent.get(agent) ?? []) this.#tasks.touch(key);
    for (const key of this.#lostByAgent.get(agent) ?? []) this.#tasks.touch(key);
  }

  /** Looks whether a task that was looked at is a lost one now. */
  #noteLost(key: string, shown: TaskFact | undefined): void {
    const lost = shown === undefined ? chooseLostTask(this.#tasks.candidates(key), this.#choice) : undefined;
    const before = this.#agentOfLost.get(key);
    const agent = lost?.body.agent.id;
    if (before !== undefined && before !== agent) {
      removeFrom(this.#lostByAgent, before, key);
      this.#agentOfLost.delete(key);
    }
    if (agent !== undefined && before !== agent) {
      addTo(this.#lostByAgent, agent, key);
      this.#agentOfLost.set(key, agent);
    }
    if (lost === undefined || isDenied(lost.body.agent.id, this.#choice)) this.#lostTasks.drop(key, LOST);
    else this.#lostTasks.put(key, LOST, lost);
  }

  /** Puts `after` in the place of what its owner said before; `held` is undefined when that was newer. */
  #replace(held: Held | undefined, after: Fact | undefined): void {
    if (held === undefined) return;
    const { before } = held;
    if (before !== undefined) this.#leave(before);
    if (after !== undefined) this.#enter(after);
    const nodeBefore = before?.kind === "node" ? before : undefined;
    const nodeAfter = after?.kind === "node" ? after : undefined;
    if (nodeBefore !== undefined || nodeAfter !== undefined) this.#listen(nodeBefore, nodeAfter);
  }

  #listen(before: NodeFact | undefined, after: NodeFact | undefined): void {
    const owner = after?.owner ?? before?.owner ?? "";
    const { agents, master, epoch } = this.#voices.update(owner, before, after);
    for (const agent of agents) this.#touchAgent(agent);
    if (master) for (const agent of this.#toldByAgent.keys()) this.#touchAgent(agent);
    if (epoch) for (const key of this.#assignments.keys()) this.#assignments.touch(key);
  }

  #enter(fact: Fact): void {
    switch (fact.kind) {
      case "node":
        this.#nodes.put(fact.key, fact.owner, fact);
        break;
      case "assignment":
        this.#assignments.put(fact.key, fact.owner, fact);
        break;
      case "status":
        this.#statuses.put(`${fact.owner}/${fact.key}`, fact.owner, fact);
        break;
      case "task":
        this.#tasks.put(fact.key, fact.owner, fact);
        this.#indexTold(fact);
        break;
      case "vip":
        this.#vips.put(`${fact.owner}/${fact.key}`, fact.owner, fact);
        break;
      case "drain":
        this.#drains.put(`${fact.owner}/${fact.key}`, fact.owner, fact);
        break;
    }
  }

  #leave(fact: Fact): void {
    switch (fact.kind) {
      case "node":
        this.#nodes.drop(fact.key, fact.owner);
        break;
      case "assignment":
        this.#assignments.drop(fact.key, fact.owner);
        break;
      case "status":
        this.#statuses.drop(`${fact.owner}/${fact.key}`, fact.owner);
        break;
      case "task":
        this.#tasks.drop(fact.key, fact.owner);
        this.#unindexTold(fact);
        break;
      case "vip":
        this.#vips.drop(`${fact.owner}/${fact.key}`, fact.owner);
        break;
      case "drain":
        this.#drains.drop(`${fact.owner}/${fact.key}`, fact.owner);
        break;
    }
  }

  #indexTold(fact: TaskFact): void {
    if (fact.body.observer !== "master") return;
    addTo(this.#toldByAgent, fact.body.agent.id, fact.key);
  }

  /** Another master may have told of the same task: then it stays. */
  #unindexTold(fact: TaskFact): void {
    if (fact.body.observer !== "master") return;
    const agent = fact.body.agent.id;
    for (const { body } of this.#tasks.candidates(fact.key)) {
      if (body.observer === "master" && body.agent.id === agent) return;
    }
    removeFrom(this.#toldByAgent, agent, fact.key);
  }
}

function addTo(index: Map<string, Set<string>>, at: string, key: string): void {
  const keys = index.get(at);
  if (keys === undefined) index.set(at, new Set([key]));
  else keys.add(key);
}

function removeFrom(index: Map<string, Set<string>>, at: string, key: string): void {
  const keys = index.get(at);
  keys?.delete(key);
  if (keys?.size === 0) index.delete(at);
}
