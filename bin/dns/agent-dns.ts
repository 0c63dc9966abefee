import { DnsKeeper } from "../../dns/apply.ts";
import { DCOS_RANGES, Names } from "../../dns/names.ts";
import { aliases } from "../../dns/naming.ts";
import { DnsServer } from "../../dns/server.ts";
import { traceName } from "../../dns/trace.ts";
import type { FactView } from "../../facts/view.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";
import type { DnsReport, DnsState } from "../api/dns.ts";
import type { Config } from "../config.ts";
import { type DnsSettings, dnsSettings, endpointText } from "./settings.ts";

/** Memory reserved for the names that workers answer by themselves; only what is used is taken. */
export const TABLE_BYTES = 1 << 30;

/** Time between two looks at the kernel, within which a foreign deletion is repaired, milliseconds. */
const LOOK_MS = 2000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

export interface AgentDnsOptions {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly log: Log;
  /** Id of this node among the node facts. */
  readonly node: string;
  readonly view: FactView;
}

/** The DNS server of a node: its names follow the facts, its addresses and rules are kept in the kernel. */
export class AgentDns {
  readonly settings: DnsSettings;
  readonly names: Names;
  readonly server: DnsServer;
  readonly keeper: DnsKeeper;
  readonly #log: Log;
  readonly #view: FactView;
  readonly #aliases = aliases();
  readonly #loop: Loop;
  readonly #unsubscribe: () => void;
  /** What the last pass said was wrong. */
  #problem: string | undefined;
  #hasPassed = false;

  /** Throws a NetError `invalid` for settings that can't be used; nothing has been started then. */
  constructor({ config, kernel, log, node, view }: AgentDnsOptions) {
    const settings = dnsSettings(config);
    const { addresses, untracked, listen, workers } = settings;
    this.settings = settings;
    this.#log = log;
    this.#view = view;
    this.keeper = new DnsKeeper({ kernel, device: config.dns_device, addresses, untracked, port: config.dns_port });
    this.names = new Names({ node, publicAddresses: [], custom: [], ranges: DCOS_RANGES, zones: [] });
    this.names.begin(view.snapshot());
    // The addresses are there before the server asks for them, or it would only have them at its second try.
    this.#keep();
    this.server = new DnsServer({
      listen,
      zones: this.names.zones,
      authority: { aliases: this.#aliases },
      forward: undefined,
      workers,
      tableBytes: TABLE_BYTES,
      clock: systemClock,
      log,
    });
    this.#unsubscribe = view.subscribe((delta, snapshot) => {
      this.names.change(delta, snapshot);
      this.server.publish();
    });
    this.#loop = startLoop({
      run: () => this.#pass(),
      clock: systemClock,
      random: Math.random,
      leastGapMs: FIRST_RETRY_MS,
      longestGapMs: LOOK_MS,
      firstRetryMs: FIRST_RETRY_MS,
      longestRetryMs: LONGEST_RETRY_MS,
      onFailure: () => {},
    });
  }

  /** What the HTTP API and commands show. */
  state(): DnsState {
    return {
      zones: this.names.zones,
      aliases: this.#aliases,
      trace: (name, type) =>
        traceName(name, type, {
          zones: this.names.zones,
          aliases: this.#aliases,
          sources: this.names.sources(this.#view.snapshot()),
        }),
      report: () => this.#report(),
    };
  }

  /** Ends answering. Addresses and rules stay, as everything in the kernel does when the agent ends. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#loop.stop();
    await this.server.stop();
  }

  #report(): DnsReport {
    const { listen, workers } = this.settings;
    const bound = this.server.bound().map(({ ip, udpPort }) => endpointText({ ip, port: udpPort }));
    const { names, bytes, answered } = this.server.fastPath();
    return {
      listening: bound,
      waiting: listen.map(endpointText).filter((text) => !bound.includes(text)),
      problems: [this.#problem].flatMap((problem) => problem ?? []),
      workers,
      fastNames: names,
      fastBytes: bytes,
      fastAnswers: answered,
    };
  }

  #keep(): void {
    try {
      this.#pass();
    } catch {
      // The loop tries again, and the log has it.
    }
  }

  #pass(): void {
    try {
      const changes = this.keeper.pass();
      if (changes.length > 0) this.#tell(changes);
      this.#problem = undefined;
      this.#hasPassed = true;
    } catch (error) {
      const problem = messageOf(error);
      // The same trouble is told once, however often it is tried again.
      if (problem !== this.#problem) this.#log.error("DNS addresses or rules not as they should be", { problem });
      this.#problem = problem;
      throw error;
    }
  }

  #tell(objects: readonly string[]): void {
    if (this.#hasPassed) this.#log.warn("foreign change repaired", { objects });
    else this.#log.info("DNS set up in the kernel", { objects });
  }
}
