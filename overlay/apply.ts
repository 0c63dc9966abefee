import type { Kernel, Operation } from "../kernel/kernel.ts";
import { messageOf, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { Cluster } from "./cluster.ts";
import { cniFiles } from "./cni-config.ts";
import { type CniFileChanges, cniFileChanges, removeCniFiles, writeCniFiles } from "./cni-files.ts";
import { ISOLATION_TABLE } from "./isolation.ts";
import type { OverlayMetrics } from "./metric.ts";
import { observe, type Surroundings, surroundings } from "./observe.ts";
import { type Observed, type Plan, planOverlay } from "./plan.ts";
import { type Desired, tableOf } from "./table.ts";
import { tableInputOf } from "./table-input.ts";

export interface OverlayOptions {
  readonly kernel: Kernel;
  readonly files: Files;
  readonly metrics: OverlayMetrics;
  /** Folder of CNI configurations to keep, and the folder of leases that they name; no files are written when
   *  undefined. */
  readonly cni: { readonly dir: string; readonly dataDir: string | undefined } | undefined;
}

/** What one pass did. */
export interface OverlayReport {
  readonly desired: Desired;
  /** The steps taken; all empty when the kernel was as it should be. */
  readonly plan: Plan;
  /** Paths. */
  readonly filesWritten: readonly string[];
  readonly filesRemoved: readonly string[];
  /** What stands in the way and was left alone, in sentences. */
  readonly conflicts: readonly string[];
}

/** Keeps one node's kernel and CNI configuration as the cluster demands. */
export interface OverlayKeeper {
  /** One pass: reads the kernel once, plans, carries out. `self` is the name of this node. Everything that can be
   *  done is done, and then the refusals are thrown as one NetError with the first as its cause; `not-found` when the
   *  cluster has no such node. The CNI configuration of an overlay appears only after this node's own part of it
   *  stands, and goes before it goes. With `removing` false, nothing that is there is taken away: for a cluster that
   *  may be known in part only. */
  reconcile(cluster: Cluster, self: string, removing?: boolean): OverlayReport;
  /** True when something of ours was changed that the kernel's change notices (Kernel.changed) don't cover: the
   *  isolation table, a kernel setting, a CNI file. Costs a few small reads. False before the first pass. */
  disturbed(): boolean;
}

export function overlayKeeper(options: OverlayOptions): OverlayKeeper {
  return new Keeper(options);
}

class Keeper implements OverlayKeeper {
  readonly #options: OverlayOptions;
  /** The last table with what it was computed from: computing it for 4,000 peers costs more than all the rest of a
   *  quiet pass. */
  #table: { readonly key: string; readonly cluster: Cluster; readonly desired: Desired } | undefined;
  /** How nft lists our table after these commands. nft writes rules in its own words, which differ between versions,
   *  so the listing is compared with itself and not with the commands. */
  #isolation: { readonly commands: string; readonly listing: string | undefined } | undefined;
  /** The cluster of the last good pass: a change found while it stays the same is somebody else's doing. */
  #settled: Cluster | undefined;

  constructor(options: OverlayOptions) {
    this.#options = options;
  }

  reconcile(cluster: Cluster, self: string, removing = true): OverlayReport {
    const { metrics } = this.#options;
    metrics.passes += 1;
    try {
      return this.#pass(cluster, self, removing);
    } catch (error) {
      metrics.failedPasses += 1;
      throw error;
    }
  }

  disturbed(): boolean {
    const desired = this.#table?.desired;
    if (desired === undefined) return false;
    const { kernel } = this.#options;
    if (desired.sysctls.some(({ path, value }) => kernel.sysctl(path) !== value)) return true;
    if (desired.isolation.length > 0 && this.#isolationState(desired) !== "fits") return true;
    const files = this.#fileChanges(desired);
    return files !== undefined && files.write.length + files.remove.length > 0;
  }

  #pass(cluster: Cluster, self: string, removing: boolean): OverlayReport {
    const { kernel, metrics } = this.#options;
    const around = surroundings(kernel);
    const desired = this.#desired(cluster, self, around);
    const whole = planOverlay(desired, observe(kernel, around, desired, this.#isolationState(desired)));
    const plan = removing ? whole : withoutRemovals(whole, desired.isolation.length > 0);
    const refusals: Refusal[] = [];
    const changes = attempt(refusals, "read CNI configuration", () => this.#fileChanges(desired));
    const files = changes === undefined || removing ? changes : { ...changes, remove: [] };
    this.#carryOut(plan, desired, files, refusals, removing);
    this.#count(cluster, desired, plan, refusals);
    const conflicts = [...plan.conflicts, ...(files?.conflicts ?? [])];
    metrics.conflicts = conflicts.length;
    if (refusals.length > 0) throw summary(refusals);
    this.#settled = cluster;
    const filesWritten = files?.write.map(({ path }) => path) ?? [];
    return { desired, plan, filesWritten, filesRemoved: files?.remove ?? [], conflicts };
  }

  #desired(cluster: Cluster, name: string, around: Surroundings): Desired {
    const input = tableInputOf(cluster, name, around);
    const key = JSON.stringify([name, input.underlay, input.ipv6]);
    if (this.#table?.cluster !== cluster || this.#table.key !== key) {
      this.#table = { key, cluster, desired: tableOf(input) };
    }
    return this.#table.desired;
  }

  /** Loads libnftables only where a table of ours is wanted, or may be left from before. */
  #isolationState(desired: Desired): Observed["isolation"] {
    const wanted = desired.isolation.join("\n");
    if (wanted === "" && this.#isolation?.commands === "") return "absent";
    try {
      const listing = this.#options.kernel.nftables.table("inet", ISOLATION_TABLE);
      if (listing === undefined) return "absent";
      return this.#isolation?.commands === wanted && this.#isolation.listing === listing ? "fits" : "differs";
    } catch {
      // Where nftables can't be had there is no table of ours; where one is wanted, setting it up tells why it fails.
      return wanted === "" ? "absent" : "differs";
    }
  }

  #fileChanges(desired: Desired): CniFileChanges | undefined {
    const { files, cni } = this.#options;
    return cni === undefined ? undefined : cniFileChanges(files, cni.dir, cniFiles(desired.networks, cni.dataDir));
  }

  #carryOut(
    plan: Plan,
    desired: Desired,
    files: CniFileChanges | undefined,
    refusals: Refusal[],
    removing: boolean,
  ): void {
    const { kernel, files: disk, cni } = this.#options;
    if (files !== undefined) attempt(refusals, "remove CNI configuration", () => removeCniFiles(disk, files));
    // A table that was kept for want of knowledge isn't what the commands made, so nothing is noted of it.
    if (removing || desired.isolation.length > 0) {
      attempt(refusals, "set up isolation", () => this.#isolate(plan, desired));
    }
    refusals.push(...operate(kernel, plan.links));
    for (const { path, value } of plan.sysctls) {
      attempt(refusals, `set ${path}`, () => kernel.setSysctl(path, value));
    }
    refusals.push(...operate(kernel, plan.local));
    const standing = refusals.length === 0;
    refusals.push(...operate(kernel, plan.peers));
    if (standing && files !== undefined && cni !== undefined) {
      attempt(refusals, "write CNI configuration", () => writeCniFiles(disk, cni.dir, files));
      this.#options.metrics.files += files.write.length + files.remove.length;
    }
  }

  #isolate(plan: Plan, desired: Desired): void {
    const { kernel } = this.#options;
    if (plan.isolation.length > 0) kernel.nftables.run(plan.isolation);
    const commands = desired.isolation.join("\n");
    if (plan.isolation.length === 0 && this.#isolation?.commands === commands) return;
    this.#isolation = {
      commands,
      listing: commands === "" ? undefined : kernel.nftables.table("inet", ISOLATION_TABLE),
    };
  }

  #count(cluster: Cluster, desired: Desired, plan: Plan, refusals: readonly Refusal[]): void {
    const { metrics } = this.#options;
    const isolation = plan.isolation.length > 0 ? 1 : 0;
    const steps = isolation + plan.links.length + plan.sysctls.length + plan.local.length + plan.peers.length;
    const changes = steps - refusals.length;
    metrics.changes += changes;
    metrics.refusals += refusals.length;
    if (steps === 0) metrics.quietPasses += 1;
    if (this.#settled === cluster) metrics.repairs += changes;
    metrics.peers = cluster.nodes.length - 1;
    metrics.overlays = desired.networks.length;
    metrics.mtu = desired.mtu.mtu;
  }
}

/** `isWanted`: there is something to isolate. */
function withoutRemovals(plan: Plan, isWanted: boolean): Plan {
  const kept = (operations: readonly Operation[]) =>
    operations.filter((operation) => !operation.do.endsWith(".delete"));
  const isolation = isWanted ? plan.isolation : [];
  return { ...plan, isolation, links: kept(plan.links), local: kept(plan.local), peers: kept(plan.peers) };
}

interface Refusal {
  readonly what: string;
  readonly error: unknown;
}

function attempt<T>(refusals: Refusal[], what: string, action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    refusals.push({ what, error });
    return undefined;
  }
}

function operate(kernel: Kernel, operations: readonly Operation[]): Refusal[] {
  if (operations.length === 0) return [];
  const outcomes = kernel.attempt(operations);
  return operations.flatMap((operation, index) => {
    const error = outcomes[index];
    return error === undefined || isMoot(operation, error) ? [] : [{ what: operation.do, error }];
  });
}

/** Between reading and acting, somebody else (a link's own removal, the CNI plugin, the operator) may have removed
 *  the same object. */
const GONE: ReadonlySet<string | undefined> = new Set(["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"]);

function isMoot(operation: Operation, error: Error): boolean {
  return operation.do.endsWith(".delete") && error instanceof NetError && GONE.has(error.errno);
}

function summary(refusals: readonly Refusal[]): NetError {
  const first = refusals[0];
  const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more steps refused)` : "";
  return new NetError("kernel", {
    tried: `bring the overlay into force at step ${first?.what ?? ""}`,
    said: `${messageOf(first?.error)}${more}`,
    remedy: "what could be done is done, the rest is tried again",
    cause: first?.error,
  });
}
