import type { AssignmentFact, NodeFact } from "../../facts/fact.ts";
import type { Snapshot } from "../../facts/view.ts";
import { parseEndpoint } from "../../gossip/endpoint.ts";
import type { Status } from "../../gossip/membership.ts";
import { formatIp, tryParseIp } from "../../lib/address.ts";
import type { ApiState, MemberState } from "./state.ts";

/** A node as `GET /v1/nodes` shows it. The keys with underscores, `hostname` and `updated` are those of DC/OS. */
export interface NodeEntry {
  /** First of its addresses; empty when none is known. */
  readonly private_ip: string;
  /** Always empty: nobody tells us. */
  readonly public_ips: readonly string[];
  /** Empty while the node itself has said nothing yet. */
  readonly hostname: string;
  /** When the node last changed what it says of itself, RFC 3339 in UTC; absent like the rest of its own words. */
  readonly updated?: string;
  readonly id: string;
  readonly role?: "master" | "agent";
  /** `unknown`: gossip knows no such member (any more). */
  readonly status: Status | "unknown";
  /** Since when, RFC 3339 in UTC; for `remembered`, when the snapshot was saved. */
  readonly since?: string;
  /** The same as an age, seconds. */
  readonly age?: number;
  readonly addresses: readonly string[];
  readonly versions?: Readonly<Record<string, string>>;
  /** Tunnel endpoint: `44.128.0.2/20` and `70:b3:d5:80:00:02`. */
  readonly vtep?: readonly string[];
  /** Its part of each overlay. */
  readonly subnets?: Readonly<Record<string, readonly string[]>>;
  /** Why it goes without all overlays, and what to do. */
  readonly refusal?: string;
  /** Why it goes without its part of an overlay, by overlay. */
  readonly refused?: Readonly<Record<string, string>>;
  /** Present and true for the node that answers. */
  readonly self?: true;
  /** Present and true for the master that leads the overlay. */
  readonly leader?: true;
}

/** Every node that is known, sorted by host name and id. */
export function nodeEntries(state: ApiState): NodeEntry[] {
  const { nodes, assignments } = state.facts();
  const members = new Map<string, MemberState>();
  for (const member of state.members()) if (member.status !== "forgotten") members.set(member.id, member);
  const leader = leaderOf(state)?.id;
  const records = state.master()?.leading?.registry.records;
  // A node that gossip has forgotten still holds what it was assigned.
  return [...new Set([...members.keys(), ...nodes.keys(), ...assignments.keys(), ...(records?.keys() ?? [])])]
    .map((id): NodeEntry => {
      const fact = nodes.get(id)?.fact;
      const record = records?.get(id);
      return {
        ...ownWords(fact, members.get(id)?.address ?? (record && formatIp(record.address))),
        id,
        ...standing(members.get(id), state.now()),
        ...part(assignments.get(id)),
        ...(id === state.self.id && { self: true }),
        ...(id === leader && { leader: true }),
      };
    })
    .sort((a, b) => order(a.hostname, b.hostname) || order(a.id, b.id));
}

/** The master that leads the overlay, as far as this node knows. */
export interface Leader {
  readonly id: string;
  readonly name: string;
  readonly address: string;
}

/** This node when it leads; otherwise the one that has claimed the highest epoch, unless it is gone. */
export function leaderOf(state: ApiState): Leader | undefined {
  const { self } = state;
  if (state.master()?.leading !== undefined) return { id: self.id, name: self.name, address: self.address };
  const fact = highestClaim(state.facts());
  if (fact === undefined || fact.owner === self.id || !mayBeAlive(state, fact.owner)) return undefined;
  return { id: fact.owner, name: fact.body.name, address: fact.body.addresses[0] ?? "" };
}

/** False only for a node that gossip has seen leave, or die; or that nobody has ever heard of. */
export function mayBeAlive(state: ApiState, id: string): boolean {
  for (const member of state.members()) {
    if (member.id === id) return member.status === "alive" || member.status === "remembered";
  }
  return false;
}

function highestClaim({ nodes }: Snapshot): NodeFact | undefined {
  let best: NodeFact | undefined;
  for (const { fact } of nodes.values()) {
    if ((fact.body.speaks.overlayEpoch ?? 0) > (best?.body.speaks.overlayEpoch ?? 0)) best = fact;
  }
  return best;
}

/** Until it has said something itself, its address is what others know, with or without a port. */
function ownWords(fact: NodeFact | undefined, known: string | undefined) {
  if (fact === undefined) {
    const addresses = known === undefined ? [] : [hostOf(known)];
    return { private_ip: addresses[0] ?? "", public_ips: [], hostname: "", addresses };
  }
  const { name, role, addresses, versions } = fact.body;
  const updated = new Date(fact.observedAt).toISOString();
  return { private_ip: addresses[0] ?? "", public_ips: [], hostname: name, updated, role, addresses, versions };
}

function standing(member: MemberState | undefined, now: number) {
  if (member === undefined) return { status: "unknown" } as const;
  const { status, since } = member;
  return { status, since: new Date(since).toISOString(), age: Math.max(0, Math.round((now - since) / 1000)) };
}

function part(assignment: AssignmentFact | undefined) {
  if (assignment === undefined) return {};
  const { vtep, overlays, refusal: whole } = assignment.body;
  const subnets: Record<string, readonly string[]> = {};
  const refused: Record<string, string> = {};
  for (const { name, subnet, subnet6, refusal } of overlays) {
    const held = [subnet, subnet6].flatMap((each) => each ?? []);
    if (held.length > 0) subnets[name] = held;
    if (refusal !== undefined) refused[name] = refusal;
  }
  return {
    ...(vtep && { vtep: [vtep.ip, vtep.ip6, vtep.mac].flatMap((each) => each ?? []) }),
    subnets,
    ...(whole !== undefined && { refusal: whole }),
    ...(Object.keys(refused).length > 0 && { refused }),
  };
}

/** The address in `10.0.0.1:62501`, `[fd00::1]:62501` and `10.0.0.1`. */
function hostOf(endpoint: string): string {
  return tryParseIp(endpoint) === undefined ? parseEndpoint(endpoint).host : endpoint;
}

function order(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
