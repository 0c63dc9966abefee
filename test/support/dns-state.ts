import type { DnsReport, DnsState } from "../../bin/api/dns.ts";
import { ZoneCounter } from "../../bin/dns/zone-counter.ts";
import { DCOS_RANGES, Names } from "../../dns/names.ts";
import { aliases } from "../../dns/naming.ts";
import { traceName } from "../../dns/trace.ts";
import { FactView } from "../../facts/view.ts";
import { systemClock } from "../../lib/clock.ts";
import { NOW } from "./api-state.ts";
import { sampleTask, taskFact } from "./facts.ts";

/** How a server does that has just started. */
export const REPORT: DnsReport = {
  listening: ["198.51.100.1:53"],
  waiting: [],
  problems: [],
  workers: 1,
  fastNames: 1,
  fastBytes: 1,
  fastAnswers: 1,
  forwarding: {
    zones: [],
    cache: { entries: 0, bytes: 0, evicted: 0 },
    flights: 0,
    counters: { queries: 0, hits: 0, asked: 0, joined: 0, prefetched: 0, stale: 0, failed: 0 },
  },
};

/** The names of `count` tasks `app`, `app-1`, … of Marathon, seen 7 s ago; names below `example` are asked of others. */
export function dnsState(count = 1): { readonly dns: DnsState; readonly names: Names } {
  const view = new FactView();
  const tasks = Array.from({ length: count }, (_, index) =>
    sampleTask({
      id: `app.${index}`,
      name: index === 0 ? "app" : `app-${index}`,
      addresses: [{ address: `9.0.1.${(index % 250) + 1}` }, { address: "fd01:b::6" }],
    }),
  );
  view.apply(tasks.map((task) => ({ type: "put", fact: taskFact("m1", task, 1, NOW - 7000) })));
  const names = new Names({
    node: "m1",
    publicAddresses: [],
    custom: [],
    ranges: DCOS_RANGES,
    forwarded: [],
    zones: [],
  });
  names.begin(view.snapshot());
  const { zones } = names;
  const dns: DnsState = {
    zones,
    aliases: aliases(),
    trace: (name, type) =>
      traceName(name, type, { zones, aliases: aliases(), sources: names.sources(view.snapshot()) }),
    explain: (name) => (name.endsWith(".example") ? { zone: "", upstreams: [], kept: undefined } : undefined),
    report: () => REPORT,
    counter: new ZoneCounter(zones, systemClock),
    times: () => new Map(),
  };
  return { dns, names };
}
