import { type MemberRecord, supersedes } from "../../gossip/member.ts";
import type { GossipEvent } from "../../gossip/node.ts";
import { WIRE } from "../../gossip/settings.ts";
import type { Host, World } from "./world.ts";

/** After a split, a standstill or a start, deaths are not false for so long, milliseconds. */
const GRACE_MS = 15_000;
const MAX_RUMORS = 256;
/** Bytes a node may hold for each byte that is published: its facts, and once more while they are replaced. */
const COPIES = 2;
const SLACK_BYTES = 64 * 1024;

interface Seen {
  readonly since: number;
  generation: number;
  version: number;
}

/** Watches a run for what must never happen. */
export class Invariants {
  readonly violations: string[] = [];
  readonly #world: World;
  readonly #versions = new Map<string, Seen>();
  readonly #records = new Map<string, { readonly since: number; readonly record: MemberRecord }>();

  constructor(world: World) {
    this.#world = world;
    world.listeners.push((host, event) => this.#onEvent(host, event));
  }

  /** What must hold at every moment. */
  checkBounds(): void {
    const { largestDatagram, largestFrame, settings } = this.#world;
    if (largestDatagram > settings.datagramBytes) this.#broken(`a datagram had ${largestDatagram} bytes`);
    if (largestFrame > WIRE.frame) this.#broken(`a frame had ${largestFrame} bytes`);
    for (const { name, node } of this.#world.up()) {
      if (node !== undefined && node.pendingRumors > MAX_RUMORS) {
        this.#broken(`${name} has ${node.pendingRumors} rumors`);
      }
    }
  }

  /** True when all running nodes hold the same, and count as present exactly the running ones. */
  areEqual(): boolean {
    const up = this.#world.up();
    const first = up[0]?.node;
    return up.every(({ node }) => node?.members.present === up.length && first?.summary.isEqual(node.summary.root()));
  }

  /** What must hold after a quiet time, fact by fact: everybody has what each running owner published. */
  checkViews(): void {
    if (!this.areEqual()) this.#broken("the nodes' contents differ after a quiet time");
    const up = this.#world.up();
    let published = 0;
    for (const owner of up) {
      const truth = textOf(owner, owner.name);
      published += truth.length;
      for (const reader of up) {
        if (textOf(reader, owner.name) !== truth)
          this.#broken(`${reader.name} has other facts of ${owner.name} than itself`);
      }
    }
    for (const { name, node } of up) {
      const bytes = node?.replica.bytes() ?? 0;
      if (bytes > COPIES * this.#everPublished(published) + SLACK_BYTES) this.#broken(`${name} holds ${bytes} bytes`);
    }
  }

  /** Throws, with the story of the run, when anything was broken. */
  assertKept(): void {
    if (this.violations.length === 0) return;
    const what = this.violations.slice(0, 10).join("\n  ");
    const more = this.violations.length > 10 ? `\n  and ${this.violations.length - 10} more` : "";
    throw new Error(`broken:\n  ${what}${more}\n\nwhat happened:\n${this.#world.story.text()}`);
  }

  /** Facts of ended owners stay until they are forgotten, so they count as published. */
  #everPublished(published: number): number {
    return (published / Math.max(1, this.#world.up().length)) * this.#world.hosts.length + published;
  }

  #onEvent(host: Host, event: GossipEvent): void {
    if (event.type === "member") {
      this.#onStatus(host, event.record.name, event.status);
      this.#onRecord(host, event.record);
    }
    if (event.type === "facts") this.#onFacts(host, event.owner);
    if (event.type === "refused") this.#broken(`${host.name} refuses ${event.owner}: ${event.reason}`);
  }

  #onStatus(host: Host, about: string, status: string): void {
    const target = this.#world.hosts.find(({ name }) => name === about);
    if (target === undefined) return;
    const { now, disturbedAt } = this.#world;
    const isQuiet = now - Math.max(disturbedAt, target.changedAt, host.changedAt) > GRACE_MS;
    if (status === "unreachable" && target.node !== undefined && isQuiet && target.group === host.group) {
      this.#broken(`${host.name} counts ${about} as dead, which is not`);
    }
    if (status === "alive" && target.node === undefined && isQuiet) {
      this.#broken(`${host.name} counts ${about} as alive, which is dead`);
    }
  }

  /** What a running node believes of another never goes back to older news. */
  #onRecord(host: Host, record: MemberRecord): void {
    if (this.#world.hosts.length > 200) return;
    const key = `${host.name} ${record.name}`;
    const seen = this.#records.get(key);
    const isSame = seen?.record.fingerprint === record.fingerprint;
    if (seen?.since === host.changedAt && !isSame && !supersedes(record, seen.record)) {
      this.#broken(`${host.name} goes back to older news of ${record.name}`);
    }
    this.#records.set(key, { since: host.changedAt, record });
  }

  /** What a running node shows of an owner never goes back. */
  #onFacts(host: Host, owner: string): void {
    const { node, changedAt } = host;
    if (node === undefined || this.#world.hosts.length > 200) return;
    const key = `${host.name} ${owner}`;
    const { generation, version } = node.replica.shown(owner);
    const seen = this.#versions.get(key);
    const isBack =
      generation > 0 &&
      seen?.since === changedAt &&
      (generation < seen.generation || (generation === seen.generation && version < seen.version));
    if (isBack) this.#broken(`${host.name} goes back to an older version of ${owner}`);
    this.#versions.set(key, { since: changedAt, generation, version });
  }

  #broken(what: string): void {
    this.violations.push(`${(this.#world.now / 1000).toFixed(3)} s: ${what}`);
  }
}

/** All facts of an owner as a node shows them, in one text. */
function textOf({ node }: Host, owner: string): string {
  const facts = node?.replica.facts(owner) ?? [];
  return facts
    .map(({ key, value }) => `${key}=${value?.toBase64()}`)
    .sort()
    .join("\n");
}
