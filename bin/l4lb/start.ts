import { vipKey } from "../../facts/fact.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { DataplaneKind } from "../../l4lb/dataplane.ts";
import type { ClaimWord } from "../../l4lb/own-claims.ts";
import type { PublishedName } from "../../l4lb/published.ts";
import { formatIp } from "../../lib/address.ts";
import { type Cancel, systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { ClusterMode } from "../cluster/cluster-mode.ts";
import type { Config } from "../config.ts";
import type { RunningDns } from "../dns/start.ts";
import { chooseDataplane } from "./choose-dataplane.ts";
import { openersOf } from "./dataplanes.ts";
import { type VipSettings, vipSettings } from "./settings.ts";
import { UsedDataplanes } from "./used-dataplanes.ts";
import { Vips } from "./vips.ts";

/** Wait before a kernel that has no data plane is asked again: a module may come, or be brought. */
const RETRY_MS = 10_000;

export interface VipParts {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
  readonly mode: ClusterMode;
  /** Gets the names of virtual IPs; undefined where no DNS server runs. */
  readonly dns: RunningDns | undefined;
}

/** The virtual IPs of an agent, from when the kernel has a data plane for them. */
export interface RunningVips {
  readonly settings: VipSettings;
  /** Undefined while the kernel has no data plane. */
  current(): Vips | undefined;
  /** Why there are none, or why they aren't as they should be; undefined when all is well. */
  problem(): string | undefined;
  /** Resolves when the names of virtual IPs are complete for the first time, or when there can't be any now. */
  readonly named: Promise<void>;
  /** Calls `onChange` whenever something of this may be different. */
  watch(onChange: () => void): void;
  stop(): Promise<void>;
}

/** Starts the virtual IPs of a node. A kernel without data plane is asked again from time to time. Throws a NetError
 *  `invalid` for a setting that can't be used. */
export function startVips(parts: VipParts): RunningVips {
  return new Starter(parts);
}

/** Takes away what virtual IPs left in the kernel, for a node that is to have none any more. */
export function removeVips({ config, kernel, files, log }: Omit<VipParts, "mode" | "dns">): void {
  removeOthers(config, kernel, new UsedDataplanes(files, config.state_dir), undefined, log);
}

class Starter implements RunningVips {
  readonly settings: VipSettings;
  readonly #parts: VipParts;
  readonly #used: UsedDataplanes;
  #vips: Vips | undefined;
  #problem: string | undefined;
  #retry: Cancel | undefined;
  readonly #named = Promise.withResolvers<void>();
  #onChange = () => {};

  constructor(parts: VipParts) {
    this.#parts = parts;
    this.settings = vipSettings(parts.config);
    this.#used = new UsedDataplanes(parts.files, parts.config.state_dir);
    this.#try();
  }

  get named(): Promise<void> {
    return this.#named.promise;
  }

  current(): Vips | undefined {
    return this.#vips;
  }

  problem(): string | undefined {
    return this.#vips === undefined ? this.#problem : this.#vips.failure;
  }

  watch(onChange: () => void): void {
    this.#onChange = onChange;
  }

  async stop(): Promise<void> {
    this.#retry?.();
    await this.#vips?.stop();
  }

  #try(): void {
    const { log } = this.#parts;
    try {
      this.#vips = this.#start();
      this.#problem = undefined;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problem) log.error("no virtual IPs", { problem });
      this.#problem = problem;
      this.#named.resolve();
      this.#retry = systemClock.schedule(RETRY_MS, () => this.#try());
    }
    this.#onChange();
  }

  #start(): Vips {
    const { config, kernel, log, mode, dns } = this.#parts;
    const chosen = chooseDataplane(openersOf(config), kernel, config.l4lb === "off" ? "auto" : config.l4lb);
    const { kind } = chosen.dataplane;
    this.#used.add(kind);
    log.info("data plane of virtual IPs", { dataplane: kind, reason: chosen.reason });
    const { address, address6 } = mode.prepared.addresses;
    return new Vips({
      ...{ chosen, settings: this.settings, node: mode.node, view: mode.member.view, log },
      addresses: [address, address6].flatMap((ip) => (ip === undefined ? [] : formatIp(ip))),
      isComplete: () => mode.isSettled,
      publish: (words) => publish(mode, words, log),
      name: (names) => tellDns(dns, names),
      onSettled: () => {
        this.#named.resolve();
        return removeOthers(config, kernel, this.#used, kind, log);
      },
      onChange: () => this.#onChange(),
      clock: systemClock,
      random: Math.random,
    });
  }
}

/** True when there was something to remove. */
function removeOthers(
  config: Config,
  kernel: Kernel,
  used: UsedDataplanes,
  kept: DataplaneKind | undefined,
  log: Log,
): boolean {
  const others = used.others(kept);
  for (const kind of others) {
    try {
      const other = openersOf(config).get(kind)?.(kernel);
      other?.remove();
      other?.close();
      used.delete(kind);
      log.info("former data plane of virtual IPs removed", { dataplane: kind });
    } catch (error) {
      log.error("former data plane of virtual IPs not removed", { dataplane: kind, problem: messageOf(error) });
    }
  }
  return others.length > 0;
}

function publish({ member: { publisher } }: ClusterMode, words: readonly ClaimWord[], log: Log): void {
  for (const { key, claim } of words) {
    const { name, family } = key;
    try {
      if (claim === undefined) publisher.take({ kind: "vip", key: `${family}/${name}` });
      else {
        const body = { name, address: formatIp(claim.address), since: claim.since };
        publisher.put({ kind: "vip", key: vipKey(body), body });
      }
    } catch (error) {
      log.error("address of a virtual IP not claimed", { name, problem: messageOf(error) });
    }
  }
  publisher.flush();
}

function tellDns(running: RunningDns | undefined, names: readonly PublishedName[]): void {
  if (running === undefined || names.length === 0) return;
  running.dns.names.vips(
    names.map(({ name, addresses }) => {
      return { key: name, vip: addresses.length === 0 ? undefined : { label: name, framework: "", addresses } };
    }),
  );
  running.dns.server.publish();
}
