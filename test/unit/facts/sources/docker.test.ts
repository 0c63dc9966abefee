import { expect } from "chai";
import { dockerSource } from "../../../../facts/sources/docker.ts";
import type { DockerEngine, EngineListener } from "../../../../facts/sources/docker-engine.ts";
import type { ContainerInspection } from "../../../../facts/sources/docker-task.ts";
import { NetError } from "../../../../lib/error.ts";
import { RecordingSink } from "../../../support/facts-sink.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";

const container = (id: string): ContainerInspection => ({
  Id: id,
  Name: `/${id}`,
  State: { Status: "running" },
  Config: { Labels: { "dcos.task": id } },
  HostConfig: { NetworkMode: "bridge" },
  NetworkSettings: { Networks: { bridge: { IPAddress: "172.17.0.2" } } },
});

/** An engine whose answers come when a test says so: for orders of events that a real one shows only by chance. */
class ScriptedEngine implements DockerEngine {
  readonly running = new Set<string>();
  readonly asked: string[] = [];
  listener: EngineListener | undefined;
  closed = 0;
  broken = false;
  /** Runs while the engine makes up its list, after it has looked. */
  whileListing = (): void => {};

  async list(): Promise<readonly string[]> {
    this.asked.push("list");
    this.#check("list");
    const ids = [...this.running];
    this.whileListing();
    return ids;
  }

  async inspect(id: string): Promise<ContainerInspection | undefined> {
    this.asked.push(`inspect ${id}`);
    this.#check("inspect");
    return this.running.has(id) ? container(id) : undefined;
  }

  async listen(listener: EngineListener): Promise<() => void> {
    this.asked.push("listen");
    this.#check("listen");
    this.listener = listener;
    return () => {
      this.closed += 1;
      this.listener = undefined;
    };
  }

  #check(tried: string): void {
    if (this.broken) throw new NetError("unavailable", { tried });
  }
}

describe("the docker source, when things happen in unlucky order", () => {
  let engine = new ScriptedEngine();
  let sink = new RecordingSink();
  let clock: FakeClock = fakeClock();

  beforeEach(async () => {
    [engine, sink, clock] = [new ScriptedEngine(), new RecordingSink(), fakeClock()];
  });

  async function start(): Promise<() => Promise<void>> {
    const agent = { id: "node-a", addresses: ["10.0.0.1"] };
    const source = dockerSource({ engine, agent, clock, random: () => 0.5, listEveryMs: 60_000 });
    source.start(sink);
    await clock.advance(20);
    return () => source.stop();
  }

  it("listens before it lists", async () => {
    await start();
    expect(engine.asked).to.deep.equal(["listen", "list"]);
  });

  it("sees a container that starts while the list is made, and one that ends then", async () => {
    engine.running.add("ends");
    engine.whileListing = () => {
      engine.whileListing = () => {};
      engine.running.delete("ends");
      engine.running.add("starts");
      engine.listener?.event({ id: "ends", action: "die" });
      engine.listener?.event({ id: "starts", action: "start" });
    };
    await start();
    await clock.advance(20);
    expect(sink.names()).to.deep.equal(["starts"]);
  });

  it("looks only at the container that something happened to", async () => {
    for (const id of ["a", "b", "c"]) engine.running.add(id);
    await start();
    engine.asked.length = 0;
    engine.listener?.event({ id: "b", action: "rename" });
    engine.listener?.event({ id: "a", action: "exec_start: true" });
    await clock.advance(20);
    expect(engine.asked).to.deep.equal(["inspect b"]);
    expect(sink.calls).to.deep.equal(["replace"]);
  });

  it("finds within a minute what no event told of", async () => {
    await start();
    engine.running.add("silent");
    await clock.advance(61_000);
    expect(sink.names()).to.deep.equal(["silent"]);
  });

  it("keeps all tasks when the engine fails in the middle of a look, and lists anew when it is back", async () => {
    for (const id of ["a", "b"]) engine.running.add(id);
    await start();
    engine.broken = true;
    engine.listener?.event({ id: "a", action: "die" });
    await clock.advance(1000);
    expect(sink.names()).to.deep.equal(["a", "b"]);
    expect(sink.problems.slice(0, 1)).to.deep.equal(["cannot inspect"]);
    engine.broken = false;
    engine.running.delete("a");
    await clock.advance(6000);
    expect(sink.names()).to.deep.equal(["b"]);
    expect(engine.asked.slice(-3)).to.deep.equal(["listen", "list", "inspect b"]);
  });

  it("lists anew after the stream of events broke, even when it knows what happened last", async () => {
    await start();
    for (const id of ["known", "missed"]) engine.running.add(id);
    const { listener } = engine;
    listener?.event({ id: "known", action: "start" });
    listener?.end();
    await clock.advance(200);
    expect(sink.names()).to.deep.equal(["known", "missed"]);
  });

  it("tells a lasting problem once, and again when it comes back", async () => {
    await start();
    const breakFor = async (ms: number): Promise<void> => {
      engine.broken = true;
      engine.listener?.end(new NetError("unavailable", { tried: "listen" }));
      await clock.advance(ms);
      engine.broken = false;
      await clock.advance(6000);
    };
    await breakFor(60_000);
    expect(sink.problems).to.deep.equal(["cannot listen"]);
    await breakFor(60_000);
    expect(sink.problems).to.deep.equal(["cannot listen", "cannot listen"]);
  });

  it("forgets that a container was asked to end when it starts again", async () => {
    engine.running.add("a");
    await start();
    engine.listener?.event({ id: "a", action: "kill", signal: "1" });
    await clock.advance(20);
    expect(sink.named("a")?.state).to.equal("running");
    engine.listener?.event({ id: "a", action: "kill", signal: "15" });
    await clock.advance(20);
    expect(sink.named("a")?.state).to.equal("killing");
    engine.listener?.event({ id: "a", action: "die" });
    engine.listener?.event({ id: "a", action: "start" });
    await clock.advance(20);
    expect(sink.named("a")?.state).to.equal("running");
  });

  it("hangs up when it is stopped", async () => {
    const stop = await start();
    await stop();
    expect([engine.closed, clock.pending()]).to.deep.equal([1, 0]);
  });
});
