import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Counter, Gauge, Histogram as PrometheusHistogram, Registry } from "prom-client";
import { METRICS, METRICS_TYPE, metricsPage } from "../../../../bin/api/metrics.ts";
import { Traffic } from "../../../../bin/api/traffic.ts";
import { Histogram } from "../../../../lib/histogram.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import { member, type SampleState, sampleState } from "../../../support/api-state.ts";
import { dnsState } from "../../../support/dns-state.ts";
import { sampleTask, statusFact, taskFact } from "../../../support/facts.ts";
import { network, node } from "../../overlay/leader/fixture.ts";

/** Lines of the page without the comments, as name with labels to value. */
function render(sample: SampleState, traffic = new Traffic()): Map<string, number> {
  const text = metricsPage({ state: sample.state, traffic }).render();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describe("the metrics page", () => {
  it("counts members by status, those of which there are none included", () => {
    const sample = sampleState();
    sample.members.push(member("a"), member("b", "unreachable"), member("c", "forgotten"));
    const page = render(sample);
    const shown = [...page].filter(([name]) => name.startsWith("dcos_net_gossip_members"));
    expect(Object.fromEntries(shown)).to.deep.equal({
      'dcos_net_gossip_members{status="alive"}': 2,
      'dcos_net_gossip_members{status="remembered"}': 0,
      'dcos_net_gossip_members{status="unreachable"}': 1,
      'dcos_net_gossip_members{status="left"}': 0,
    });
  });

  it("has what gossip, facts, sources and overlay count", () => {
    const used = process.cpuUsage();
    const sample = sampleState();
    sample.learn(taskFact("m1", sampleTask()), statusFact("m1", "dcos"));
    sample.sources.push({ name: "file", tasks: 4, problem: "no such directory" });
    const page = render(sample);
    for (const [name, value] of [
      ['dcos_net_gossip_datagrams_total{direction="sent"}', 11],
      ['dcos_net_gossip_bytes_total{direction="received"}', 1300],
      ['dcos_net_gossip_dropped_packets_total{reason="foreign"}', 3],
      ["dcos_net_gossip_settled", 1],
      ['dcos_net_facts{kind="task"}', 1],
      ['dcos_net_facts_refused_total{reason="limit"}', 10],
      ['dcos_net_tasks{state="running"}', 1],
      ['dcos_net_tasks{state="killing"}', 0],
      ['dcos_net_source_up{source="file"}', 0],
      ['dcos_net_source_tasks{source="file"}', 4],
      ["dcos_net_overlay_passes_total", 7],
      ["dcos_net_overlay_mtu_bytes", 1450],
      ["dcos_net_overlay_last_pass_seconds", 0.012],
      ['dcos_net_overlay_states{state="ok"}', 1],
      ["dcos_net_overlay_leader", 0],
    ] as const) {
      expect(page.get(name), name).to.equal(value);
    }
    expect(page.get("process_resident_memory_bytes")).to.be.greaterThan(1e6);
    expect(page.get("process_cpu_seconds_total")).to.be.at.least((used.user + used.system) / 1e6);
  });

  it("has the pools on the leader only, with how full they are", () => {
    const sample = sampleState();
    const draft = draftOf(registryOf(network(), []));
    register(draft, node("m1", "10.0.0.1"), () => undefined);
    expect([...render(sample).keys()].join()).not.to.include("pool");
    sample.master = { network: network(), leading: { epoch: 5, registry: draft }, problem: undefined };
    const page = render(sample);
    expect(page.get("dcos_net_overlay_epoch")).to.equal(5);
    expect(page.get('dcos_net_overlay_pool_used{pool="vtep_subnet"}')).to.equal(1);
    expect(page.get('dcos_net_overlay_pool_size{pool="vtep_subnet"}')).to.equal(4094);
    expect(page.get('dcos_net_overlay_pool_size{pool="overlay dcos subnet"}')).to.equal(65_536);
  });

  it("reads everything anew each time, and forgets what isn't there any more", () => {
    const sample = sampleState();
    const traffic = new Traffic();
    const page = metricsPage({ state: sample.state, traffic });
    sample.sources.push({ name: "file", tasks: 1, problem: undefined });
    traffic.count("/health", 200);
    expect(page.render()).to.include('dcos_net_http_requests_total{route="/health",status="200"} 1');
    sample.sources.length = 0;
    traffic.count("/health", 200);
    const second = page.render();
    expect(second).to.include('dcos_net_http_requests_total{route="/health",status="200"} 2');
    expect(second).not.to.include('source="file"');
  });

  it("is what Prometheus' own client library writes, strange labels included", async () => {
    const sample = sampleState();
    sample.learn(taskFact("m1", sampleTask()), statusFact("m1", "dcos"));
    sample.sources.push({ name: 'a "quoted" \\ name\nof two lines', tasks: 4, problem: undefined });
    const traffic = new Traffic();
    traffic.count("/health", 503);
    sample.dns = dnsState().dns;
    await sample.dns.counter.count();
    const sources = { state: sample.state, traffic };
    const registry = new Registry();
    // Prometheus' own histograms can't be given counts, only durations: they have a test of their own.
    const plain = METRICS.filter(({ type }) => type !== "histogram");
    const histograms = METRICS.flatMap(({ type, name }) => (type === "histogram" ? name : []));
    for (const { name, type, help, labels, read } of plain) {
      const options = { name, help, labelNames: [...labels], registers: [registry] };
      const metric = type === "gauge" ? new Gauge(options) : new Counter(options);
      metric.reset();
      for (const { labels: of, value } of read(sources)) metric.inc(of, value);
    }
    // What the process itself uses changes between two readings.
    const lines = (text: string) =>
      text.split("\n").filter((line) => {
        return (
          line !== "" && !/^process_(?:cpu|resident)/.test(line) && !histograms.some((name) => line.includes(name))
        );
      });
    const ours = lines(metricsPage(sources).render());
    expect(ours).to.have.members(lines(await registry.metrics()));
    expect(ours).to.have.lengthOf.above(100);
    expect(METRICS_TYPE).to.equal(registry.contentType);
  });

  it("has histograms as Prometheus' own client library writes them", async () => {
    const sample = sampleState();
    const durations = new Histogram([0.001, 0.5]);
    const registry = new Registry();
    const name = "dcos_net_dns_forwarder_requests_duration_seconds";
    const help = METRICS.find((metric) => metric.name === name)?.help ?? "";
    const real = new PrometheusHistogram({
      name,
      help,
      labelNames: ["zone"],
      buckets: [0.001, 0.5],
      registers: [registry],
    });
    for (const seconds of [0.001, 0.25, 0.25, 2]) {
      durations.observe(seconds);
      real.observe({ zone: "." }, seconds);
    }
    sample.dns = { ...dnsState().dns, times: () => new Map([["", { durations, failures: 1 }]]) };
    const text = metricsPage({ state: sample.state, traffic: new Traffic() }).render();
    const ours = text.split("\n").filter((line) => line.includes(name));
    expect(ours).to.deep.equal((await registry.metrics()).split("\n").filter((line) => line !== ""));
    expect(text).to.include('dcos_net_dns_forwarder_failures_total{zone="."} 1');
  });

  it("has no value of DNS where that is switched off", () => {
    expect([...render(sampleState()).keys()].filter((name) => name.includes("dns"))).to.deep.equal([]);
  });

  it("has names as Prometheus wants them: counters end in _total, gauges don't", () => {
    for (const { name, type } of METRICS) {
      expect(name).to.match(/^(?:dcos_net|process)_[a-z0-9_]+$/);
      expect(name.endsWith("_total"), name).to.equal(type === "counter");
    }
    expect(new Set(METRICS.map(({ name }) => name)).size).to.equal(METRICS.length);
  });

  it("is what docs/metrics.md explains, metric for metric and label for label", () => {
    const text = readFileSync(new URL("../../../../docs/metrics.md", import.meta.url), "utf8");
    const rows = [
      ...text.matchAll(/^\| `((?:dcos_net|process)_\w+)(?:\{([\w, ]+)\})?` \| (counter|gauge|histogram) \|/gm),
    ];
    const documented = rows.map(([, name, labels = "", type]) => `${type} ${name}{${labels}}`);
    const real = METRICS.map(({ type, name, labels }) => `${type} ${name}{${labels.join(", ")}}`);
    expect(documented).to.have.members(real);
  });
});
