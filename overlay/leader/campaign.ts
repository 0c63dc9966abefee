import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { type LeaderOptions, OverlayLeader } from "./leader.ts";
import type { OverlayNetwork } from "./network.ts";
import type { LeaderStore } from "./store.ts";
import type { NodeFact } from "./types.ts";

export interface CampaignOptions extends Omit<LeaderOptions, "term"> {
  readonly store: LeaderStore;
  /** Every node that is alive, asked at the start of a term. */
  readonly nodes: () => Iterable<NodeFact>;
  readonly clock: Clock;
  /** 0 ≤ number < 1, as Math.random. */
  readonly random: () => number;
}

/** A process that leads whenever it can. */
export interface Campaign {
  /** The leader of the present term; undefined while another process leads or the store is away. */
  leader(): OverlayLeader | undefined;
  /** Why this process could not lead when it last tried; undefined when nothing is wrong. */
  problem(): string | undefined;
  /** Tells of a node that is new or says something else than before. Nothing is lost when this process does not lead:
   *  the next term begins with all nodes. */
  observe(node: NodeFact): void;
  /** Another configuration, for this term and later ones. Rejects as {@link OverlayLeader.reconfigure} when this
   *  process leads; otherwise it is put in force when its turn comes. */
  reconfigure(network: OverlayNetwork): Promise<void>;
  /** Gives leadership or candidacy up. */
  stop(): Promise<void>;
}

/** A refused configuration is tried again this often: containers end, and nodes report what they run. */
const NETWORK_RETRY_MS = 5000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

/** Runs for leadership until stopped: term after term, with a pause that grows while terms fail at once. */
export function startCampaign(options: CampaignOptions): Campaign {
  return new Runner(options);
}

class Runner implements Campaign {
  readonly #options: CampaignOptions;
  readonly #abort = new AbortController();
  readonly #finished: Promise<void>;
  #network: OverlayNetwork;
  #leader: OverlayLeader | undefined;
  #problem: string | undefined;

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#network = options.network;
    this.#finished = this.#run();
  }

  leader(): OverlayLeader | undefined {
    return this.#leader;
  }

  problem(): string | undefined {
    return this.#problem;
  }

  observe(node: NodeFact): void {
    this.#leader?.register(node).catch((error: unknown) => {
      this.#options.log.warn("node not registered", { node: node.id, problem: messageOf(error) });
    });
  }

  async reconfigure(network: OverlayNetwork): Promise<void> {
    await this.#leader?.reconfigure(network);
    // Only what was accepted is wanted from now on: a refused change must not come true unasked, hours later.
    this.#network = network;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#finished;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#term(signal);
        failures = 0;
        this.#problem = undefined;
      } catch (error) {
        failures += 1;
        if (!signal.aborted) this.#failed(error);
      }
      if (!signal.aborted) await this.#pause(failures);
    }
  }

  /** One term from candidacy to its end. */
  async #term(signal: AbortSignal): Promise<void> {
    const { store, log, nodes } = this.#options;
    const term = await store.lead(signal, () => {
      this.#problem = undefined;
    });
    const resign = () => void term.resign();
    signal.addEventListener("abort", resign);
    try {
      if (signal.aborted) return;
      const leader = new OverlayLeader({ ...this.#options, network: this.#network, term });
      await leader.start();
      this.#leader = leader;
      this.#problem = undefined;
      log.info("leads the overlay", { epoch: term.epoch, nodes: leader.registry.records.size });
      for (const node of nodes()) this.observe(node);
      this.#reviewNetwork(leader);
      const reason = await term.lost;
      log.info("no longer leads the overlay", { epoch: term.epoch, reason: reason.message });
    } finally {
      this.#leader = undefined;
      signal.removeEventListener("abort", resign);
      await term.resign();
    }
  }

  /** As long as `leader` leads, and one look at a time. */
  #reviewNetwork(leader: OverlayLeader): void {
    this.#options.clock.schedule(NETWORK_RETRY_MS, () => {
      if (this.#leader !== leader) return;
      const attempt = leader.networkProblem === undefined ? Promise.resolve() : leader.reconfigure(this.#network);
      // Whether it was refused again is in the leader's networkProblem.
      void attempt.catch(() => undefined).then(() => this.#reviewNetwork(leader));
    });
  }

  #failed(error: unknown): void {
    this.#problem = messageOf(error);
    this.#options.log.error("can't lead the overlay", { problem: this.#problem });
  }

  /** A random half to whole of a wait that doubles with each failure, so that candidates which failed together don't
   *  retry together. */
  #pause(failures: number): Promise<void> {
    const { clock, random } = this.#options;
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.max(0, failures - 1));
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.schedule(longest * (0.5 + random() / 2), resolve);
    const stop = () => {
      cancel();
      resolve();
    };
    this.#abort.signal.addEventListener("abort", stop, { once: true });
    return promise.finally(() => this.#abort.signal.removeEventListener("abort", stop));
  }
}
