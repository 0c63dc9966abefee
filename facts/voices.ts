import type { NodeFact } from "./fact.ts";

/** What of the claims in node facts became different. */
export interface VoiceChange {
  /** Agents that a node began or ceased to speak for. */
  readonly agents: readonly string[];
  /** Another node has the master's word. */
  readonly master: boolean;
  /** Another epoch of the overlay's leadership is the complete one. */
  readonly epoch: boolean;
}

/** Who has the say about what, from the claims that nodes make in their facts (`NodeVoice`). */
export class Voices {
  readonly #speakers = new Map<string, Set<string>>();
  readonly #masters = new Map<string, number>();
  readonly #epochs = new Map<string, number>();
  #master: string | undefined;
  #epoch = 0;

  /** Owner with the complete and newest snapshot of the leading Mesos master; undefined when nobody claims one. */
  get master(): string | undefined {
    return this.#master;
  }

  /** Greatest epoch of which all assignments are published; 0 when none is. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Owners that claim to know all tasks of this agent. */
  speakersOf(agent: string): Iterable<string> {
    return this.#speakers.get(agent) ?? [];
  }

  /** Takes the claims of one node as they were and as they are. */
  update(owner: string, before: NodeFact | undefined, after: NodeFact | undefined): VoiceChange {
    const [master, epoch] = [this.#master, this.#epoch];
    note(this.#masters, owner, after?.body.speaks.masterSince);
    note(this.#epochs, owner, after?.body.speaks.overlayEpoch);
    this.#master = greatest(this.#masters);
    this.#epoch = Math.max(0, ...this.#epochs.values());
    const agents = this.#updateAgents(owner, before, after);
    return { agents, master: master !== this.#master, epoch: epoch !== this.#epoch };
  }

  #updateAgents(owner: string, before: NodeFact | undefined, after: NodeFact | undefined): string[] {
    const old = new Set(before?.body.speaks.agents);
    const now = new Set(after?.body.speaks.agents);
    for (const agent of old.difference(now)) this.#silence(agent, owner);
    for (const agent of now.difference(old)) {
      const speakers = this.#speakers.get(agent);
      if (speakers === undefined) this.#speakers.set(agent, new Set([owner]));
      else speakers.add(owner);
    }
    return [...old.symmetricDifference(now)];
  }

  #silence(agent: string, owner: string): void {
    const speakers = this.#speakers.get(agent);
    speakers?.delete(owner);
    if (speakers?.size === 0) this.#speakers.delete(agent);
  }
}

function note(claims: Map<string, number>, owner: string, claim: number | undefined): void {
  if (claim === undefined) claims.delete(owner);
  else claims.set(owner, claim);
}

/** The owner with the greatest claim; of equal ones the one whose id sorts first. */
function greatest(claims: ReadonlyMap<string, number>): string | undefined {
  let best: readonly [string, number] | undefined;
  for (const [owner, claim] of claims) {
    if (best === undefined || claim > best[1] || (claim === best[1] && owner < best[0])) best = [owner, claim];
  }
  return best?.[0];
}
