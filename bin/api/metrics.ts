import { Counter, Gauge, Registry } from "prom-client";
import type { Metric, MetricSources } from "./metric.ts";
import { FACT_METRICS, GOSSIP_METRICS } from "./metrics-cluster.ts";
import { LEADER_METRICS, OVERLAY_METRICS } from "./metrics-overlay.ts";
import { PROCESS_METRICS } from "./metrics-process.ts";

/** Every metric there is. */
export const METRICS: readonly Metric[] = [
  ...GOSSIP_METRICS,
  ...FACT_METRICS,
  ...OVERLAY_METRICS,
  ...LEADER_METRICS,
  ...PROCESS_METRICS,
];

/** The page that Prometheus reads. */
export interface MetricsPage {
  readonly contentType: string;
  /** The page as of now, in the text format that `contentType` names. */
  readonly render: () => Promise<string>;
}

export function metricsPage(sources: MetricSources): MetricsPage {
  const registry = new Registry();
  for (const metric of METRICS) register(registry, metric, sources);
  return { contentType: registry.contentType, render: () => registry.metrics() };
}

/** All values are counted elsewhere, so each is set anew whenever the page is rendered. */
function register(registry: Registry, { name, type, help, labels, read }: Metric, sources: MetricSources): void {
  const options = { name, help, labelNames: [...labels], registers: [registry] };
  if (type === "gauge") {
    const gauge = new Gauge({
      ...options,
      collect: () => {
        gauge.reset();
        for (const sample of read(sources)) gauge.set(sample.labels, sample.value);
      },
    });
  } else {
    const counter = new Counter({
      ...options,
      collect: () => {
        counter.reset();
        for (const sample of read(sources)) counter.inc(sample.labels, sample.value);
      },
    });
  }
}
