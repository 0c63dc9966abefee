import { release } from "node:os";
import type { AssignmentFact } from "../../facts/fact.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp } from "../../lib/address.ts";
import { type Cancel, type Clock, systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { FileLock, Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import type { LeaderStore } from "../../overlay/leader/store.ts";
import type { ClusterSource, ClusterSummary, KnownCluster, PassOutcome } from "../cluster-source.ts";
import type { Config } from "../config.ts";
import { every } from "../every.ts";
import { VERSION } from "../version.ts";
import { ContainerCounter } from "./containers.ts";
import { Drains } from "./drains.ts";
import { claimedEpoch, clusterFromFacts, isWhole } from "./facts-cluster.ts";
import { Leadership } from "./leadership.ts";
import { ClusterMember } from "./member.ts";
import { OwnFacts } from "./own-facts.ts";
import { clusterKeys, holdStateDir, overlayNetwork, type Prepared, prepare } from "./prepare.ts";
import { Settling } from "./settling.ts";
import { formerState, SnapshotKeeper } from "./snapshot-keeper.ts";
import { TaskSources, type TaskVoice } from "./sources.ts";
import { openStore } from "./store.ts";

/** Wait of a change for others that come with it, before the cluster is computed anew, milliseconds. */
const GATHER_MS = 20;
const SETTLE_LOOK_MS = 50;
const CONTAINERS_LOOK_MS = 10_000;
const LEADERSHIP_LOOK_MS = 500;

export interface ClusterModeOptions {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
}

interface ClusterModeParts extends ClusterModeOptions {
  readonly prepared: Prepared;
  readonly member: ClusterMember;
  /** For the allocations, on masters. */
  readonly store: LeaderStore;
  /** On the state directory; released at the end. */
  readonly lock: FileLock;
}

/** Makes this node a member of its cluster: it shows what its former self knew, joins the others, publishes what it is
 *  and sees, and, as a master, runs for the leadership of the overlay. Throws a NetError when a setting, a file or the
 *  port can't be used. */
export async function startClusterMode(options: ClusterModeOptions): Promise<ClusterMode> {
  const { config, kernel, files, log } = options;
  const lock = holdStateDir(config, files);
  try {
    const prepared = await prepare(config, kernel, files);
    const { id, endpoint: address, listen, seeds, keys } = prepared;
    const store = openStore({
      ...{
        store: config.overlay_store,
        path: `${config.state_dir}/overlay.store`,
        self: id,
        files,
        clock: systemClock,
      },
      view: () => member.view.snapshot(),
    });
    const state = formerState(files, snapshotPath(config.state_dir), log);
    let onChange = () => {};
    const member = await ClusterMember.start({
      ...{ id, address, listen, seeds, keys, state, log, clock: systemClock, random: Math.random },
      onChange: () => onChange(),
    });
    const mode = new ClusterMode({ ...options, prepared, member, store, lock });
    onChange = () => mode.onChange();
    return mode;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Where a node keeps what it knows of its cluster. */
export function snapshotPath(stateDir: string): string {
  return `${stateDir}/facts.snapshot`;
}

/** The cluster of a node that is a member of it. */
export class ClusterMode implements ClusterSource {
  readonly node: string;
  readonly origin: string;
  readonly prepared: Prepared;
  readonly member: ClusterMember;
  readonly sources: TaskSources;
  readonly drains: Drains;
  readonly startedAt: number;
  readonly #options: ClusterModeParts;
  readonly #clock: Clock = systemClock;
  readonly #settling: Settling;
  readonly #snapshots: SnapshotKeeper;
  readonly #ownFacts: OwnFacts;
  readonly #cancels: Cancel[] = [];
  readonly #unsubscribe: () => void;
  #leadership: Leadership | undefined;
  #known: KnownCluster | undefined;
  #isStale = false;
  #gathering: Cancel | undefined;
  #attempts = 0;
  /** What was told of leadership last. */
  #leads = "";
  #onChange = () => {};

  constructor(options: ClusterModeParts) {
    const { config, files, log, prepared, member } = options;
    this.#options = options;
    this.prepared = prepared;
    this.member = member;
    this.node = prepared.id;
    this.origin = `gossip on ${prepared.endpoint}`;
    this.startedAt = this.#clock.now();
    this.#settling = new Settling(this.#clock);
    this.drains = new Drains(member, () => this.#clock.now());
    const former = this.#cluster();
    if (former !== undefined) this.#known = { cluster: former, isComplete: false };
    const { addresses, name, wish } = prepared;
    const underlay = [addresses.address, addresses.address6].flatMap((ip) => (ip === undefined ? [] : formatIp(ip)));
    const versions = { "dcos-net": VERSION, linux: release() };
    const word = { name, role: config.role, addresses: underlay, wish, versions };
    this.#ownFacts = new OwnFacts(member, word, new ContainerCounter(files, config.data_dir));
    const times = { clock: this.#clock, random: Math.random };
    this.#snapshots = new SnapshotKeeper({
      ...{ path: snapshotPath(config.state_dir), state: () => member.gossip.state(), files, log, ...times },
    });
    const agent = { id: member.id, addresses: underlay };
    const claim = (voice: TaskVoice) => this.#ownFacts.claimTasks(voice);
    this.sources = new TaskSources({ config, agent, files, ...times, member, log, claim });
    this.#unsubscribe = member.view.subscribe(({ nodes, assignments }) => {
      const lists = [nodes.added, nodes.changed, nodes.removed, assignments.added, assignments.changed];
      this.#isStale ||= [...lists, assignments.removed].some(({ length }) => length > 0);
    });
    this.sources.start();
    this.#cancels.push(
      every(this.#clock, CONTAINERS_LOOK_MS, () => this.#ownFacts.sayStatuses()),
      every(this.#clock, LEADERSHIP_LOOK_MS, () => this.#lookAtLeadership()),
    );
    this.#settle();
    log.info("member of a cluster", { id: member.id, role: config.role, address: prepared.endpoint });
  }

  /** True once it is known who is in the cluster. */
  get isSettled(): boolean {
    return this.#settling.isSettled;
  }

  /** How often this node's assignment was put into the kernel. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Set on masters, from when the membership is settled. */
  get leadership(): Leadership | undefined {
    return this.#leadership;
  }

  current(): KnownCluster | undefined {
    return this.#known;
  }

  problem(): string | undefined {
    return this.#ownProblem() ?? this.#leadership?.problem();
  }

  summary(): ClusterSummary {
    const { view, gossip } = this.member;
    const members = [...this.member.members()];
    const alive = members.filter(({ status }) => status === "alive").length;
    const { a, b } = gossip.summary.root();
    return {
      alive,
      unreachable: members.length - alive,
      isSettled: this.isSettled,
      content: [a, b].map((word) => word.toString(16).padStart(8, "0")).join(""),
      epoch: view.snapshot().assignments.get(this.node)?.body.epoch,
      leader:
        this.prepared.network === undefined
          ? undefined
          : { leads: this.#leadership?.leader() !== undefined, problem: this.#leadership?.problem() },
    };
  }

  watch(onChange: () => void): void {
    this.#onChange = onChange;
  }

  /** Something of members or facts changed. Called in the middle of gossip's steps. */
  onChange(): void {
    this.#snapshots.note();
    this.#gathering ??= this.#clock.schedule(GATHER_MS, () => {
      this.#gathering = undefined;
      this.#look();
    });
  }

  /** Takes changed secrets and a changed overlay configuration; what can't be used is logged, and nothing changes. */
  reload(): void {
    const { config, files, log } = this.#options;
    try {
      this.member.transport.useKeys(clusterKeys(config, files));
      if (this.prepared.network !== undefined) this.#leadership?.reconfigure(overlayNetwork(config, files));
    } catch (error) {
      log.error("files of the cluster not taken", { problem: messageOf(error) });
    }
  }

  passed(outcome: PassOutcome): void {
    this.#attempts += 1;
    this.#ownFacts.passed(outcome);
  }

  /** Unless `leaving`, the others are told nothing: a node that is only restarted must not look like one that goes. */
  async stop(leaving: boolean): Promise<void> {
    this.#gathering?.();
    for (const cancel of this.#cancels) cancel();
    this.#unsubscribe();
    await this.sources.stop();
    await this.#leadership?.stop();
    await this.#snapshots.stop();
    this.member.stop(leaving);
    this.#gathering?.();
    this.#options.lock.release();
  }

  #settle(): void {
    const cancel = every(this.#clock, SETTLE_LOOK_MS, () => {
      const { member } = this;
      const signs = { hasHeard: member.hasHeard(), expectsOthers: member.expectsOthers() };
      if (!this.#settling.look({ ...signs, hasCaughtUp: member.gossip.hasCaughtUp })) return;
      cancel();
      this.#settled();
    });
    this.#cancels.push(cancel);
  }

  #settled(): void {
    const { log } = this.#options;
    const { alive, unreachable } = this.summary();
    log.info("membership settled", { alive, unreachable });
    this.#startLeadership();
    this.#isStale = true;
    this.#look();
  }

  #startLeadership(): void {
    const { config, member, store, log, prepared } = this.#options;
    const { network } = prepared;
    if (network === undefined) return;
    this.#leadership = new Leadership({
      ...{ member, store, network, clock: this.#clock, random: Math.random, log },
      tunnel: { vni: config.vxlan_vni, port: config.vxlan_port },
      claim: (epoch) => this.#ownFacts.claimOverlay(epoch),
    });
  }

  /** Computes the cluster anew if what it depends on has changed. A cluster in which this node has no part doesn't take
   *  the place of one in which it has: containers go on talking. */
  #look(): void {
    const view = this.member.view.snapshot();
    if (this.isSettled && this.#isStale && isWhole(view)) {
      this.#isStale = false;
      this.#leadership?.yieldTo(claimedEpoch(view));
      const cluster = this.#cluster();
      const isSame = this.#known?.isComplete === true && Bun.deepEquals(this.#known.cluster, cluster);
      if (cluster !== undefined && !isSame) this.#known = { cluster, isComplete: true };
    }
    this.#onChange();
  }

  /** Whether this node leads, and why not, changes without any news of members or facts. */
  #lookAtLeadership(): void {
    const leads = `${this.#leadership?.leader()?.epoch ?? ""} ${this.#leadership?.problem() ?? ""}`;
    if (leads === this.#leads) return;
    this.#leads = leads;
    this.#onChange();
  }

  #cluster(): Cluster | undefined {
    const { overlay_mtu: mtu } = this.#options.config;
    return clusterFromFacts(this.member.view.snapshot(), this.node, mtu === 0 ? undefined : mtu, this.#known?.cluster);
  }

  #ownProblem(): string | undefined {
    const { conflict } = this.member;
    if (conflict !== undefined) return `the node at ${conflict} has the id of this one, ${this.node}`;
    const own = this.member.view.snapshot().assignments.get(this.node);
    const refusals = own === undefined ? [] : refusalsIn(own);
    if (refusals.length > 0) return `the overlay's leader refused: ${refusals.join("; ")}`;
    if (own !== undefined) return undefined;
    if (!this.isSettled) return "not yet known who is in the cluster";
    return "no assignment for this node yet: the overlay's leader has not answered";
  }
}

function refusalsIn({ body }: AssignmentFact): string[] {
  const parts = body.overlays.flatMap(({ name, refusal }) => (refusal === undefined ? [] : `${name}: ${refusal}`));
  return body.refusal === undefined ? parts : [body.refusal, ...parts];
}
