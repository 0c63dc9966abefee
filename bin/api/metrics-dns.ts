import type { UpstreamStatus } from "../../dns/forward/upstream.ts";
import type { Name } from "../../dns/name.ts";
import type { DnsReport } from "./dns.ts";
import { counter, gauge, histogram, labelled, type Metric, type MetricSources } from "./metric.ts";

/** The DNS server of this node; none of them has a value where it is switched off. The names are those of DC/OS after
 *  `dcos_net_dns_`, where there is the like. */
export const DNS_METRICS: readonly Metric[] = [
  where(
    gauge(
      "dcos_net_dns_listening",
      "Addresses that are served.",
      report(({ listening }) => listening.length),
    ),
  ),
  where(
    gauge(
      "dcos_net_dns_waiting",
      "Addresses that can't be had yet.",
      report(({ waiting }) => waiting.length),
    ),
  ),
  where(
    gauge(
      "dcos_net_dns_problems",
      "What is wrong with addresses, rules, resolv.conf or upstreams.",
      report(({ problems }) => problems.length),
    ),
  ),
  labelled(
    "gauge",
    "dcos_net_dns_zone_records",
    "zone",
    "Records of the local zones, as they were a few seconds ago.",
    ({ state }) => mapped(state.dns()?.counter.last(), ({ records }) => records),
  ),
  where(
    gauge(
      "dcos_net_dns_fast_names",
      "Names that workers answer by themselves.",
      report(({ fastNames }) => fastNames),
    ),
  ),
  where(
    gauge(
      "dcos_net_dns_fast_bytes",
      "Memory that these take.",
      report(({ fastBytes }) => fastBytes),
    ),
  ),
  where(
    counter(
      "dcos_net_dns_fast_answers_total",
      "Queries that workers have answered by themselves.",
      report(({ fastAnswers }) => fastAnswers),
    ),
  ),
  labelled(
    "counter",
    "dcos_net_dns_forwarded_total",
    "outcome",
    "Queries for names of others, and what became of them.",
    ({ state }) => Object.entries(state.dns()?.report().forwarding.counters ?? {}),
  ),
  histogram(
    "dcos_net_dns_forwarder_requests_duration_seconds",
    "zone",
    "Time until a query for a name of others was answered, by forward zone.",
    ({ state }) => mapped(state.dns()?.times(), ({ durations }) => durations),
  ),
  labelled(
    "counter",
    "dcos_net_dns_forwarder_failures_total",
    "zone",
    "Queries for names of others that nobody answered, by forward zone.",
    ({ state }) => mapped(state.dns()?.times(), ({ failures }) => failures),
  ),
  where(
    gauge(
      "dcos_net_dns_cache_entries",
      "Answers of others that are kept.",
      report((r) => r.forwarding.cache.entries),
    ),
  ),
  where(
    gauge(
      "dcos_net_dns_cache_bytes",
      "Memory that these take.",
      report((r) => r.forwarding.cache.bytes),
    ),
  ),
  where(
    counter(
      "dcos_net_dns_cache_evicted_total",
      "Answers that had to go before their time.",
      report((r) => r.forwarding.cache.evicted),
    ),
  ),
  upstream("counter", "requests_total", "Queries sent to an upstream.", ({ asked }) => asked),
  {
    name: "dcos_net_dns_worker_failures_total",
    type: "counter",
    help: "Queries sent to an upstream that brought no good answer.",
    labels: ["upstream_address", "reason"],
    *read({ state }) {
      for (const { upstream: upstream_address, failures } of upstreamsOf(state.dns()?.report())) {
        for (const [reason, value] of Object.entries(failures)) yield { labels: { upstream_address, reason }, value };
      }
    },
  },
  upstream("gauge", "latency_seconds", "Time that an upstream takes, smoothed; 0 before its first answer.", (each) => {
    return (each.latencyMs ?? 0) / 1000;
  }),
  upstream("gauge", "up", "1 while an upstream answers, or nothing is known of it, otherwise 0.", ({ health }) => {
    return health === "good" || health === "unknown" ? 1 : 0;
  }),
];

function upstream(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (status: UpstreamStatus) => number,
): Metric {
  return labelled(type, `dcos_net_dns_worker_${name}`, "upstream_address", help, ({ state }) => {
    return upstreamsOf(state.dns()?.report()).map((each) => [each.upstream, value(each)] as const);
  });
}

/** Each once, though several zones may have it. */
function upstreamsOf(given: DnsReport | undefined): UpstreamStatus[] {
  const all = given?.forwarding.zones.flatMap(({ upstreams }) => upstreams) ?? [];
  return [...new Map(all.map((each) => [each.upstream, each])).values()];
}

/** The metric without a value where DNS is switched off. */
function where(metric: Metric): Metric {
  return { ...metric, read: (sources) => (sources.state.dns() === undefined ? [] : metric.read(sources)) };
}

function report(value: (report: DnsReport) => number): (sources: MetricSources) => number {
  return ({ state }) => {
    const dns = state.dns();
    return dns === undefined ? 0 : value(dns.report());
  };
}

/** Values by zone, whose names end in a dot, as in DC/OS. */
function* mapped<T, V>(by: ReadonlyMap<Name, T> | undefined, value: (each: T) => V): Generator<readonly [string, V]> {
  for (const [zone, each] of by ?? []) yield [`${zone}.`, value(each)];
}
