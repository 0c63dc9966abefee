import { expect } from "chai";
import fc from "fast-check";
import { listedMasters } from "../../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../../facts/sources/mesos-master.ts";
import { FactView } from "../../../facts/view.ts";
import { backendName, serviceName } from "../../../l4lb/service.ts";
import { VipTable } from "../../../l4lb/table.ts";
import { parseIp } from "../../../lib/address.ts";
import { Collector } from "../../fake-mesos/collector.ts";
import { describeWithFixtures, fixtureNames, fixtureText } from "../../fake-mesos/fixtures.ts";
import { recordedStream, replayingMaster, settled } from "../../fake-mesos/replay.ts";
import { nodeFact, taskFact } from "../../support/facts.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { type RawState, referenceTable, type VipTableText } from "../../support/vip-reference.ts";
import { applyEvent, emptyState, eventOf, type RawEvent } from "../../support/vip-reference-events.ts";
import { rawState } from "../../support/vip-reference-tasks.ts";

/** The pools of DC/OS. */
const POOLS = {
  4: { min: parseIp("11.0.0.0"), max: parseIp("11.255.255.255") },
  6: { min: parseIp("fd01:c::"), max: parseIp("fd01:c::ffff:ffff:ffff:ffff") },
};
/** A node on which nothing runs. */
const ELSEWHERE = "192.0.2.1";

/** What this node's kernel is to have after its leading master has said this. */
async function tableAfter(events: readonly RawEvent[], node: string): Promise<VipTableText> {
  const lines = events.map((event) => JSON.stringify(event)).join("\n");
  const clock = fakeClock();
  const sink = new Collector();
  const bytes = recordedStream(new TextEncoder().encode(lines), "lines");
  const source = new MesosMasterSource({
    caller: { http: replayingMaster([{ bytes, hangs: true }]), clock },
    leader: listedMasters(["http://master.example:5050"]),
    resolve: async () => [],
    random: () => 0,
  });
  source.start(sink);
  await settled();
  expect(sink.problems).to.deep.equal([]);
  await source.stop();
  const view = new FactView();
  const facts = [nodeFact("m1", { masterSince: 1 }), ...[...sink.tasks.values()].map((task) => taskFact("m1", task))];
  view.apply(facts.map((fact) => ({ type: "held", owner: "m1", name: `${fact.kind}/${fact.key}`, fact }) as const));
  const table = new VipTable({ node: "n1", addresses: [node], pools: POOLS, drainMs: 300_000, now: () => 1000 });
  table.begin(view.snapshot());
  return Object.fromEntries(
    [...table.rows].map(({ service }) => [
      serviceName(service),
      Object.fromEntries(service.backends.map((backend) => [backendName(backend), backend.weight])),
    ]),
  );
}

const eventsOf = (text: string): RawEvent[] =>
  text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(eventOf);

/** Nodes from which the table looks different: one of each agent, and another. */
const nodesOf = ({ agents }: RawState): string[] => [...new Set([...agents.values(), ELSEWHERE])];

describeWithFixtures("the table of virtual IPs from captured Mesos streams", () => {
  const files = [
    ...fixtureNames("operator-api", ".json").map((name) => `operator-api/${name}`),
    ...fixtureNames("mesos-live/streams", ".jsonl").map((name) => `mesos-live/streams/${name}`),
  ];
  const isNews = ({ type }: RawEvent) => type !== "HEARTBEAT";
  let backends = 0;

  for (const file of files) {
    it(`${file}: after each event it is what the rules of the reference give`, async () => {
      const events = eventsOf(fixtureText(file)).filter(isNews);
      let state = emptyState();
      for (const [index, event] of events.entries()) {
        state = applyEvent(state, event);
        for (const node of nodesOf(state)) {
          const expected = referenceTable(state, node);
          backends += Object.values(expected).flatMap(Object.keys).length;
          expect(await tableAfter(events.slice(0, index + 1), node), `event ${index} on ${node}`).to.deep.equal(
            expected,
          );
        }
      }
    });
  }

  it("the captures have virtual IPs with backends", () => {
    expect(backends).to.be.greaterThan(20);
  });
});

describe("the table of virtual IPs from generated Mesos tasks", () => {
  it("is on every node what the rules of the reference give, for all networks, runtimes, states and labels", async function () {
    this.timeout(60_000);
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(rawState, async ({ state, event }) => {
        for (const node of nodesOf(state)) {
          const expected = referenceTable(state, node);
          for (const [service, backends] of Object.entries(expected)) {
            for (const weight of Object.values(backends)) seen.add(`${service.split(" ")[0]} ${weight}`);
            if (service.includes("[")) seen.add("IPv6");
          }
          expect(await tableAfter([event], node), node).to.deep.equal(expected);
        }
      }),
      { numRuns: 150 },
    );
    expect([...seen]).to.include.members(["tcp 1", "tcp 0", "udp 1", "IPv6"]);
  });
});
