import type { AssignmentFact, Fact, TaskFact } from "./fact.ts";

/** Whether the cluster reaches a node: what gossip's failure detector says. */
export type Liveness = "alive" | "unreachable";

/** What is shown of the tasks of a node that is unreachable and spoke for itself: `hidden`, nothing, so that no
 *  traffic goes where nobody answers; `by-master`, what the master still says of them. */
export type LostNodes = "hidden" | "by-master";

/** What the choice between owners depends on besides their facts. */
export interface Standing {
  readonly lostNodes: LostNodes;
  livenessOf(owner: string): Liveness;
  speakersOf(agent: string): Iterable<string>;
  readonly master: string | undefined;
  readonly epoch: number;
}

/**
 * One fact for one task:
 *
 * 1. The word of the task's own node counts while that node is alive; of several that claim to be it (an agent that
 *    moved to another node id), the one that observed last.
 * 2. Otherwise the master's word counts: of the node that has the newest complete snapshot of the leading master, or,
 *    when no node claims one, of the one that observed last. It outlives that node: masters gone change nothing.
 * 3. But not against a node that speaks for the task's agent: while it is alive, what it doesn't mention isn't there;
 *    when it is unreachable, `lostNodes` decides.
 */
export function chooseTask(candidates: Iterable<TaskFact>, standing: Standing): TaskFact | undefined {
  const own: TaskFact[] = [];
  const masters: TaskFact[] = [];
  for (const fact of candidates) {
    if (fact.body.observer === "master") {
      if (standing.master === undefined || standing.master === fact.owner) masters.push(fact);
    } else if (standing.livenessOf(fact.owner) === "alive") own.push(fact);
  }
  const nearest = newest(own);
  if (nearest !== undefined) return nearest;
  const told = newest(masters);
  return told !== undefined && masterMaySpeak(told.body.agent.id, standing) ? told : undefined;
}

function masterMaySpeak(agent: string, standing: Standing): boolean {
  for (const speaker of standing.speakersOf(agent)) {
    if (standing.lostNodes === "hidden" || standing.livenessOf(speaker) === "alive") return false;
  }
  return true;
}

/** Of a task that isn't shown, the last word of its own node if that can't be reached: whether it runs still, nobody
 *  knows, unless it is denied. */
export function chooseLostTask(candidates: Iterable<TaskFact>, { livenessOf }: Standing): TaskFact | undefined {
  const lost: TaskFact[] = [];
  for (const fact of candidates) {
    if (fact.body.observer === "node" && livenessOf(fact.owner) === "unreachable") lost.push(fact);
  }
  return newest(lost);
}

/** True when a node that is alive speaks for the agent, and so says that a task that it doesn't mention is gone. */
export function isDenied(agent: string, { speakersOf, livenessOf }: Standing): boolean {
  for (const speaker of speakersOf(agent)) if (livenessOf(speaker) === "alive") return true;
  return false;
}

/** The assignment of one node: the one of the highest epoch, unless a later leadership has published all of its own.
 *  Leaders may come and go; what they assigned stays. */
export function chooseAssignment(candidates: Iterable<AssignmentFact>, epoch: number): AssignmentFact | undefined {
  let best: AssignmentFact | undefined;
  for (const fact of candidates) {
    if (fact.body.epoch < epoch) continue;
    if (best === undefined || fact.body.epoch > best.body.epoch) best = fact;
    else if (fact.body.epoch === best.body.epoch) best = newest([best, fact]);
  }
  return best;
}

/** The fact that was observed last; of equal times the one whose owner's id sorts first. */
function newest<F extends Fact>(facts: readonly F[]): F | undefined {
  return facts.reduce<F | undefined>((best, fact) => {
    if (best === undefined || fact.observedAt > best.observedAt) return fact;
    return fact.observedAt === best.observedAt && fact.owner < best.owner ? fact : best;
  }, undefined);
}
