import { type Endpoint, endpointText } from "../endpoint.ts";

/** Failures in a row after which an upstream counts as down. */
const DOWN_AFTER = 3;
/** First and longest time between two looks at an upstream that is down, milliseconds. */
const PROBE_MS = { first: 1000, longest: 30_000 } as const;
/** Time in which what failures weigh halves, milliseconds. */
const HALF_LIFE_MS = 10_000;
/** What one failure adds to the time that an answer is expected to take, milliseconds. */
const FAILURE_MS = 200;
/** How long an upstream that can't read EDNS is asked without, milliseconds. */
const PLAIN_MS = 900_000;
/** Taken for the latency of an upstream that never answered, milliseconds. */
const UNKNOWN_MS = 50;
/** Shortest and longest wait before somebody else is asked too, milliseconds. */
const PATIENCE_MS = { least: 15, most: 400 } as const;

/** How an upstream is doing, for operators and metrics. */
export interface UpstreamStatus {
  /** As `endpointText` writes it. */
  readonly upstream: string;
  /** `loop`: it asks us what we ask it. */
  readonly health: "good" | "down" | "loop" | "unknown";
  /** Smoothed time of an answer, milliseconds; undefined before the first. */
  readonly latencyMs: number | undefined;
  readonly asked: number;
  readonly answered: number;
  /** By reason: `timeout`, `refused` and so on. */
  readonly failures: Readonly<Record<string, number>>;
  /** What it failed with last. */
  readonly lastFailure: string | undefined;
}

/** Why an upstream was of no use. The list is closed, since metrics have it as a label. */
export type UpstreamFailure = "timeout" | "unreachable" | "garbage" | "servfail" | "refused" | "loop";

/** What is known of one upstream: whether it answers, and how soon. What it did wrong weighs less with time, and one
 *  good answer makes it whole. Pure: every method is told the monotonic time in milliseconds. */
export class Upstream {
  readonly endpoint: Endpoint;
  #smoothed: number | undefined;
  #deviation = 0;
  #penalty = 0;
  #penaltyAt = 0;
  #failedInRow = 0;
  #looping = false;
  #backoff: number = PROBE_MS.first;
  #asked = 0;
  #answered = 0;
  readonly #failures = new Map<UpstreamFailure, number>();
  #lastFailure: string | undefined;
  #plainUntil = Number.NEGATIVE_INFINITY;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  asked(): void {
    this.#asked++;
  }

  /** It answered after so long. True when it was down until now. Smoothing as TCP's (RFC 6298 section 2). */
  answered(latencyMs: number): boolean {
    this.#answered++;
    if (this.#smoothed === undefined) {
      this.#smoothed = latencyMs;
      this.#deviation = latencyMs / 2;
    } else {
      this.#deviation += (Math.abs(latencyMs - this.#smoothed) - this.#deviation) / 4;
      this.#smoothed += (latencyMs - this.#smoothed) / 8;
    }
    const recovered = this.isDown;
    this.#failedInRow = 0;
    this.#penalty = 0;
    this.#looping = false;
    this.#backoff = PROBE_MS.first;
    return recovered;
  }

  /** It was of no use. True when it counts as down from now on. An upstream that refuses a name, or fails to resolve
   *  it, is alive: it only becomes less wanted. */
  failed(now: number, reason: UpstreamFailure, said: string): boolean {
    const before = this.isDown;
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
    this.#lastFailure = said;
    this.#penalty = this.#penaltyOf(now) + 1;
    this.#penaltyAt = now;
    if (reason === "loop") this.#looping = true;
    if (reason !== "servfail" && reason !== "refused") this.#failedInRow++;
    return !before && this.isDown;
  }

  /** Whether it is asked with EDNS. */
  speaksEdns(now: number): boolean {
    return now >= this.#plainUntil;
  }

  /** It has shown that it can't read EDNS (RFC 6891 section 7); it may be replaced some day. */
  noEdns(now: number): void {
    this.#plainUntil = now + PLAIN_MS;
  }

  get isDown(): boolean {
    return this.#looping || this.#failedInRow >= DOWN_AFTER;
  }

  /** True while it asks us what we ask it: asking it is worse than useless. */
  get isLooping(): boolean {
    return this.#looping;
  }

  /** Milliseconds until it should be looked at again; each time twice as long. */
  nextProbeMs(): number {
    const wait = this.#backoff;
    this.#backoff = Math.min(this.#backoff * 2, PROBE_MS.longest);
    return wait;
  }

  /** Order of asking: expected milliseconds to an answer, failures counted in. */
  costAt(now: number): number {
    return (this.#smoothed ?? UNKNOWN_MS) + this.#penaltyOf(now) * FAILURE_MS;
  }

  /** How long to wait for it before asking another one too, milliseconds: later than almost all its answers came. */
  patienceMs(): number {
    const usual = (this.#smoothed ?? UNKNOWN_MS) + 4 * this.#deviation;
    return Math.min(PATIENCE_MS.most, Math.max(PATIENCE_MS.least, usual));
  }

  status(): UpstreamStatus {
    const known = this.#answered + this.#failedInRow > 0;
    return {
      upstream: endpointText(this.endpoint),
      health: this.#looping ? "loop" : this.isDown ? "down" : known ? "good" : "unknown",
      latencyMs: this.#smoothed,
      asked: this.#asked,
      answered: this.#answered,
      failures: Object.fromEntries(this.#failures),
      lastFailure: this.#lastFailure,
    };
  }

  #penaltyOf(now: number): number {
    return this.#penalty * 2 ** ((this.#penaltyAt - now) / HALF_LIFE_MS);
  }
}

/** Upstreams in the order in which to ask them: those that are up by expected time, then those that are down; ones that
 *  loop not at all. Now and then another one goes first, so that what is known of it doesn't grow old; `random` gives
 *  numbers from 0 to 1. */
export function orderOf(upstreams: readonly Upstream[], now: number, random: () => number): readonly Upstream[] {
  const costs = new Map(upstreams.map((each) => [each, each.costAt(now) + random()]));
  const order = upstreams
    .filter(({ isLooping }) => !isLooping)
    .sort((a, b) => Number(a.isDown) - Number(b.isDown) || (costs.get(a) ?? 0) - (costs.get(b) ?? 0));
  const up = order.filter(({ isDown }) => !isDown).length;
  if (up > 1 && random() < EXPLORED) {
    const [chosen] = order.splice(1 + Math.floor(random() * (up - 1)), 1);
    if (chosen !== undefined) order.unshift(chosen);
  }
  return order;
}

/** Share of the queries that begin with an upstream that isn't the best. */
const EXPLORED = 0.02;
