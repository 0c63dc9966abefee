import type { BackendCounters, Change, Dataplane, Foundation, ServiceCounters } from "../../l4lb/dataplane.ts";
import { backendName, type Service, serviceName } from "../../l4lb/service.ts";
import { NetError } from "../../lib/error.ts";

/** A data plane in memory, with what a test does to it. */
export class MemoryDataplane implements Dataplane {
  readonly kind = "nftables";
  readonly services = new Map<string, Service>();
  /** Every change that was asked for, in words. */
  readonly log: string[] = [];
  /** How often the whole was read. */
  reads = 0;
  hasTable = false;
  isRemoved = false;
  /** What it says when it is asked whether all is as it was left. */
  quiet = false;
  /** Services whose changes are refused. */
  readonly refuses = new Set<string>();

  onChange: (what: string) => void = () => {};
  onRead: () => void = () => {};

  /** Puts a service there, as an earlier agent, or somebody else, might have. */
  hold(service: Service): void {
    this.services.set(serviceName(service), service);
  }

  prepare(): Foundation {
    if (this.hasTable) return { made: [] };
    this.hasTable = true;
    return { made: ["table"] };
  }

  read(): Service[] {
    this.reads += 1;
    this.onRead();
    return [...this.services.values()];
  }

  isQuiet(): boolean {
    return this.quiet;
  }

  apply(changes: readonly Change[]): (Error | undefined)[] {
    return changes.map((change) => {
      const name = serviceName(change.do === "put" ? change.service : change.key);
      this.log.push(`${change.do} ${name}`);
      this.onChange(`${change.do} ${name}`);
      if (this.refuses.has(name))
        return new NetError("kernel", { tried: `${change.do} ${name}`, said: "no", errno: "EBUSY" });
      if (change.do === "put") this.services.set(name, change.service);
      else this.services.delete(name);
      return undefined;
    });
  }

  counters(): ServiceCounters[] {
    return [...this.services.values()].map((service) => ({
      key: service,
      backends: service.backends.map(({ ip, port }): BackendCounters => ({ ip, port, active: 1, total: 2 })),
    }));
  }

  remove(): void {
    this.services.clear();
    this.hasTable = false;
    this.isRemoved = true;
  }

  close(): void {}

  /** Services with their backends and weights, sorted. */
  content(): string[] {
    return [...this.services.values()]
      .map(
        (service) =>
          `${serviceName(service)} → ${service.backends.map((each) => `${backendName(each)}*${each.weight}`).join(" ")}`,
      )
      .sort();
  }
}
