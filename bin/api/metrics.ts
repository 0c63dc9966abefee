import type { Metric, MetricSources, Sample } from "./metric.ts";
import { FACT_METRICS, GOSSIP_METRICS } from "./metrics-cluster.ts";
import { DNS_METRICS } from "./metrics-dns.ts";
import { LEADER_METRICS, OVERLAY_METRICS } from "./metrics-overlay.ts";
import { PROCESS_METRICS } from "./metrics-process.ts";
import { VIP_METRICS } from "./metrics-vips.ts";

/** Every metric there is. */
export const METRICS: readonly Metric[] = [
  ...GOSSIP_METRICS,
  ...FACT_METRICS,
  ...OVERLAY_METRICS,
  ...LEADER_METRICS,
  ...VIP_METRICS,
  ...DNS_METRICS,
  ...PROCESS_METRICS,
];

/** Prometheus' text format, which {@link MetricsPage} has. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The page that Prometheus reads. */
export interface MetricsPage {
  /** The page as of now: all values are counted elsewhere, and read whenever it is asked for. */
  readonly render: () => string;
}

export function metricsPage(sources: MetricSources): MetricsPage {
  return { render: () => METRICS.map((metric) => section(metric, sources)).join("\n") };
}

/** A metric in the text format (prometheus.io/docs/instrumenting/exposition_formats). */
function section({ name, type, help, read }: Metric, sources: MetricSources): string {
  const samples = Array.from(
    read(sources),
    (sample) => `${name}${sample.suffix ?? ""}${labelsOf(sample)} ${sample.value}\n`,
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.join("")}`;
}

function labelsOf({ labels }: Sample): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
