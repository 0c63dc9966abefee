import type { DrainFact } from "../../facts/fact.ts";
import type { ClusterMember } from "./member.ts";

type Target = DrainFact["body"]["target"];

/** What this node was asked to drain: facts of its own, which its next self goes on with. */
export class Drains {
  readonly #member: ClusterMember;
  readonly #now: () => number;

  constructor(member: ClusterMember, now: () => number) {
    this.#member = member;
    this.#now = now;
    for (const { owner, kind, key, body } of member.view.snapshot().drains.values()) {
      if (owner === member.id) member.publisher.put({ kind, key, body });
    }
    member.publisher.flush();
  }

  /** Throws a NetError `invalid` for an id that can't be published. */
  add(target: Target, id: string): DrainFact {
    const since = this.#now();
    const { id: owner, publisher } = this.#member;
    const fact = { kind: "drain" as const, key: `${target}/${id}`, body: { target, id, since } };
    publisher.put(fact);
    publisher.flush();
    return { ...fact, owner, version: 1, observedAt: since };
  }

  delete(target: Target, id: string): void {
    const { publisher } = this.#member;
    publisher.take({ kind: "drain", key: `${target}/${id}` });
    publisher.flush();
  }
}
