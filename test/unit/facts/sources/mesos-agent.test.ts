import { expect } from "chai";
import { type MesosAgentOptions, MesosAgentSource } from "../../../../facts/sources/mesos-agent.ts";
import { networkHttp } from "../../../../facts/sources/mesos-http.ts";
import { FakeAgent } from "../../../fake-mesos/agent.ts";
import { Collector, countingHttp, until } from "../../../fake-mesos/collector.ts";
import { describeWithFixtures, fixtureText } from "../../../fake-mesos/fixtures.ts";
import { containerStatus, type Json, taskOf } from "../../../fake-mesos/json.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";

function running(id: string, address: string, framework = "F"): Json {
  const status = { state: "TASK_RUNNING", timestamp: 1, container_status: containerStatus([address], "dcos") };
  return taskOf({ id, framework, agent: "A", more: { state: "TASK_RUNNING", statuses: [status] } });
}

describe("MesosAgentSource", () => {
  let clock: FakeClock;
  let agent: FakeAgent;
  let source: MesosAgentSource;
  let sink: Collector;
  const http = countingHttp(networkHttp());

  beforeEach(() => {
    clock = fakeClock();
    sink = new Collector();
    agent = new FakeAgent({ id: "A", hostname: "10.0.0.9" });
    agent.frameworks = [{ id: "F", name: "marathon" }];
    agent.launched = [running("a", "9.0.1.2")];
  });
  afterEach(async () => {
    await source.stop();
    await agent.stop();
  });

  const start = (options: Partial<MesosAgentOptions> = {}): void => {
    const caller = { http, clock };
    source = new MesosAgentSource({ caller, base: agent.url, resolve: async () => [], random: () => 0.5, ...options });
    source.start(sink);
  };
  /** Lets time pass in small steps until the condition holds. */
  const passUntil = async (condition: () => boolean, what: string, stepMs = 200): Promise<void> => {
    await until(() => {
      if (http.waiting() === 0) clock.advance(stepMs);
      return condition();
    }, what);
  };
  const polls = (): number => agent.calls["GET_AGENT"] ?? 0;

  it("tells the agent's tasks, then only what changes", async () => {
    start();
    await passUntil(() => sink.replaced === 1, "the first set");
    expect(source.agentId).to.equal("A");
    expect(sink.task("a")).to.deep.include({ observer: "node", agent: { id: "A", addresses: ["10.0.0.9"] } });
    agent.launched = [running("a", "9.0.1.2"), running("b", "9.0.1.3")];
    await passUntil(() => sink.ids().length === 2, "the second task");
    agent.launched = [running("b", "9.0.1.4")];
    await passUntil(() => sink.ids().length === 1, "the first task's end");
    expect(sink.deltas.map(({ put, removed }) => [put.length, removed.length])).to.deep.equal([
      [1, 0],
      [1, 1],
    ]);
    expect(sink.task("b")?.addresses[0]?.address).to.equal("9.0.1.4");
  });

  it("polls about every two seconds, and tells nothing when nothing changed", async () => {
    start();
    await passUntil(() => polls() === 1, "the first poll");
    await until(() => sink.replaced === 1, "its end");
    await clock.advance(1_500);
    expect(polls()).to.equal(1);
    await passUntil(() => polls() === 5, "more polls", 100);
    expect(sink.deltas).to.deep.equal([]);
    expect(sink.replaced).to.equal(1);
  });

  it("keeps the tasks while the agent fails, says why once, backs off, and goes on", async () => {
    start();
    await passUntil(() => sink.replaced === 1, "the first set");
    agent.failure = { status: 503, body: "Agent has not finished recovery" };
    await passUntil(() => sink.problems.length === 1, "the problem");
    await passUntil(() => clock.monotonic() > 200_000, "a long failure", 1_000);
    expect(sink.problems).to.have.length(1);
    expect(sink.problems[0]?.message).to.include("HTTP 503: Agent has not finished recovery");
    expect(sink.ids()).to.deep.equal(["a"]);
    agent.failure = undefined;
    agent.launched = [];
    await passUntil(() => sink.ids().length === 0, "the next good poll", 1_000);
    agent.failure = { status: 401, body: "" };
    await passUntil(() => sink.problems.length === 2, "another problem", 1_000);
    expect(sink.problems[1]).to.include({ code: "permission" });
  });

  it("refuses an answer that is too large, and one that isn't JSON", async () => {
    agent.padding = 10_000;
    start({ limits: { bodyBytes: 9_000 } });
    await passUntil(() => sink.problems.length === 1, "the refusal");
    expect(sink.problems[0]).to.include({ code: "exhausted" });
    agent.failure = { status: 200, body: "<html>" };
    await passUntil(() => sink.problems.length === 2, "the other refusal", 1_000);
    expect(sink.problems[1]).to.include({ code: "invalid" });
    expect(sink.replaced).to.equal(0);
  });

  it("waits for an agent that has no id yet without calling it a failure", async () => {
    agent.agent = undefined;
    start();
    await passUntil(() => polls() === 3, "some polls");
    expect(sink.problems).to.deep.equal([]);
    expect(sink.replaced).to.equal(0);
    agent.agent = { id: "A", hostname: "10.0.0.9" };
    await passUntil(() => sink.replaced === 1, "the first set");
    expect(sink.ids()).to.deep.equal(["a"]);
  });

  it("takes the node's own address where the agent's host name can't be resolved", async () => {
    agent.agent = { id: "A", hostname: "agent.invalid" };
    start({ nodeAddress: "10.0.0.9" });
    await passUntil(() => sink.ids().length === 1, "the task");
    expect(sink.task("a")?.agent.addresses).to.deep.equal(["10.0.0.9"]);
    expect(sink.problems[0]?.message).to.include("agent.invalid");
  });

  it("ignores tasks of frameworks that it doesn't know, and of other agents", async () => {
    agent.launched = [
      running("a", "9.0.1.2"),
      running("x", "9.0.1.3", "G"),
      { ...running("y", "9.0.1.4"), agent_id: { value: "B" } },
    ];
    start();
    await passUntil(() => sink.replaced === 1, "the first set");
    expect(sink.ids()).to.deep.equal(["a"]);
  });

  it("forgets the tasks of its former id when the agent registers as another one", async () => {
    start();
    await passUntil(() => sink.replaced === 1, "the first set");
    agent.agent = { id: "B", hostname: "10.0.0.9" };
    agent.launched = [];
    await passUntil(() => sink.ids().length === 0, "the removal");
    expect(source.agentId).to.equal("B");
  });
});

describeWithFixtures("MesosAgentSource on captured answers", () => {
  for (const name of ["10-web-running", "12-pod-running", "71-clean-single-task-running"]) {
    it(`tells the tasks that ran at ${name}`, async () => {
      const folder = `mesos-live/snapshots/${name}`;
      const clock = fakeClock();
      const sink = new Collector();
      const server = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: async (request) => {
          const { type } = (await request.json()) as { type: string };
          return new Response(fixtureText(`${folder}/agent-v1-${type}.json`));
        },
      });
      const base = server.url.origin;
      const caller = { http: networkHttp(), clock };
      const source = new MesosAgentSource({ caller, base, resolve: async () => [], random: () => 0.5 });
      source.start(sink);
      await until(() => {
        clock.advance(100);
        return sink.replaced === 1;
      }, "the set");
      await source.stop();
      await server.stop(true);
      const state = JSON.parse(fixtureText(`${folder}/agent-v1-GET_STATE.json`));
      const launched = state.get_state.get_tasks.launched_tasks as { task_id: { value: string } }[];
      expect(sink.ids()).to.deep.equal(launched.map((task) => task.task_id.value).sort());
      expect([...sink.tasks.values()].every((task) => task.state === "running")).to.equal(true);
      expect([...sink.tasks.values()].flatMap(({ addresses }) => addresses)).to.have.length.greaterThan(0);
      expect(sink.problems).to.deep.equal([]);
    });
  }
});
