import { VERSION } from "../version.ts";
import { counter, gauge, type Metric } from "./metric.ts";

/** The program itself, and what is asked of it. The names that begin with `process` are those of Prometheus' own client
 *  libraries. */
export const PROCESS_METRICS: readonly Metric[] = [
  {
    name: "dcos_net_build_info",
    type: "gauge",
    help: "Always 1; the label has the version.",
    labels: ["version"],
    read: () => [{ labels: { version: VERSION }, value: 1 }],
  },
  {
    name: "dcos_net_http_requests_total",
    type: "counter",
    help: "Requests answered by this API; the route none stands for unknown paths.",
    labels: ["route", "status"],
    *read({ traffic }) {
      for (const { route, status, requests } of traffic.answered()) {
        yield { labels: { route, status: String(status) }, value: requests };
      }
    },
  },
  gauge("process_resident_memory_bytes", "Memory in use.", () => process.memoryUsage.rss()),
  counter("process_cpu_seconds_total", "Processor time used.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  gauge(
    "process_start_time_seconds",
    "When the agent started, seconds since 1970.",
    ({ state }) => state.self.startedAt / 1000,
  ),
];
