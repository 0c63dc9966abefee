import type { Cancel, Clock } from "../../lib/clock.ts";
import { RCODE, rcodeText } from "../codes.ts";
import { endpointText } from "../endpoint.ts";
import type { Answer } from "./answer.ts";
import { Hedge } from "./hedge.ts";
import type { UpstreamNetwork } from "./network.ts";
import { type Question, type SentQuestion, writeQuestion } from "./question.ts";
import { orderOf, type Upstream, type UpstreamFailure } from "./upstream.ts";
import { judge } from "./validate.ts";

/** What came of asking. A failure has the first answer that was of no use, if any came, and what each upstream did. */
export type Asked =
  | { readonly outcome: "answer"; readonly answer: Answer; readonly upstream: Upstream }
  | { readonly outcome: "failed"; readonly unwanted: Answer | undefined; readonly said: string };

export interface AskOptions {
  readonly network: UpstreamNetwork;
  readonly clock: Clock;
  /** Numbers from 0 to 1 that can't be predicted. */
  readonly random: () => number;
  /** When an answer must be there, milliseconds from now. */
  readonly deadlineMs: number;
  /** Told of an upstream that is down from now on, or up again. */
  readonly onChange: (upstream: Upstream, up: boolean) => void;
}

/** What servers from the time before EDNS say to it (RFC 6891 section 7). */
const CONFUSED: ReadonlySet<number> = new Set([RCODE.FORMERR, RCODE.NOTIMP, RCODE.BADVERS]);

/** Messages that one exchange may bring without the true answer; more is somebody who floods us. */
const STRANGE_MOST = 100;

/** Asks upstreams until one gives a good answer: a name's records, or that there are none. Doesn't reject. */
export function ask(question: Question, upstreams: readonly Upstream[], options: AskOptions): Promise<Asked> {
  return new Asking(question, upstreams, options).begin();
}

class Asking {
  readonly #question: Question;
  readonly #options: AskOptions;
  readonly #hedge: Hedge<Upstream>;
  readonly #deadline: number;
  readonly #result = Promise.withResolvers<Asked>();
  readonly #said = new Map<Upstream, string>();
  readonly #upstreams: readonly Upstream[];
  #unwanted: Answer | undefined;
  #settled = false;
  #wake: Cancel = () => {};

  constructor(question: Question, upstreams: readonly Upstream[], options: AskOptions) {
    const { clock, random, deadlineMs } = options;
    const now = clock.monotonic();
    this.#question = question;
    this.#options = options;
    this.#upstreams = upstreams;
    this.#deadline = now + deadlineMs;
    const candidates = orderOf(upstreams, now, random).map((upstream) => ({
      upstream,
      patienceMs: upstream.patienceMs(),
    }));
    this.#hedge = new Hedge(candidates, now, this.#deadline);
  }

  begin(): Promise<Asked> {
    this.#step();
    return this.#result.promise;
  }

  #step(): void {
    if (this.#settled) return;
    const { clock } = this.#options;
    for (;;) {
      const upstream = this.#hedge.due(clock.monotonic());
      if (upstream === undefined) break;
      this.#overUdp(upstream);
    }
    const now = clock.monotonic();
    if (this.#hedge.isOver(now)) {
      this.#settle({ outcome: "failed", unwanted: this.#unwanted, said: this.#whatWasSaid() });
      return;
    }
    this.#wake();
    this.#wake = clock.schedule(Math.max(1, this.#hedge.wakeAt() - now), () => this.#step());
  }

  #overUdp(upstream: Upstream): void {
    const { clock, random } = this.#options;
    const edns = upstream.speaksEdns(clock.monotonic());
    const sent = writeQuestion(this.#question, edns, random);
    this.#exchange(upstream, "udp", sent, (message, latencyMs) => {
      const judged = judge(message, sent, true);
      if (judged.verdict === "not-ours") return false;
      if (judged.verdict === "answer" && edns && CONFUSED.has(judged.answer.rcode)) this.#withoutEdns(upstream);
      else if (judged.verdict === "answer") this.#take(upstream, judged.answer, latencyMs);
      else if (judged.verdict === "garbage") this.#lost(upstream, "garbage", "sent what can't be read");
      else {
        this.#alive(upstream, latencyMs);
        if (!this.#settled) this.#overTcp(upstream, sent);
      }
      return true;
    });
  }

  #overTcp(upstream: Upstream, sent: SentQuestion): void {
    this.#exchange(upstream, "tcp", sent, (message, latencyMs) => {
      const judged = judge(message, sent, false);
      if (judged.verdict === "answer") this.#take(upstream, judged.answer, latencyMs);
      else this.#lost(upstream, "garbage", "sent what can't be read over TCP");
      return true;
    });
  }

  /** Runs until `onMessage` takes a message, the other side fails, or the deadline; beyond the end of the whole too,
   *  since a late answer tells how slow an upstream is, and none that it is dead. */
  #exchange(
    upstream: Upstream,
    over: "udp" | "tcp",
    sent: SentQuestion,
    onMessage: (message: Uint8Array, latencyMs: number) => boolean,
  ): void {
    const { clock, network } = this.#options;
    const began = clock.monotonic();
    let strange = 0;
    upstream.asked();
    const stop = network[over](upstream.endpoint, sent.message, {
      message: (bytes) => {
        if (onMessage(bytes, clock.monotonic() - began)) end();
        else if (++strange >= STRANGE_MOST) fail("garbage", `sent ${strange} messages that answer nothing`);
      },
      failed: (said) => fail("unreachable", said),
    });
    // An answer that has to be fetched over TCP may have come at the last moment.
    const cancel = clock.schedule(Math.max(1, this.#deadline - began), () =>
      fail("timeout", `no answer in ${Math.round(this.#deadline - began)} ms`),
    );
    const end = (): void => {
      cancel();
      stop();
    };
    const fail = (reason: UpstreamFailure, said: string): void => {
      end();
      this.#lost(upstream, reason, said);
    };
  }

  #take(upstream: Upstream, answer: Answer, latencyMs: number): void {
    const { rcode } = answer;
    if (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) {
      this.#alive(upstream, latencyMs);
      this.#settle({ outcome: "answer", answer, upstream });
    } else {
      this.#unwanted ??= answer;
      const text = answer.extendedError === undefined ? "" : ` (${answer.extendedError.text})`;
      this.#lost(upstream, rcode === RCODE.SERVFAIL ? "servfail" : "refused", `answered ${rcodeText(rcode)}${text}`);
    }
  }

  #withoutEdns(upstream: Upstream): void {
    upstream.noEdns(this.#options.clock.monotonic());
    if (!this.#settled) this.#overUdp(upstream);
  }

  #alive(upstream: Upstream, latencyMs: number): void {
    if (upstream.answered(latencyMs)) this.#options.onChange(upstream, true);
  }

  #lost(upstream: Upstream, reason: UpstreamFailure, said: string): void {
    const { clock, onChange } = this.#options;
    const now = clock.monotonic();
    if (upstream.failed(now, reason, said)) onChange(upstream, false);
    this.#said.set(upstream, said);
    if (this.#settled) return;
    this.#hedge.lost(upstream, now);
    this.#step();
  }

  #settle(asked: Asked): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#wake();
    this.#result.resolve(asked);
  }

  #whatWasSaid(): string {
    const all = this.#upstreams.map(
      (upstream) => `${endpointText(upstream.endpoint)} ${this.#said.get(upstream) ?? reasonOf(upstream)}`,
    );
    return all.join("; ");
  }
}

function reasonOf(upstream: Upstream): string {
  return upstream.isLooping ? "asks us what we ask it" : "did not answer in time";
}
