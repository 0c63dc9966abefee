import { NetError } from "../../lib/error.ts";
import { assignmentOfBody, networkOfBody } from "../../overlay/leader/fact-body.ts";
import { decideDelete } from "../../overlay/leader/forget.ts";
import type { Registry } from "../../overlay/leader/registry.ts";
import { agentOverlay, followerState, masterState, type StatusOf } from "../../overlay/leader/state-json.ts";
import { isNodeId } from "../../overlay/leader/types.ts";
import { isObject } from "../../overlay/section.ts";
import { leaderOf, mayBeAlive } from "./nodes.ts";
import { Refusal } from "./refusal.ts";
import type { ApiState, MasterState } from "./state.ts";

const NAMES_SHOWN = 5;
const MOST_FORGOTTEN = 1000;

/** `GET /overlay-master/state`. */
export function overlayMasterState(state: ApiState): object {
  const { network, leading } = masterOf(state, "show the state of the overlay");
  if (leading === undefined) return followerState(network);
  return masterState(leading.registry, leading.epoch, state.statusOf);
}

/** `GET /overlay-agent/overlay`. Before the node has an assignment there are no overlays, as in the reference. One key
 *  more, `refused`, says why the leader gave it nothing. */
export function overlayAgentOverlay(state: ApiState): object {
  const { self } = state;
  const { attempts } = state.overlay();
  const body = state.facts().assignments.get(self.id)?.body;
  const network = body && networkOfBody(body)?.network;
  if (body === undefined || network === undefined) {
    const refused = body?.refusal;
    return { configuration_attempts: attempts, ip: self.address, ...(refused !== undefined && { refused }) };
  }
  const refusals = new Map(body.overlays.map(({ name, refusal }) => [name, refusal]));
  const statusOf: StatusOf = (node, overlay) => {
    const error = refusals.get(overlay);
    if (error === undefined) return state.statusOf(node, overlay);
    return { node, overlay, status: "STATUS_FAILED", error, containers: 0 };
  };
  return agentOverlay(assignmentOfBody(body), network, self.address, attempts, statusOf);
}

/** `POST /overlay-master/agents/delete`: takes nodes out by address, and answers with the state after that. */
export async function deleteAgents(state: ApiState, body: unknown): Promise<object> {
  const tried = "delete agents of the overlay";
  const registry = leadingRegistry(state, tried);
  const decision = decideDelete(registry, body, (id) => mayBeAlive(state, id));
  if ("status" in decision) {
    const code = ({ 400: "invalid", 409: "busy", 503: "unavailable" } as const)[decision.status];
    throw new Refusal(decision.status, code, { tried, said: decision.message });
  }
  if (decision.forget.length > 0) await state.forget(decision.forget);
  return overlayMasterState(state);
}

/** `POST /v1/nodes/forget`: takes nodes out by id. */
export async function forgetNodes(state: ApiState, body: unknown): Promise<{ readonly forgotten: readonly string[] }> {
  const tried = "forget nodes";
  const ids = readIds(body, tried);
  const registry = leadingRegistry(state, tried);
  const unknown = ids.filter((id) => !isKnown(state, registry, id));
  if (unknown.length > 0) {
    const remedy = "GET /v1/nodes lists those that are known; nothing was forgotten";
    throw new NetError("not-found", { tried, said: `no node is known as ${some(unknown)}`, remedy });
  }
  const alive = ids.filter((id) => mayBeAlive(state, id));
  if (alive.length > 0) {
    const said = `${some(alive)} may be alive, and would go on using addresses that others get`;
    const remedy = "stop the agent there and wait until the node is seen as unreachable; nothing was forgotten";
    throw new NetError("busy", { tried, said, remedy });
  }
  await state.forget(ids);
  return { forgotten: ids };
}

function masterOf(state: ApiState, tried: string): MasterState {
  const master = state.master();
  if (master !== undefined) return master;
  const masters = [...state.facts().nodes.values()].filter(({ fact }) => fact.body.role === "master");
  const names = masters.map(({ fact }) => `${fact.body.name} (${fact.body.addresses[0]})`);
  throw new NetError("not-found", {
    tried,
    said: "this node is no master",
    remedy: names.length === 0 ? "ask a master; none is known here yet" : `ask a master: ${some(names)}`,
  });
}

/** The allocations, when this node may change them now. */
function leadingRegistry(state: ApiState, tried: string): Registry {
  const { leading, problem } = masterOf(state, tried);
  if (leading === undefined) throw notLeading(state, tried, problem);
  if (!state.isSettled()) {
    throw new NetError("unavailable", {
      tried,
      said: "this node has just started and doesn't know yet who is alive",
      remedy: "try again in half a minute",
    });
  }
  return leading.registry;
}

/** Other nodes' APIs are on their loopback addresses, so a redirect would lead back to this node. */
function notLeading(state: ApiState, tried: string, problem: string | undefined): NetError {
  const leader = leaderOf(state);
  const nobody = problem === undefined ? "no master leads the overlay now" : `this master can't lead: ${problem}`;
  return new NetError("unavailable", {
    tried,
    said: leader === undefined ? nobody : `this master doesn't lead the overlay, ${leader.name} does`,
    remedy: leader === undefined ? "try again when one does" : `ask there: ${leader.name} (${leader.address})`,
  });
}

function isKnown(state: ApiState, registry: Registry, id: string): boolean {
  if (registry.records.has(id) || state.facts().nodes.has(id)) return true;
  for (const member of state.members()) if (member.id === id && member.status !== "forgotten") return true;
  return false;
}

function readIds(body: unknown, tried: string): readonly string[] {
  const nodes: unknown = isObject(body) ? body["nodes"] : undefined;
  if (!Array.isArray(nodes) || nodes.length === 0 || nodes.length > MOST_FORGOTTEN) {
    const said = `the body must be {"nodes": ["<node id>", ...]} with 1 to ${MOST_FORGOTTEN} of them`;
    throw new NetError("invalid", { tried, said });
  }
  for (const [index, id] of nodes.entries()) {
    if (typeof id === "string" && isNodeId(id)) continue;
    throw new NetError("invalid", { tried, said: `nodes[${index}] is no node id: ${JSON.stringify(id).slice(0, 60)}` });
  }
  return [...new Set<string>(nodes)];
}

function some(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return `${names.slice(0, NAMES_SHOWN).join(", ")}${more}`;
}
