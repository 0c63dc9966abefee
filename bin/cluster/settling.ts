import type { Clock } from "../../lib/clock.ts";

/** What is known of the membership at a moment. */
export interface MembershipSigns {
  /** Another node holds the same content as this one: GossipNode.hasCaughtUp. */
  readonly hasCaughtUp: boolean;
  /** Another node was heard since the start. */
  readonly hasHeard: boolean;
  /** Others should be there: seeds, or members in the snapshot. */
  readonly expectsOthers: boolean;
}

/** A node that nobody is known to belong to is the first of its cluster: others would have come to it by then. */
const FIRST_MS = 3000;
/** Others are expected and none answers: this node is cut off, or the first to come back. */
const CUT_OFF_MS = 15_000;
/** Somebody was heard, but contents never were equal, because they change all the time. */
const BUSY_MS = 30_000;

/** Decides when it is known who is in the cluster. Before that, what isn't known may merely not have arrived: nothing
 *  is taken away, nobody counts as gone, and nobody leads. */
export class Settling {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #startedAt: number;
  #isSettled = false;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Takes the signs of this moment; true when the membership is settled, as it then stays. */
  look({ hasCaughtUp, hasHeard, expectsOthers }: MembershipSigns): boolean {
    const patience = hasHeard ? BUSY_MS : expectsOthers ? CUT_OFF_MS : FIRST_MS;
    this.#isSettled ||= hasCaughtUp || this.#clock.monotonic() - this.#startedAt >= patience;
    return this.#isSettled;
  }
}
