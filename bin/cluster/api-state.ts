import type { StatusBody } from "../../facts/fact.ts";
import { formatIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { OverlayStatus } from "../../overlay/leader/types.ts";
import type { Agent } from "../agent.ts";
import type { DnsState } from "../api/dns.ts";
import type { ApiState, MasterState } from "../api/state.ts";
import type { RunningVips } from "../l4lb/start.ts";
import type { ClusterMode } from "./cluster-mode.ts";

const STATUS = { configuring: "STATUS_CONFIGURING", ok: "STATUS_OK", failed: "STATUS_FAILED" } as const;

/** The running agent as the HTTP API sees it, with its DNS server and its virtual IPs, if it has them. */
export function apiStateOf(
  mode: ClusterMode,
  agent: Pick<Agent, "overlay">,
  dns: DnsState | undefined,
  vips: RunningVips | undefined,
): ApiState {
  const { member, prepared } = mode;
  const facts = () => member.view.snapshot();
  return {
    self: {
      id: member.id,
      name: prepared.name,
      role: prepared.network === undefined ? "agent" : "master",
      address: formatIp(prepared.addresses.address),
      startedAt: mode.startedAt,
    },
    now: () => systemClock.now(),
    isSettled: () => mode.isSettled,
    members: () => member.members(),
    facts,
    master: () => masterState(mode),
    statusOf: (node, overlay) => overlayStatus(node, facts().statuses.get(`${node}/${overlay}`)?.body),
    overlay: () => ({ attempts: mode.attempts, ...agent.overlay() }),
    gossip: () => ({
      counts: member.transport.counts(),
      pendingRumors: member.gossip.pendingRumors,
      slowness: member.gossip.slowness,
      ...member.counts,
    }),
    dns: () => dns,
    vips: () => vips,
    drain: (target, id) => mode.drains.add(target, id),
    undrain: (target, id) => mode.drains.delete(target, id),
    sources: () => mode.sources.reports(),
    forget: (ids) => forget(mode, ids),
  };
}

function masterState({ prepared, leadership }: ClusterMode): MasterState | undefined {
  const { network } = prepared;
  if (network === undefined) return undefined;
  const leader = leadership?.leader();
  return {
    network,
    leading: leader && { epoch: leader.epoch, registry: leader.registry },
    problem: leadership?.problem(),
  };
}

function overlayStatus(node: string, body: StatusBody | undefined): OverlayStatus | undefined {
  if (body === undefined) return undefined;
  const { overlay, state, error, containers = 0 } = body;
  return { node, overlay, status: STATUS[state], error, containers };
}

/** Frees first and forgets then: were it the other way round, a failing store would leave allocations of nodes that
 *  nobody knows. */
async function forget({ member, leadership }: ClusterMode, ids: readonly string[]): Promise<void> {
  const leader = leadership?.leader();
  if (leader === undefined) {
    const remedy = "ask the leading master";
    throw new NetError("unavailable", { tried: "forget nodes", said: "this node doesn't lead the overlay", remedy });
  }
  await leader.forget(ids);
  for (const id of ids) member.forget(id);
}
