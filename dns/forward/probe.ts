import type { Cancel, Clock } from "../../lib/clock.ts";
import { RCODE, TYPE } from "../codes.ts";
import type { Name } from "../name.ts";
import type { UpstreamNetwork } from "./network.ts";
import { writeQuestion } from "./question.ts";
import type { Upstream } from "./upstream.ts";
import { judge } from "./validate.ts";

/** Names that only probes have; nobody owns what is below it (RFC 6761 section 6.2). */
const PROBE_ZONE: Name = "loop.dcos-net.test";
const GOOD: ReadonlySet<number> = new Set([RCODE.NOERROR, RCODE.NXDOMAIN]);
/** How long an upstream may take to answer a probe, milliseconds. */
const PROBE_MS = 2000;

export interface ProbeOptions {
  readonly network: UpstreamNetwork;
  readonly clock: Clock;
  /** Numbers from 0 to 1 that can't be predicted. */
  readonly random: () => number;
  /** Told of an upstream that is down from now on, or up again. */
  readonly onChange: (upstream: Upstream, up: boolean) => void;
}

interface Probe {
  readonly upstream: Upstream;
  /** It came back to us. */
  looped: boolean;
}

/** Asks upstreams for names that nobody has, to learn two things: that one which was down answers again, and, when such
 *  a question comes back to this server, that asking it leads in a circle. */
export class Probes {
  readonly #options: ProbeOptions;
  readonly #open = new Map<Name, Probe>();
  readonly #cancels = new Map<Upstream, Cancel>();

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Asks when it is time to; not at all while it is being asked. */
  later(upstream: Upstream): void {
    if (this.#cancels.has(upstream)) return;
    const cancel = this.#options.clock.schedule(upstream.nextProbeMs(), () => this.look(upstream));
    this.#cancels.set(upstream, cancel);
  }

  /** Asks now, and again until it answers, if it doesn't. */
  look(upstream: Upstream): void {
    const { network, clock, random } = this.#options;
    this.forget(upstream);
    const name: Name = `${digits(random)}${digits(random)}.${PROBE_ZONE}`;
    const probe: Probe = { upstream, looped: false };
    this.#open.set(name, probe);
    const question = { name, type: TYPE.A, dnssecOk: false, checkingDisabled: false };
    const sent = writeQuestion(question, upstream.speaksEdns(clock.monotonic()), random);
    const began = clock.monotonic();
    const end = (): void => {
      stop();
      cancel();
      this.#open.delete(name);
      this.#cancels.delete(upstream);
    };
    const again = (): void => {
      end();
      this.later(upstream);
    };
    const cancel = clock.schedule(PROBE_MS, () => {
      upstream.failed(clock.monotonic(), "timeout", `no answer in ${PROBE_MS} ms`);
      again();
    });
    const stop = network.udp(upstream.endpoint, sent.message, {
      message: (bytes) => {
        const judged = judge(bytes, sent, true);
        if (judged.verdict === "not-ours") return;
        // One that led in a circle must show that it knows somebody else now.
        const resolves = judged.verdict === "answer" && GOOD.has(judged.answer.rcode);
        if (probe.looped || (upstream.isLooping && !resolves)) again();
        else {
          end();
          if (upstream.answered(clock.monotonic() - began)) this.#options.onChange(upstream, true);
        }
      },
      failed: (said) => {
        upstream.failed(clock.monotonic(), "unreachable", said);
        again();
      },
    });
    this.#cancels.set(upstream, end);
  }

  /** True for a name that we are asking an upstream for just now: it, or one that it asks, asks us. */
  hasComeBack(name: Name): boolean {
    const probe = this.#open.get(name);
    if (probe === undefined) return false;
    if (!probe.looped) {
      const { clock, onChange } = this.#options;
      probe.looped = true;
      const wasLooping = probe.upstream.isLooping;
      probe.upstream.failed(clock.monotonic(), "loop", "asks us what we ask it");
      if (!wasLooping) onChange(probe.upstream, false);
    }
    return true;
  }

  /** Asks it no more. */
  forget(upstream: Upstream): void {
    this.#cancels.get(upstream)?.();
    this.#cancels.delete(upstream);
  }

  stop(): void {
    for (const upstream of [...this.#cancels.keys()]) this.forget(upstream);
  }
}

function digits(random: () => number): string {
  return Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, "0");
}
