import { expect } from "chai";
import { listedMasters } from "../../../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../../../facts/sources/mesos-master.ts";
import type { Task, TaskPort } from "../../../../facts/task.ts";
import { Collector } from "../../../fake-mesos/collector.ts";
import { describeWithFixtures, fixture, fixtureNames, fixtureText } from "../../../fake-mesos/fixtures.ts";
import { type Replay, recordedStream, replayingMaster, settled } from "../../../fake-mesos/replay.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";

/** A source whose master replays these streams, and what it told. */
function follow(replays: readonly Replay[]): { source: MesosMasterSource; sink: Collector; clock: FakeClock } {
  const clock = fakeClock();
  const sink = new Collector();
  const source = new MesosMasterSource({
    caller: { http: replayingMaster(replays), clock },
    leader: listedMasters(["http://master.example:5050"]),
    resolve: async () => [],
    random: () => 0,
  });
  source.start(sink);
  return { source, sink, clock };
}

/** The recorded GET_STATE as the first event of a stream. */
function asSubscribed(state: Uint8Array): Uint8Array {
  const { get_state } = JSON.parse(new TextDecoder().decode(state));
  const subscribed = { type: "SUBSCRIBED", subscribed: { get_state, heartbeat_interval_seconds: 15 } };
  return recordedStream(new TextEncoder().encode(JSON.stringify(subscribed)), "lines");
}

/** After this the source has subscribed anew. */
const LONGEST_FIRST_WAIT_MS = 1_000;

interface ExpectedTask {
  readonly framework_id: string;
  readonly framework: string;
  readonly name: string;
  readonly agent_ip: string;
  readonly task_ip: readonly string[];
  readonly state: string;
  readonly healthy: boolean | null;
  readonly ports: readonly { name?: string; port?: number; host_port?: number; protocol: string; vip?: string[] }[];
}

const HEALTHY = { healthy: true, unhealthy: false, unknown: null };

function asExpected(task: Task): ExpectedTask {
  return {
    framework_id: task.framework.id,
    framework: task.framework.name,
    name: task.discovery?.name ?? task.name,
    agent_ip: task.agent.addresses[0] ?? "",
    task_ip: task.addresses.map(({ address }) => address),
    state: task.state,
    healthy: HEALTHY[task.health],
    ports: sorted(task.ports.map(portAsExpected)),
  };
}

function portAsExpected({ name, host, container, protocol, vips }: TaskPort) {
  return {
    ...(name !== undefined && { name }),
    ...(container !== undefined && { port: container }),
    ...(host !== undefined && { host_port: host }),
    protocol,
    ...(vips.length > 0 && { vip: [...vips] }),
  };
}

function sorted<T>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

describeWithFixtures("mesos-master on captured operator streams", () => {
  for (const name of fixtureNames("operator-api", ".json")) {
    it(`derives from ${name} the tasks that follow by the rules`, async () => {
      const bytes = fixture(`operator-api/${name}`);
      const isState = new TextDecoder().decode(bytes.subarray(0, 30)).includes("GET_STATE");
      const stream = isState ? asSubscribed(bytes) : recordedStream(bytes, "lines");
      const { source, sink } = follow([{ bytes: stream, hangs: true }]);
      await settled();
      const { tasks } = JSON.parse(fixtureText(`operator-api/expected/${name.replace(".json", ".expected.json")}`));
      const expected = Object.entries(tasks as Record<string, ExpectedTask>).map(([id, task]) => [
        id,
        { ...task, ports: sorted(task.ports) },
      ]);
      expect(Object.fromEntries([...sink.tasks.values()].map((task) => [task.id, asExpected(task)]))).to.deep.equal(
        Object.fromEntries(expected),
      );
      expect(sink.problems).to.deep.equal([]);
      await source.stop();
    });
  }

  it("names, addresses and ports follow a task through its life", async () => {
    const bytes = fixture("mesos-live/streams/70-clean-single-task-lifecycle.recordio");
    const { source, sink } = follow([{ bytes, piece: 1, hangs: true }]);
    for (let turn = 0; turn < 20_000 && sink.removals().length === 0; turn++) await settled();
    const [launched, starting, , ended] = sink.deltas;
    expect(launched?.put[0]).to.include({ id: "clean.t12", state: "preparing", health: "unknown", mode: "container" });
    // The status says STARTING and the state beside it RUNNING: the latter counts.
    expect(starting?.put[0]).to.deep.include({
      state: "running",
      addresses: [{ address: "9.0.1.2", network: "dcos" }],
      agentPorts: [31500],
      ports: [
        { protocol: "tcp", container: 8080, name: "http", vips: ["/clean:80"] },
        { protocol: "tcp", host: 31500, name: "admin", vips: ["/clean:8000"] },
      ],
    });
    expect(ended).to.equal(undefined);
    expect(sink.removals()).to.deep.equal(["clean.t12"]);
    await source.stop();
  });

  for (const [name, format] of [
    ["operator-api/hello-overlay.json", "lines"],
    ["mesos-live/streams/62-zk-subscribe-new-leader.recordio", "recordio"],
    ["mesos-live/streams/70-clean-single-task-lifecycle.recordio", "recordio"],
  ] as const) {
    it(`ends with the same tasks when ${name} is cut at any byte and the master is asked again`, async function () {
      this.timeout(600_000);
      const bytes = recordedStream(fixture(name), format);
      const whole = follow([{ bytes, hangs: true }]);
      await settled();
      for (let cut = 0; cut <= bytes.length; cut++) {
        const replays: Replay[] = [
          { bytes: bytes.subarray(0, cut), hangs: false },
          { bytes, hangs: true },
        ];
        const { source, sink, clock } = follow(replays);
        await settled();
        await clock.advance(LONGEST_FIRST_WAIT_MS);
        await settled();
        if (!Bun.deepEquals(sink.tasks, whole.sink.tasks))
          expect(sink.tasks, `cut at ${cut}`).to.deep.equal(whole.sink.tasks);
        await source.stop();
      }
      await whole.source.stop();
    });
  }

  it("serves a task through the restart of its master, and follows it through partition and loss", async () => {
    const lines = fixtureText("mesos-live/streams/01-subscribe-full-session.jsonl").split("\n");
    const isRunning = (line: string) => /"TASK_UPDATED".*-0001".*"web\.t1".*"TASK_RUNNING"/.test(line);
    const running = new TextEncoder().encode(lines.slice(0, lines.findLastIndex(isRunning) + 1).join("\n"));
    const { source, sink, clock } = follow([
      { bytes: recordedStream(running, "lines"), hangs: false },
      { bytes: fixture("mesos-live/streams/07-subscribe-after-master-restart.recordio"), piece: 400, hangs: true },
    ]);
    await settled();
    const before = sink.task("web.t1");
    expect(before).to.include({ state: "running" });
    const told = sink.deltas.length;
    await clock.advance(LONGEST_FIRST_WAIT_MS);
    for (let turn = 0; turn < 500; turn++) await settled();
    const since = sink.deltas.slice(told);
    const states = since.flatMap(({ put }) => put.filter(({ id }) => id === "web.t1").map(({ state }) => state));
    expect(states).to.deep.equal(["preparing", "running"]);
    expect(since.flatMap(({ removed }) => removed).filter(({ taskId }) => taskId === "web.t1")).to.have.length(1);
    expect(sink.ids()).to.deep.equal([]);
    await source.stop();
  });
});
