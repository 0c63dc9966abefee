import { expect } from "chai";
import { RecordDecoder } from "../../facts/sources/mesos-recordio.ts";
import { memberOf } from "../../facts/task-mesos-json.ts";
import { FakeAgent } from "./agent.ts";
import { describeWithFixtures, fixture, fixtureText } from "./fixtures.ts";
import { containerStatus, type Json } from "./json.ts";
import { FakeMaster } from "./master.ts";

/** The shape of a value: member names, and of a list the shape of its first item. What the fake leaves empty is any. */
function lacks(captured: unknown, faked: unknown, at: string): string[] {
  if (Array.isArray(captured)) {
    if (!Array.isArray(faked)) return [`${at} is no list`];
    return captured.length === 0 || faked.length === 0 ? [] : lacks(captured[0], faked[0], `${at}[0]`);
  }
  if (typeof captured !== "object" || captured === null) {
    return typeof captured === typeof faked ? [] : [`${at} is ${typeof faked}, not ${typeof captured}`];
  }
  const members = Object.entries(captured).filter(([key]) => !NOT_FAKED.has(key));
  return members.flatMap(([key, value]) =>
    faked === null || typeof faked !== "object" || !(key in faked)
      ? [`${at}.${key} is missing`]
      : lacks(value, (faked as Json)[key], `${at}.${key}`),
  );
}

/** Members that none of the sources reads. */
const NOT_FAKED = new Set(["labels", "message", "source", "executor_id", "uuid", "reason", "completed_executors"]);

function summary(event: Json): string {
  const type = String(event["type"]);
  const body = event[type.toLowerCase()] as Json | undefined;
  const status = body?.["status"] as Json | undefined;
  if (status === undefined) return type;
  return `${type} ${status["state"]}/${body?.["state"]} ${status["container_status"] === undefined ? "bare" : "full"}`;
}

async function call(url: string, type: string, headers: Record<string, string> = {}): Promise<Response> {
  const body = JSON.stringify({ type });
  const all = { "content-type": "application/json", accept: "application/json", ...headers };
  return fetch(`${url}/api/v1`, { method: "POST", headers: all, body, redirect: "manual" });
}

/** Reads a stream until `count` events that aren't heartbeats have come. */
async function readEvents(response: Response, count: number): Promise<Json[]> {
  const decoder = new RecordDecoder(1e6);
  const events: Json[] = [];
  for await (const piece of response.body ?? []) {
    for (const record of decoder.push(piece)) events.push(JSON.parse(new TextDecoder().decode(record)));
    if (events.filter(({ type }) => type !== "HEARTBEAT").length >= count) break;
  }
  return events;
}

/** The start of an answer as it was captured: status, location, text. */
function captured(
  path: string,
  request: string,
  includes: string,
): { status: number; location?: string; body: string } {
  const lines = fixtureText(path).trim().split("\n");
  const answers = lines.map((line) => JSON.parse(line) as { request: string; response_start: string });
  const text = answers.find((answer) => answer.request === request && answer.response_start.includes(includes));
  const [head = "", body = ""] = (text?.response_start ?? "").split("\r\n\r\n");
  const location = /Location: (.*)/.exec(head)?.[1]?.trim();
  const status = Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]);
  return location === undefined ? { status, body } : { status, location, body };
}

describeWithFixtures("the fake master beside captures of a real one", () => {
  const masters: FakeMaster[] = [];
  const start = (options = {}): FakeMaster => {
    const master = new FakeMaster(options);
    masters.push(master);
    return master;
  };
  afterEach(async () => {
    for (const master of masters.splice(0)) await master.stop();
  });

  it("sends the events of a task's life in the captured order, with all members that are read", async () => {
    const lines = fixtureText("mesos-live/streams/70-clean-single-task-lifecycle.jsonl").trim().split("\n");
    const real = lines.map((line) => JSON.parse(line) as Json);
    const master = start();
    const response = await call(master.url, "SUBSCRIBE");
    const { state } = master;
    const [task, framework] = ["clean.t12", "F"];
    const more = { container_status: containerStatus(["9.0.1.2"], "dcos") };
    const ports = { ports: [{ number: 8080, name: "http", protocol: "tcp", labels: { labels: [] } }] };
    const ranges = { name: "ports", type: "RANGES", ranges: { range: [{ begin: 31500, end: 31500 }] } };
    const resources = [
      { name: "cpus", type: "SCALAR", scalar: { value: 0.1 }, allocation_info: { role: "*" } },
      ranges,
    ];
    const discovery = { visibility: "CLUSTER", name: "clean", ports };
    master.emit([
      ...state.addAgent({ id: "A", hostname: "127.0.0.1" }),
      ...state.addFramework({ id: framework, name: "mesos-execute instance" }),
      ...state.launch({ id: task, framework, agent: "A", more: { discovery, resources } }),
      ...state.update({ task, framework, state: "TASK_STARTING", latest: "TASK_RUNNING", more }),
      ...state.update({ task, framework, state: "TASK_RUNNING", more }),
      ...state.update({ task, framework, state: "TASK_FINISHED", more }),
      ...state.removeFramework(framework),
    ]);
    const wanted = real.filter(({ type }) => type !== "HEARTBEAT");
    const got = await readEvents(response, wanted.length);
    expect(got.slice(0, 2).map(summary)).to.deep.equal(real.slice(0, 2).map(summary));
    const fake = got.filter(({ type }) => type !== "HEARTBEAT");
    expect(fake.map(summary)).to.deep.equal(wanted.map(summary));
    expect(wanted.flatMap((event, index) => lacks(event, fake[index], `event ${index}`))).to.deep.equal([]);
  });

  it("takes over as the captured master did: recovered agents, no tasks, tasks before their agent", async () => {
    const real = new RecordDecoder(1e6).push(fixture("mesos-live/streams/07-subscribe-after-master-restart.recordio"));
    const captures = [...real].map((record) => JSON.parse(new TextDecoder().decode(record)) as Json).slice(0, 4);
    const old = start();
    old.state.addAgent({ id: "A", hostname: "127.0.0.1" });
    old.state.addFramework({ id: "F", name: "mesos-execute instance" });
    old.state.launch({ id: "web.t1", framework: "F", agent: "A" });
    const next = start({ state: old.state.successor() });
    const response = await call(next.url, "SUBSCRIBE");
    next.emit(next.state.reregister({ id: "A", hostname: "127.0.0.1" }, old.state.tasksOf("A")));
    const got = await readEvents(response, 3);
    expect(got.map(summary)).to.deep.equal(captures.map(summary));
    const counts = (event: Json | undefined): unknown => {
      const state = memberOf(event, "subscribed", "get_state") as Record<string, Record<string, unknown[]>>;
      const { get_tasks: tasks, get_frameworks: frameworks, get_agents: agents } = state;
      return [tasks?.["tasks"], frameworks?.["frameworks"], agents?.["agents"], agents?.["recovered_agents"]].map(
        (list) => list?.length,
      );
    };
    expect(counts(got[0])).to.deep.equal(counts(captures[0]));
  });

  it("answers as a real one that doesn't lead, elects or recovers", async () => {
    const follower = start({ role: { follows: "http://127.0.0.1:5050" } });
    const nonLeader = "mesos-live/60-zk-nonleader-5060-startup-answers.jsonl";
    const cases = [
      { master: follower, type: "SUBSCRIBE", real: captured(nonLeader, "SUBSCRIBE", "307") },
      { master: follower, type: "GET_STATE", real: captured(nonLeader, "GET_STATE", "307") },
      { master: start({ role: "electing" }), type: "SUBSCRIBE", real: captured(nonLeader, "SUBSCRIBE", "503") },
      {
        master: start({ role: "recovering" }),
        type: "SUBSCRIBE",
        real: captured("mesos-live/60-zk-leader-5050-startup-answers.jsonl", "SUBSCRIBE", "recovery"),
      },
    ];
    for (const { master, type, real } of cases) {
      const answer = await call(master.url, type);
      expect(answer.status).to.equal(real.status);
      expect(answer.headers.get("location") ?? undefined).to.equal(real.location);
      expect(await answer.text()).to.equal(real.body);
    }
    const redirect = await fetch(`${follower.url}/redirect`, { redirect: "manual" });
    expect(redirect.headers.get("location")).to.equal(captured(nonLeader, "GET /redirect", "307").location);
    expect((await call(start().url, "SUBSCRIBE", { accept: "application/recordio" })).status).to.equal(406);
  });

  it("has an agent beside it whose answers have the captured members", async () => {
    const folder = "mesos-live/snapshots/71-clean-single-task-running";
    const agent = new FakeAgent({ id: "A", hostname: "127.0.0.1" });
    agent.frameworks = [{ id: "F", name: "mesos-execute instance" }];
    for (const type of ["GET_STATE", "GET_AGENT"]) {
      const real = JSON.parse(fixtureText(`${folder}/agent-v1-${type}.json`));
      const fake = await (await call(agent.url, type)).json();
      expect(lacks(real, fake, type)).to.deep.equal([]);
    }
    await agent.stop();
  });
});
