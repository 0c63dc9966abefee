import type { Message } from "./message.ts";

interface Rumor {
  readonly key: string;
  readonly message: Message;
  readonly size: number;
  /** False once a newer rumor with the same key took its place. */
  isCurrent: boolean;
}

/** Rumors kept at a time. Beyond, the oldest is dropped: who doesn't hear of it finds it in the next comparison, which
 *  for many changes at once is the cheaper way anyhow. */
const MAX_RUMORS = 256;

/** News on their way through the cluster: each is sent a limited number of times, what was sent least goes first
 *  (SWIM section 4.1). */
export class Rumors {
  /** Rumors by how often they were sent. */
  #tiers: Rumor[][] = [];
  readonly #byKey = new Map<string, Rumor>();

  /** Rumors that are still to be sent. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Adds a rumor in the place of one with the same key. `size` is what the message takes in a packet, bytes. */
  add(key: string, message: Message, size: number): void {
    if (this.#byKey.size >= MAX_RUMORS) this.#dropOldest();
    const former = this.#byKey.get(key);
    if (former !== undefined) former.isCurrent = false;
    const rumor = { key, message, size, isCurrent: true };
    this.#byKey.set(key, rumor);
    this.#tier(0).push(rumor);
  }

  /** Drops every rumor but suspicions: the others have it all already. */
  settle(): void {
    for (const rumor of this.#byKey.values()) {
      if (rumor.message.type === "member" && rumor.message.record.state === "suspect") continue;
      rumor.isCurrent = false;
      this.#byKey.delete(rumor.key);
    }
  }

  /** True while some rumor was never sent. */
  hasFresh(): boolean {
    return this.#tiers[0]?.some(({ isCurrent }) => isCurrent) ?? false;
  }

  /** Adds rumors to `messages` that fit into `room` bytes, and counts them as sent; each is sent `limit` times. Returns
   *  the room that is left. */
  take(room: number, limit: number, messages: Message[]): number {
    if (this.#byKey.size === 0) return room;
    let left = room;
    const moved: Rumor[][] = [];
    for (const [sent, tier] of this.#tiers.entries()) {
      const kept: Rumor[] = [];
      const taken: Rumor[] = [];
      for (const rumor of tier) {
        if (!rumor.isCurrent) continue;
        if (rumor.size > left) {
          kept.push(rumor);
          continue;
        }
        left -= rumor.size;
        messages.push(rumor.message);
        if (sent + 1 < limit) taken.push(rumor);
        else this.#byKey.delete(rumor.key);
      }
      this.#tiers[sent] = kept;
      moved.push(taken);
      if (left < 8) break;
    }
    for (const [sent, taken] of moved.entries()) if (taken.length > 0) this.#tier(sent + 1).push(...taken);
    return left;
  }

  #dropOldest(): void {
    for (const rumor of this.#byKey.values()) {
      rumor.isCurrent = false;
      this.#byKey.delete(rumor.key);
      return;
    }
  }

  #tier(sent: number): Rumor[] {
    let tier = this.#tiers[sent];
    if (tier === undefined) {
      tier = [];
      this.#tiers[sent] = tier;
    }
    return tier;
  }
}

/** How often each node sends a rumor so that, at 1 % loss, all of `members` nodes but about one in ten thousand get
 *  it. */
export function timesToSend(members: number): number {
  return Math.ceil(1.2 * Math.log(members + 1)) + 1;
}
