import type { NodeBody, OverlayWish, StatusBody } from "../../facts/fact.ts";
import type { PassOutcome } from "../cluster-source.ts";
import type { ContainerCounter } from "./containers.ts";
import type { ClusterMember } from "./member.ts";
import type { TaskVoice } from "./sources.ts";

/** What a node says of itself that doesn't change while it runs. */
export interface NodeWord {
  readonly name: string;
  readonly role: NodeBody["role"];
  /** Canonical text, best first. */
  readonly addresses: readonly string[];
  readonly wish: OverlayWish;
  readonly versions: Readonly<Record<string, string>>;
}

/** What this node says of itself: its node fact, and how each overlay stands here. */
export class OwnFacts {
  readonly #member: ClusterMember;
  readonly #word: NodeWord;
  readonly #containers: ContainerCounter;
  #overlayEpoch: number | undefined;
  #tasks: TaskVoice = { agents: [] };
  #statuses: readonly StatusBody[] = [];
  /** Overlays of which something is published. */
  #told: readonly string[] = [];

  constructor(member: ClusterMember, word: NodeWord, containers: ContainerCounter) {
    this.#member = member;
    this.#word = word;
    this.#containers = containers;
    // The assignments that its former self published are published still, and so the claim holds.
    this.#overlayEpoch = member.view.snapshot().nodes.get(member.id)?.fact.body.speaks.overlayEpoch;
    this.#sayNode();
  }

  /** All assignments of this leadership are published; undefined: this node publishes none any more. */
  claimOverlay(epoch: number | undefined): void {
    if (this.#overlayEpoch === epoch) return;
    this.#overlayEpoch = epoch;
    this.#sayNode();
  }

  /** The tasks that this claims to be complete are published. */
  claimTasks(voice: TaskVoice): void {
    if (Bun.deepEquals(this.#tasks, voice)) return;
    this.#tasks = voice;
    this.#sayNode();
  }

  /** A pass has ended. */
  passed({ cluster, failure }: PassOutcome): void {
    const own = cluster.nodes.find(({ name }) => name === this.#member.id);
    const held = cluster.overlays.map(({ name }) => name).filter((name) => own?.subnets.has(name));
    this.#statuses = held.map((overlay) => {
      return failure === undefined
        ? { overlay, state: "ok" }
        : { overlay, state: "failed", error: failure.slice(0, 4000) };
    });
    this.sayStatuses();
    this.#member.forgetUnsaid(["status"]);
  }

  /** Publishes how the overlays stand, with the containers that there are now. */
  sayStatuses(): void {
    const { publisher } = this.#member;
    const present = new Set(this.#statuses.map(({ overlay }) => overlay));
    for (const key of this.#told) if (!present.has(key)) publisher.take({ kind: "status", key });
    for (const status of this.#statuses) {
      const body = { ...status, containers: this.#containers.count(status.overlay) };
      publisher.put({ kind: "status", key: status.overlay, body });
    }
    this.#told = [...present];
    publisher.flush();
  }

  #sayNode(): void {
    const speaks = {
      ...this.#tasks,
      ...(this.#overlayEpoch === undefined ? {} : { overlayEpoch: this.#overlayEpoch }),
    };
    this.#member.publisher.put({ kind: "node", key: this.#member.id, body: { ...this.#word, speaks } });
    this.#member.publisher.flush();
  }
}
