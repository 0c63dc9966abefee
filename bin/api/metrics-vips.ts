import type { VipMetrics } from "../../l4lb/metric.ts";
import { serviceName } from "../../l4lb/service.ts";
import type { Vips } from "../l4lb/vips.ts";
import { countBy, counter, gauge, labelled, type Metric, type MetricSources } from "./metric.ts";

const DATAPLANES = ["nftables", "socket", "ipvs"] as const;
const CAUSES = ["killing", "unhealthy", "drained"] as const;
/** Connections are reported for this many virtual IPs, those that have the most, to bound the number of series. */
const VIPS_TOLD = 100;

/** The virtual IPs of this node; all zero where they are off. */
export const VIP_METRICS: readonly Metric[] = [
  labelled(
    "gauge",
    "dcos_net_l4lb_dataplane",
    "dataplane",
    "1 for the data plane in use, otherwise 0.",
    ({ state }) => {
      const kind = state.vips()?.current()?.chosen.dataplane.kind;
      return countBy(DATAPLANES, kind === undefined ? [] : [kind]);
    },
  ),
  gauge("dcos_net_l4lb_up", "1 when the kernel has every service as it should be, otherwise 0.", ({ state }) => {
    const running = state.vips();
    return running?.current()?.isSettled === true && running.problem() === undefined ? 1 : 0;
  }),
  gauge(
    "dcos_net_l4lb_vips",
    "Services: virtual IPs by address, protocol and port.",
    rows(({ table }) => table.rows.size),
  ),
  gauge(
    "dcos_net_l4lb_backends",
    "Backends of all services.",
    rows((vips) => sum(vips, ({ backends }) => backends.length)),
  ),
  gauge(
    "dcos_net_l4lb_unreachable_vips",
    "Services whose nodes can't be reached, so that their last backends are kept.",
    rows((vips) => sum(vips, ({ lost }) => (lost ? 1 : 0))),
  ),
  gauge(
    "dcos_net_l4lb_idle_vips",
    "Services none of whose backends gets new connections.",
    rows((vips) => sum(vips, ({ service }) => (service.backends.some(({ weight }) => weight > 0) ? 0 : 1))),
  ),
  gauge(
    "dcos_net_l4lb_unreachable_nodes",
    "Nodes that can't be reached, and so have no backends.",
    ({ state }) => [...state.facts().nodes.values()].filter(({ liveness }) => liveness === "unreachable").length,
  ),
  gauge("dcos_net_l4lb_local_backends", "Backends that are this node's own tasks.", (sources) => {
    const self = sources.state.self.id;
    return rows((vips) =>
      sum(
        vips,
        ({ backends }) => backends.filter(({ members }) => members.some(({ fact }) => fact.owner === self)).length,
      ),
    )(sources);
  }),
  labelled("gauge", "dcos_net_l4lb_drained_backends", "cause", "Backends that get no new connections.", ({ state }) => {
    const vips = state.vips()?.current();
    const members = vips === undefined ? [] : [...vips.table.rows].flatMap((row) => row.members);
    return countBy(
      CAUSES,
      members.flatMap(({ drain }) => drain?.cause ?? []),
    );
  }),
  gauge(
    "dcos_net_l4lb_problems",
    "Labels that can't be used, and contradictions.",
    rows(({ table }) => [...table.problems()].length),
  ),
  counter(
    "dcos_net_l4lb_passes_total",
    "Comparisons with the kernel.",
    own(({ passes }) => passes),
  ),
  counter(
    "dcos_net_l4lb_failed_passes_total",
    "Those in which something was refused.",
    own(({ failedPasses }) => failedPasses),
  ),
  counter(
    "dcos_net_l4lb_changes_total",
    "Changes of services that the kernel took.",
    own(({ changes }) => changes),
  ),
  counter(
    "dcos_net_l4lb_repairs_total",
    "Objects that somebody else had changed, and that were put back.",
    own(({ repairs }) => repairs),
  ),
  counter(
    "dcos_net_l4lb_refusals_total",
    "Changes that the kernel refused.",
    own(({ refusals }) => refusals),
  ),
  gauge(
    "dcos_net_l4lb_pending",
    "Services that the kernel refuses to have as they should be.",
    own(({ pending }) => pending),
  ),
  gauge(
    "dcos_net_l4lb_waiting",
    "Changes on their way into the kernel.",
    rows(({ waiting }) => waiting),
  ),
  gauge(
    "dcos_net_l4lb_last_pass_seconds",
    "Length of the last comparison with the kernel.",
    own(({ lastPassMs }) => lastPassMs / 1000),
  ),
  gauge(
    "dcos_net_l4lb_last_change_seconds",
    "Time that the kernel took for the last changes.",
    own(({ lastChangeMs }) => lastChangeMs / 1000),
  ),
  gauge(
    "dcos_net_l4lb_last_delay_seconds",
    "Time from the last news to the end of its way into the kernel.",
    own(({ lastDelayMs }) => lastDelayMs / 1000),
  ),
  gauge(
    "dcos_net_l4lb_longest_delay_seconds",
    "The longest such time since the start.",
    own(({ longestDelayMs }) => longestDelayMs / 1000),
  ),
  gauge(
    "dcos_net_l4lb_last_success_timestamp_seconds",
    "End of the last good comparison, seconds since 1970; 0 before the first.",
    rows((vips) => (vips.loop().lastSuccess ?? 0) / 1000),
  ),
  labelled(
    "gauge",
    "dcos_net_l4lb_connections",
    "vip",
    `Connections now, of the ${VIPS_TOLD} services that have most.`,
    connections,
  ),
];

function rows(value: (vips: Vips) => number) {
  return ({ state }: MetricSources): number => {
    const vips = state.vips()?.current();
    return vips === undefined ? 0 : value(vips);
  };
}

function own(value: (metrics: VipMetrics) => number) {
  return rows(({ metrics }) => value(metrics));
}

type Row = Vips["table"]["rows"] extends Iterable<infer R> ? R : never;

function sum({ table }: Vips, value: (row: Row) => number): number {
  let total = 0;
  for (const row of table.rows) total += value(row);
  return total;
}

function connections({ state }: MetricSources): [string, number][] {
  const vips = state.vips()?.current();
  if (vips === undefined || !vips.isSettled) return [];
  const all = vips.carried().map(({ key, backends }): [string, number] => {
    return [serviceName(key), backends.reduce((total, { active = 0 }) => total + active, 0)];
  });
  return all.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, VIPS_TOLD);
}
