import { equalIp, type Ip } from "../lib/address.ts";
import type { Standing } from "./address-book.ts";
import type { NameKey } from "./names.ts";

/** A claim of this node. */
export interface OwnClaim extends NameKey {
  readonly address: Ip;
  /** Wall clock, milliseconds since 1970. */
  readonly since: number;
}

/** What is to be told of a name: a claim, or that it is taken back. */
export interface ClaimWord {
  readonly key: NameKey;
  readonly claim: OwnClaim | undefined;
}

/** What a node knows of a name that it may have to claim. */
export interface ClaimView {
  /** Whether a task that this node tells of is a backend of the name. */
  readonly hosts: boolean;
  readonly standing: Standing | undefined;
}

/** A node that comes back is known to be there before its news is: an old claim of it must not move a name. */
const GIVE_UP_MS = 5000;
/** A deployment may end the last task of a name before it starts the next. */
const KEEP_MS = 60_000;

interface Kept {
  readonly claim: OwnClaim;
  /** Monotonic time since when it doesn't fit any more, and why. */
  readonly unfit: { readonly since: number; readonly reason: "address" | "gone" } | undefined;
}

/** What this node claims: the address of each name that it hosts a backend of, as it stands, so that all its hosts
 *  say the same and it stays when any of them goes. */
export class OwnClaims {
  readonly #kept = new Map<string, Kept>();

  /** Takes the claims of this node's former self, before anything else. */
  resume(claims: Iterable<OwnClaim>): void {
    for (const claim of claims) this.#kept.set(textOf(claim), { claim, unfit: undefined });
  }

  /** Looks at one name. `now`: wall clock; `at`: monotonic time; both in milliseconds. */
  look(key: NameKey, view: ClaimView, now: number, at: number): ClaimWord[] {
    const text = textOf(key);
    const kept = this.#kept.get(text);
    const wanted = view.hosts ? wantedClaim(key, view.standing, kept?.claim, now) : undefined;
    if (kept === undefined) return wanted === undefined ? [] : this.#say(text, wanted);
    if (wanted !== undefined && equalIp(wanted.address, kept.claim.address)) {
      this.#kept.set(text, { claim: kept.claim, unfit: undefined });
      return wanted.since === kept.claim.since ? [] : this.#say(text, wanted);
    }
    const reason = wanted === undefined ? ("gone" as const) : ("address" as const);
    const unfit = kept.unfit?.reason === reason ? kept.unfit : { since: at, reason };
    this.#kept.set(text, { claim: kept.claim, unfit });
    if (at - unfit.since < (reason === "gone" ? KEEP_MS : GIVE_UP_MS)) return [];
    if (wanted !== undefined) return this.#say(text, wanted);
    this.#kept.delete(text);
    return [{ key: { name: key.name, family: key.family }, claim: undefined }];
  }

  /** Names whose claim doesn't fit, and which are to be looked at again from time to time. */
  unfit(): NameKey[] {
    const keys: NameKey[] = [];
    for (const { claim, unfit } of this.#kept.values()) if (unfit !== undefined) keys.push(claim);
    return keys;
  }

  #say(text: string, claim: OwnClaim): ClaimWord[] {
    this.#kept.set(text, { claim, unfit: undefined });
    return [{ key: { name: claim.name, family: claim.family }, claim }];
  }
}

function wantedClaim(
  { name, family }: NameKey,
  standing: Standing | undefined,
  own: OwnClaim | undefined,
  now: number,
): OwnClaim | undefined {
  if (standing === undefined) return undefined;
  const { address, since } = standing;
  // What this node said a moment ago may not have come back yet.
  const said = own !== undefined && equalIp(own.address, address) ? own.since : now;
  return { name, family, address, since: since ?? said };
}

function textOf({ name, family }: NameKey): string {
  return `${family}/${name}`;
}
