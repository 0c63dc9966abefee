import type { NodeFact as NodeWord } from "../../facts/fact.ts";
import type { NodeView, Snapshot } from "../../facts/view.ts";
import { parseIp } from "../../lib/address.ts";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { type Campaign, startCampaign } from "../../overlay/leader/campaign.ts";
import { assignmentBody, type Tunnel } from "../../overlay/leader/fact-body.ts";
import type { OverlayLeader, Publication } from "../../overlay/leader/leader.ts";
import type { OverlayNetwork } from "../../overlay/leader/network.ts";
import type { LeaderStore } from "../../overlay/leader/store.ts";
import type { AssignmentFact, NodeFact } from "../../overlay/leader/types.ts";
import { underlayAddresses } from "./facts-cluster.ts";
import type { ClusterMember } from "./member.ts";

export interface LeadershipOptions {
  readonly member: ClusterMember;
  readonly store: LeaderStore;
  readonly network: OverlayNetwork;
  readonly tunnel: Tunnel;
  /** Puts the claim into this node's fact that its assignments are all up to this epoch, or takes it out. */
  readonly claim: (epoch: number | undefined) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** A master's part in the overlay: runs for leadership, tells the leader of the nodes, and publishes what it decides as
 *  this node's assignment facts. Begins when the membership is settled, so that nobody passes for gone. */
export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #campaign: Campaign;
  readonly #unsubscribe: () => void;
  /** What the leader of the present term has decided, for when the configuration changes. */
  readonly #decided = new Map<string, AssignmentFact>();
  #network: OverlayNetwork;
  /** Of the last term whose assignments this node publishes, its former self's included; 0 for none. */
  #epoch: number;

  constructor(options: LeadershipOptions) {
    const { member, store, network, clock, random, log } = options;
    this.#options = options;
    this.#network = network;
    const view = () => member.view.snapshot();
    this.#epoch = view().nodes.get(member.id)?.fact.body.speaks.overlayEpoch ?? 0;
    this.#campaign = startCampaign({
      store,
      network,
      live: (id) => liveNode(view().nodes.get(id)),
      containers: (node, overlay) => view().statuses.get(`${node}/${overlay}`)?.body.containers,
      nodes: () => liveNodes(view()),
      publish: (publication) => this.#publish(publication),
      clock,
      random,
      log,
    });
    this.#unsubscribe = member.view.subscribe(({ nodes }) => {
      for (const { value } of nodes.added) this.#observe(value);
      for (const { before, after } of nodes.changed) if (isNews(before, after)) this.#observe(after);
      const isOneGone = nodes.changed.some(({ after }) => after.liveness !== "alive") || nodes.removed.length > 0;
      if (isOneGone) this.#observeRefused();
    });
  }

  leader(): OverlayLeader | undefined {
    return this.#campaign.leader();
  }

  problem(): string | undefined {
    return this.#campaign.problem() ?? this.leader()?.networkProblem;
  }

  /** Takes another configuration. A refused one is logged; the present one stays in force. */
  reconfigure(network: OverlayNetwork): void {
    this.#campaign.reconfigure(network).catch((error: unknown) => {
      this.#options.log.error("overlay configuration refused", { problem: messageOf(error) });
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#campaign.stop();
  }

  /** Takes back what this node said as leader, once a later one has published everything. */
  yieldTo(epoch: number): void {
    if (this.#epoch === 0 || epoch <= this.#epoch || this.leader() !== undefined) return;
    const { member, claim } = this.#options;
    this.#epoch = 0;
    claim(undefined);
    for (const id of this.#decided.keys()) member.publisher.take({ kind: "assignment", key: id });
    this.#decided.clear();
    member.publisher.flush();
    member.forgetUnsaid(["assignment"]);
  }

  #observe(node: NodeView): void {
    const fact = liveNode(node);
    if (fact !== undefined) this.#campaign.observe(fact);
  }

  /** A node that has gone may have been the obstacle to another, for instance at the same address. */
  #observeRefused(): void {
    const { nodes } = this.#options.member.view.snapshot();
    for (const id of this.leader()?.registry.refusals.keys() ?? []) {
      const node = nodes.get(id);
      if (node !== undefined) this.#observe(node);
    }
  }

  /** All of it is stored already. The claim comes last, so that who reads it has everything before it. */
  #publish({ assignments, withdrawn, network }: Publication): void {
    const { member, claim } = this.#options;
    const epoch = assignments[0]?.epoch ?? network?.epoch ?? this.#epoch;
    const isNewTerm = epoch > this.#epoch;
    if (isNewTerm) this.#beginTerm(epoch);
    for (const assignment of assignments) this.#decided.set(assignment.node, assignment);
    for (const id of withdrawn) this.#decided.delete(id);
    if (network !== undefined) this.#network = network.network;
    // A configuration is part of every assignment.
    for (const each of network === undefined ? assignments : this.#decided.values()) this.#say(each);
    for (const id of withdrawn) member.publisher.take({ kind: "assignment", key: id });
    member.publisher.flush();
    if (isNewTerm) member.forgetUnsaid(["assignment"]);
    claim(epoch);
  }

  /** What an earlier term of this node said and this one doesn't repeat is taken back with its first publication. */
  #beginTerm(epoch: number): void {
    for (const id of this.#decided.keys()) this.#options.member.publisher.take({ kind: "assignment", key: id });
    this.#decided.clear();
    this.#epoch = epoch;
  }

  #say(assignment: AssignmentFact): void {
    const { member, tunnel, log } = this.#options;
    const body = assignmentBody(assignment, this.#network, tunnel);
    const key = assignment.node;
    try {
      if (body === undefined) member.publisher.take({ kind: "assignment", key });
      else member.publisher.put({ kind: "assignment", key, body });
    } catch (error) {
      log.error("assignment not published", { node: key, problem: messageOf(error) });
    }
  }
}

/** What the leader needs of a node; undefined unless it is alive and has an address for tunnel packets. */
function liveNode(node: NodeView | undefined): NodeFact | undefined {
  return node?.liveness === "alive" ? wishOf(node.fact) : undefined;
}

function wishOf({ key: id, body }: NodeWord): NodeFact | undefined {
  const addresses = underlayAddresses(body.addresses.map(parseIp));
  return addresses && { id, ...addresses, wish: body.wish };
}

function* liveNodes({ nodes }: Snapshot): Generator<NodeFact> {
  for (const node of nodes.values()) {
    const fact = liveNode(node);
    if (fact !== undefined) yield fact;
  }
}

function isNews(before: NodeView, after: NodeView): boolean {
  return before.liveness !== after.liveness || !Bun.deepEquals(wishOf(before.fact), wishOf(after.fact));
}
