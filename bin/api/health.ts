import type { ForwarderStatus } from "../../dns/forward/forwarder.ts";
import type { ApiState } from "./state.ts";

/** How the node is, as `GET /health` answers: 200 when `healthy`, otherwise 503. */
export interface HealthBody {
  readonly healthy: boolean;
  /** What makes it unhealthy: this node's containers may lack what they need. */
  readonly problems: readonly string[];
  /** What is wrong besides. */
  readonly warnings: readonly string[];
}

/** A node is healthy when it knows who is there, and the kernel is as its overlay demands. */
export function healthBody(state: ApiState): HealthBody {
  const { loop, metrics } = state.overlay();
  const problems: string[] = [];
  if (!state.isSettled()) problems.push("it has just started and doesn't know yet who is there");
  if (loop.failuresInARow > 0) problems.push(`the overlay could not be set up ${loop.failuresInARow} times in a row`);
  else if (loop.lastSuccess === undefined) problems.push("the overlay has not been set up yet");
  return { healthy: problems.length === 0, problems, warnings: [...warningsOf(state, metrics.conflicts)] };
}

function* warningsOf(state: ApiState, conflicts: number): Generator<string> {
  const { facts, self, master, gossip, sources } = state;
  const assignment = facts().assignments.get(self.id);
  if (assignment === undefined) yield "no leader has given this node its part of the overlay yet";
  if (assignment?.body.refusal !== undefined) yield `the leader gave this node nothing: ${assignment.body.refusal}`;
  for (const { name, refusal } of assignment?.body.overlays ?? []) {
    if (refusal !== undefined) yield `overlay ${name}: ${refusal}`;
  }
  if (conflicts > 0) yield `${conflicts} kernel objects of others stand in the way: see \`dcos-net status\``;
  const problem = master()?.problem;
  if (problem !== undefined) yield `leadership of the overlay: ${problem}`;
  const vips = state.vips()?.problem();
  if (vips !== undefined) yield `virtual IPs: ${vips}`;
  for (const source of sources()) if (source.problem !== undefined) yield `source ${source.name}: ${source.problem}`;
  const { waiting = [], problems = [], forwarding } = state.dns()?.report() ?? {};
  if (waiting.length > 0) yield `DNS can't listen yet on ${waiting.join(", ")}`;
  for (const each of problems) yield `DNS: ${each}`;
  for (const upstream of downIn(forwarding)) yield `DNS: upstream ${upstream} doesn't answer`;
  const { nameConflicts } = gossip();
  if (nameConflicts > 0) yield "another node uses this node's id: remove the id file of a host that was copied";
}

/** Upstreams that are down, or lead back to us, each once. */
function downIn(forwarding: ForwarderStatus | undefined): ReadonlySet<string> {
  const all = forwarding?.zones.flatMap(({ upstreams }) => upstreams) ?? [];
  return new Set(all.flatMap(({ upstream, health }) => (health === "down" || health === "loop" ? upstream : [])));
}
