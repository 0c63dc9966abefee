import { poolUsage } from "../../overlay/leader/state-json.ts";
import { countBy, counter, gauge, labelled, type Metric, type MetricSources } from "./metric.ts";

const STATES = ["configuring", "ok", "failed"] as const;

/** How this node's kernel stands to its part of the overlay. */
export const OVERLAY_METRICS: readonly Metric[] = [
  counter(
    "dcos_net_overlay_passes_total",
    "Comparisons with the kernel.",
    own(({ passes }) => passes),
  ),
  counter(
    "dcos_net_overlay_failed_passes_total",
    "Those in which something was refused.",
    own(({ failedPasses }) => failedPasses),
  ),
  counter(
    "dcos_net_overlay_quiet_passes_total",
    "Those that found nothing to do.",
    own(({ quietPasses }) => quietPasses),
  ),
  counter(
    "dcos_net_overlay_changes_total",
    "Changes that the kernel took.",
    own(({ changes }) => changes),
  ),
  counter(
    "dcos_net_overlay_repairs_total",
    "Of these, the ones that put back what somebody else had changed.",
    own(({ repairs }) => repairs),
  ),
  counter(
    "dcos_net_overlay_refusals_total",
    "Changes that the kernel refused.",
    own(({ refusals }) => refusals),
  ),
  counter(
    "dcos_net_overlay_files_total",
    "CNI files written or removed.",
    own(({ files }) => files),
  ),
  gauge(
    "dcos_net_overlay_peers",
    "Other nodes to which the kernel leads.",
    own(({ peers }) => peers),
  ),
  gauge(
    "dcos_net_overlay_networks",
    "Overlays that this node takes part in.",
    own(({ overlays }) => overlays),
  ),
  gauge(
    "dcos_net_overlay_mtu_bytes",
    "MTU of bridges and containers.",
    own(({ mtu }) => mtu),
  ),
  gauge(
    "dcos_net_overlay_conflicts",
    "Objects of others that stand in the way.",
    own(({ conflicts }) => conflicts),
  ),
  gauge(
    "dcos_net_overlay_failures_in_a_row",
    "Passes that failed since the last good one.",
    ({ state }) => state.overlay().loop.failuresInARow,
  ),
  gauge(
    "dcos_net_overlay_last_success_timestamp_seconds",
    "End of the last good pass, seconds since 1970; 0 before the first.",
    ({ state }) => (state.overlay().loop.lastSuccess ?? 0) / 1000,
  ),
  gauge(
    "dcos_net_overlay_last_pass_seconds",
    "Length of the last pass.",
    ({ state }) => (state.overlay().loop.lastDurationMs ?? 0) / 1000,
  ),
  labelled(
    "gauge",
    "dcos_net_overlay_states",
    "state",
    "Overlays of all nodes, by how they stand there.",
    ({ state }) => {
      const states = [...state.facts().statuses.values()].map(({ body }) => body.state);
      return countBy(STATES, states);
    },
  ),
];

/** What the leader has handed out; other nodes have no pools. */
export const LEADER_METRICS: readonly Metric[] = [
  gauge("dcos_net_overlay_leader", "1 on the master that leads the overlay, otherwise 0.", ({ state }) =>
    state.master()?.leading === undefined ? 0 : 1,
  ),
  gauge(
    "dcos_net_overlay_epoch",
    "Number of this node's leadership; 0 while it doesn't lead.",
    ({ state }) => state.master()?.leading?.epoch ?? 0,
  ),
  gauge(
    "dcos_net_overlay_leader_problem",
    "1 when this master can't lead, or its configuration isn't in force, otherwise 0.",
    ({ state }) => (state.master()?.problem === undefined ? 0 : 1),
  ),
  gauge(
    "dcos_net_overlay_allocated_nodes",
    "Nodes that hold a part of the overlay.",
    ({ state }) => state.master()?.leading?.registry.records.size ?? 0,
  ),
  gauge(
    "dcos_net_overlay_refused_nodes",
    "Nodes that got less than they asked for.",
    ({ state }) => state.master()?.leading?.registry.refusals.size ?? 0,
  ),
  labelled("gauge", "dcos_net_overlay_pool_size", "pool", "Addresses or subnets that a pool has.", (sources) =>
    pools(sources).map(({ key, size }) => [key, Number(size)] as const),
  ),
  labelled("gauge", "dcos_net_overlay_pool_used", "pool", "Of these, the ones that nodes hold.", (sources) =>
    pools(sources).map(({ key, used }) => [key, Number(used)] as const),
  ),
];

function own(value: (metrics: ReturnType<MetricSources["state"]["overlay"]>["metrics"]) => number) {
  return ({ state }: MetricSources): number => value(state.overlay().metrics);
}

function pools({ state }: MetricSources): ReturnType<typeof poolUsage> {
  const leading = state.master()?.leading;
  return leading === undefined ? [] : poolUsage(leading.registry);
}
