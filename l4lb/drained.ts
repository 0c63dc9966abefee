import type { Changes } from "../facts/delta.ts";
import type { DrainFact, TaskFact } from "../facts/fact.ts";
import type { NodeView } from "../facts/view.ts";

/** What operators drain, by the facts of all nodes. */
export class Drained {
  /** By `node/<id>` or `task/<key>`, then by the owner of the fact: since when. */
  readonly #targets = new Map<string, Map<string, number>>();
  /** Addresses of the nodes that are drained, by id. */
  readonly #addresses = new Map<string, readonly string[]>();

  /** Takes what changed; true when any task may be affected. */
  change(drains: Changes<DrainFact>, nodes: Changes<NodeView>): boolean {
    for (const { value } of drains.removed) this.#drop(value);
    for (const { before, after } of drains.changed) {
      this.#drop(before);
      this.#put(after);
    }
    for (const { value } of drains.added) this.#put(value);
    const changed = drains.removed.length + drains.changed.length + drains.added.length > 0;
    return this.#learn(nodes) || changed;
  }

  /** Since when a task is drained, by itself or with its node; undefined when it isn't. */
  since(key: string, { owner, body }: TaskFact): number | undefined {
    if (this.#targets.size === 0) return undefined;
    const moments = [this.#sinceOf(`task/${key}`)];
    if (body.observer === "node") moments.push(this.#sinceOf(`node/${owner}`));
    for (const target of this.#targets.keys()) {
      const addresses = target.startsWith("node/") ? this.#addresses.get(target.slice("node/".length)) : undefined;
      if (addresses?.some((address) => body.agent.addresses.includes(address))) moments.push(this.#sinceOf(target));
    }
    const earliest = Math.min(...moments.flatMap((moment) => moment ?? []));
    return Number.isFinite(earliest) ? earliest : undefined;
  }

  #sinceOf(target: string): number | undefined {
    const owners = this.#targets.get(target);
    return owners && Math.min(...owners.values());
  }

  #put({ owner, key, body }: DrainFact): void {
    const owners = this.#targets.get(key) ?? new Map<string, number>();
    this.#targets.set(key, owners.set(owner, body.since));
  }

  #drop({ owner, key }: DrainFact): void {
    const owners = this.#targets.get(key);
    owners?.delete(owner);
    if (owners?.size === 0) this.#targets.delete(key);
  }

  #learn({ added, changed, removed }: Changes<NodeView>): boolean {
    for (const { key } of removed) this.#addresses.delete(key);
    for (const { key, value } of added) this.#addresses.set(key, value.fact.body.addresses);
    for (const { key, after } of changed) this.#addresses.set(key, after.fact.body.addresses);
    return this.#targets.size > 0 && added.length + changed.length + removed.length > 0;
  }
}
