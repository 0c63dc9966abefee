import { MesosDnsApi } from "../../dns/mesos/api.ts";
import { labelModeOf, type MesosDnsConfig } from "../../dns/mesos/config.ts";
import { type MesosRecords, mesosRecords, type RecordOptions, type SourceRule } from "../../dns/mesos/records.ts";
import type { HostPort, MesosState } from "../../dns/mesos/state.ts";
import { mesosZone, servedRecords } from "../../dns/mesos/zone.ts";
import type { DnsRecord } from "../../dns/record.ts";
import type { Zone } from "../../dns/zone.ts";
import { type Cancel, systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";
import { VERSION } from "../version.ts";
import { resolveHosts } from "./hosts.ts";
import { type MesosMasters, mesosMasters } from "./mesos-masters.ts";
import { fetchState } from "./mesos-state.ts";
import { ownAddresses } from "./own-addresses.ts";

/** From news of a change until the masters are asked, milliseconds: many changes cost one question, and masters have
 *  heard by then what agents saw before them. */
const NEWS_WAIT_MS = 5000;

export interface MesosDnsOptions {
  readonly config: MesosDnsConfig;
  readonly sourceRule: SourceRule;
  readonly files: Files;
  readonly log: Log;
  /** Takes all records whenever the state of the masters was read. */
  readonly onRecords: (records: readonly DnsRecord[]) => void;
}

/** What Mesos-DNS does: asks the masters for their state again and again and makes records of it, for DNS and for its
 *  HTTP API. Whoever has it serves the records. */
export class MesosDns {
  readonly zone: Zone;
  readonly #options: MesosDnsOptions;
  readonly #masters: MesosMasters;
  readonly #api: MesosDnsApi;
  #loop: Loop | undefined;
  #news: Cancel | undefined;
  #made: MesosRecords | undefined;
  #http: { stop(): unknown } | undefined;

  /** Throws a NetError `invalid` for a configuration that can't be used. */
  constructor(options: MesosDnsOptions) {
    const { config, files } = options;
    this.#options = options;
    this.#masters = mesosMasters(config, files);
    this.zone = mesosZone(config, config.SOASerial);
    const { serial } = this.zone.soa;
    this.#api = new MesosDnsApi(() => ({ config, made: this.#made, serial, version: VERSION }));
  }

  /** Begins to ask. The HTTP API, if there is to be one, is served once the names are known, as that of Mesos-DNS. */
  start(): void {
    const { config, log } = this.#options;
    const loop = startLoop({
      run: () => this.#refresh(),
      clock: systemClock,
      random: Math.random,
      leastGapMs: 100,
      longestGapMs: config.RefreshSeconds * 1000,
      firstRetryMs: 500,
      longestRetryMs: config.RefreshSeconds * 1000,
      onFailure: (error, retry_ms) => log.warn("cannot refresh", { error: messageOf(error), retry_ms }),
    });
    this.#masters.watch(() => loop.request());
    this.#loop = loop;
  }

  /** Asks the masters a while from now, without waiting for the next of its own times. */
  refreshSoon(): void {
    this.#news ??= systemClock.schedule(NEWS_WAIT_MS, () => {
      this.#news = undefined;
      this.#loop?.request();
    });
  }

  async stop(): Promise<void> {
    this.#news?.();
    this.#http?.stop();
    await this.#masters.stop();
    await this.#loop?.stop();
  }

  async #refresh(): Promise<void> {
    const { config, files, log, onRecords } = this.#options;
    const onSkipped = (what: string): void => log.warn("left out of the state", { what });
    const masters = await this.#masters.list();
    const state = await fetchState({ config, masters, files, onSkipped });
    this.#made = mesosRecords(state, await this.#recordOptions(masters, state));
    log.debug("state read", { records: this.#made.records.length });
    onRecords(servedRecords(this.#made.records, config));
    if (config.HttpOn) this.#http ??= this.#serve();
  }

  async #recordOptions(masters: readonly HostPort[], state: MesosState): Promise<RecordOptions> {
    const { config, sourceRule } = this.#options;
    const resolve = await resolveHosts([
      state.leader.host,
      ...masters.map(({ host }) => host),
      ...state.agents.flatMap(({ endpoint }) => endpoint?.host ?? []),
      ...state.frameworks.flatMap(({ scheduler }) => scheduler?.host ?? []),
    ]);
    return {
      domain: config.Domain,
      labels: labelModeOf(config),
      sources: config.IPSources,
      sourceRule,
      masters,
      server: config.SOAMname,
      serverAddresses: config.Listener === "0.0.0.0" ? ownAddresses() : [config.Listener],
      resolve,
    };
  }

  #serve(): { stop(): unknown } {
    const { config } = this.#options;
    return Bun.serve({
      hostname: config.HTTPListener,
      port: config.HttpPort,
      fetch: (request) => {
        const accept = request.headers.get("accept") ?? "";
        const path = new URL(request.url).pathname;
        const { status, type, body } = this.#api.answer({ method: request.method, path, accept });
        return new Response(body, { status, headers: { "Content-Type": type } });
      },
    });
  }
}
