import { expect } from "chai";
import { dockerSource } from "../../facts/sources/docker.ts";
import { dockerEngine } from "../../facts/sources/docker-engine.ts";
import type { Source } from "../../facts/sources/source.ts";
import type { Task } from "../../facts/task.ts";
import { systemClock } from "../../lib/clock.ts";
import { describeDocker } from "../support/docker-engines.ts";
import { DockerMachine } from "../support/docker-machine.ts";
import { eventually, RecordingSink } from "../support/facts-sink.ts";

const AGENT = { id: "node-a", addresses: ["198.51.100.1", "2001:db8:51::1"] };

describeDocker("the docker source beside a real engine", [], function () {
  this.timeout(180_000);
  let machine: DockerMachine;
  let source: Source | undefined;
  let sink = new RecordingSink();

  before(async () => {
    machine = await DockerMachine.start();
  });

  after(() => machine?.stop());

  beforeEach(() => {
    sink = new RecordingSink();
  });

  afterEach(async () => {
    await source?.stop();
    await machine.clear();
  });

  function start(): void {
    const engine = dockerEngine(machine.socket, 10_000);
    // The list is so far off that what is seen is seen through events.
    const options = { engine, agent: AGENT, clock: systemClock, random: Math.random, listEveryMs: 3_600_000 };
    source = dockerSource({ ...options, longestRetryMs: 500 });
    source.start(sink);
  }

  const names = (...expected: readonly string[]): Promise<void> =>
    eventually(() => expect(sink.names()).to.deep.equal(expected));
  const eventuallyTask = (name: string, check: (task: Task | undefined) => void): Promise<void> =>
    eventually(() => check(sink.named(name)));
  const addressOf = (name: string, network = "bridge"): Promise<string> =>
    machine.docker("inspect", "--format", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);

  it("tells at first of the containers that have our labels, and of no other", async () => {
    const id = await machine.run(
      "web-1",
      "--label",
      "dcos.task=web",
      "--label",
      "dcos.framework=shop",
      "-p",
      "31000:80",
    );
    await machine.run("plain");
    await machine.run("of-mesos", "--label", "dcos.task=x", "--label", "MESOS_TASK_ID=x.1");
    start();
    await names("web");
    expect(sink.calls).to.deep.equal(["replace"]);
    expect(sink.named("web")).to.deep.equal({
      id,
      framework: { id: "docker.node-a.shop", name: "shop" },
      name: "web",
      discovery: { visibility: "cluster", ports: [{ protocol: "tcp", number: 31_000, scope: "host" }] },
      agent: AGENT,
      addresses: [{ address: await addressOf("web-1"), network: "bridge" }],
      mode: "bridge",
      runtime: "docker",
      ports: [{ protocol: "tcp", host: 31_000, container: 80, vips: [] }],
      agentPorts: [31_000],
      state: "running",
      health: "unknown",
      observer: "node",
    });
  });

  it("sees containers come and go", async () => {
    start();
    await eventually(() => expect(sink.calls).to.deep.equal(["replace"]));
    await machine.run("one", "--label", "dcos.task=one");
    await machine.run("two", "--label", "VIP_0=/two:80");
    await names("one", "two");
    expect(sink.named("two")?.ports).to.deep.equal([{ protocol: "tcp", container: 80, vips: ["/two:80"] }]);
    await machine.docker("rm", "--force", "one");
    await names("two");
    await machine.docker("rename", "two", "other");
    await names("other");
  });

  it("calls a task that was asked to end killing, until it has ended", async () => {
    start();
    await machine.run("slow", "--label", "dcos.task=slow");
    await names("slow");
    const stopped = machine.docker("stop", "--time", "2", "slow");
    await eventuallyTask("slow", (task) => expect(task?.state).to.equal("killing"));
    await stopped;
    await names();
    await machine.docker("start", "slow");
    await eventuallyTask("slow", (task) => expect(task?.state).to.equal("running"));
  });

  it("calls a paused container unhealthy", async () => {
    start();
    await machine.run("one", "--label", "dcos.task=one");
    await machine.docker("pause", "one");
    await eventuallyTask("one", (task) => expect(task?.health).to.equal("unhealthy"));
    await machine.docker("unpause", "one");
    await eventuallyTask("one", (task) => expect(task?.health).to.equal("unknown"));
  });

  it("follows the container's own health check, unhealthy before its first result", async () => {
    start();
    const check = ["--health-cmd", "cat /tmp/good", "--health-interval", "1s", "--health-retries", "1"];
    await machine.run("checked", "--label", "dcos.task=checked", ...check);
    await eventuallyTask("checked", (task) => expect(task?.health).to.equal("unhealthy"));
    await machine.docker("exec", "checked", "sh", "-c", ": >/tmp/good");
    await eventuallyTask("checked", (task) => expect(task?.health).to.equal("healthy"));
  });

  it("follows the addresses of a running container from network to network, IPv6 too", async () => {
    const range = ["--subnet", "10.77.0.0/24", "--ipv6", "--subnet", "fd77::/64"];
    await machine.docker("network", "create", ...range, "second");
    try {
      start();
      await machine.run("one", "--label", "dcos.task=one");
      await names("one");
      const first = { address: await addressOf("one"), network: "bridge" };
      await machine.docker("network", "connect", "--ip", "10.77.0.9", "--ip6", "fd77::9", "second", "one");
      const second = ["10.77.0.9", "fd77::9"].map((address) => ({ address, network: "second" }));
      await eventuallyTask("one", (task) => expect(task?.addresses).to.deep.equal([first, ...second]));
      await machine.docker("network", "disconnect", "bridge", "one");
      await eventuallyTask("one", (task) => expect(task?.addresses).to.deep.equal(second));
    } finally {
      await machine.clear();
      await machine.docker("network", "rm", "second");
    }
  });

  it("gives a container in host mode the node's addresses, and one in another's network those of that one", async () => {
    await machine.run("hosted", "--label", "dcos.task=hosted", "--network", "host", "--label", "VIP_0=/hosted:80");
    await machine.run("owner");
    await machine.run("guest", "--label", "dcos.task=guest", "--network", "container:owner");
    start();
    await names("guest", "hosted");
    expect(sink.named("hosted")).to.deep.include({
      mode: "host",
      addresses: AGENT.addresses.map((address) => ({ address })),
      ports: [{ protocol: "tcp", container: 80, vips: ["/hosted:80"] }],
    });
    const address = await addressOf("owner");
    expect(sink.named("guest")?.addresses).to.deep.equal([{ address, network: "bridge" }]);
  });

  it("doesn't offer a port that is bound to loopback to other nodes", async () => {
    await machine.run("local", "--label", "dcos.task=local", "-p", "127.0.0.1:31001:80", "-p", "31002:81");
    start();
    await names("local");
    expect(sink.named("local")?.ports).to.deep.equal([
      { protocol: "tcp", container: 80, vips: [] },
      { protocol: "tcp", host: 31_002, container: 81, vips: [] },
    ]);
  });

  it("names container and label of a mistake, and goes on with the others", async () => {
    start();
    await machine.run("bad", "--label", "VIP_0=/bad");
    await machine.run("good", "--label", "dcos.task=good");
    await names("good");
    expect(sink.problems).to.deep.equal([
      'cannot use the labels of container bad: VIP_0: "/bad" is not <name or address>:<port>, such as /shop:80; ' +
        "make the container anew with other labels; it is left out until then",
    ]);
  });

  it("keeps the tasks while the engine is away, and sees afterwards what came and went", async () => {
    await machine.run("stays", "--label", "dcos.task=stays");
    await machine.run("dies", "--label", "dcos.task=dies");
    const pid = await machine.docker("inspect", "--format", "{{.State.Pid}}", "dies");
    start();
    await names("dies", "stays");
    await machine.killEngine();
    await eventually(() => expect(sink.problems).to.not.deep.equal([]));
    await machine.kill(pid);
    await Bun.sleep(700);
    expect(sink.names()).to.deep.equal(["dies", "stays"]);
    await machine.startEngine();
    await machine.run("late", "--label", "dcos.task=late");
    await names("late", "stays");
    expect(sink.calls.filter((call) => call === "replace")).to.have.length(1);
    await machine.run("later", "--label", "dcos.task=later");
    await names("late", "later", "stays");
  });

  it("waits for an engine that isn't there yet, and says so", async () => {
    await machine.killEngine();
    try {
      start();
      await eventually(() => expect(sink.problems.join("\n")).to.match(/cannot listen to events of the Docker engine/));
      expect(sink.calls).to.deep.equal([]);
    } finally {
      await machine.startEngine();
    }
    await eventually(() => expect(sink.calls).to.deep.equal(["replace"]));
  });

  it("agrees with the engine after many containers came and went at once", async () => {
    start();
    const all = Array.from({ length: 9 }, (_, index) => `many-${index}`);
    await Promise.all(all.map((name) => machine.run(name, "--label", `dcos.task=${name}`)));
    await Promise.all(all.filter((_, index) => index % 3 === 0).map((name) => machine.docker("rm", "--force", name)));
    await names(...all.filter((_, index) => index % 3 !== 0));
  });

  it("tells nothing after it was stopped", async () => {
    start();
    await eventually(() => expect(sink.calls).to.deep.equal(["replace"]));
    await source?.stop();
    await machine.run("one", "--label", "dcos.task=one");
    await Bun.sleep(300);
    expect(sink.calls).to.deep.equal(["replace"]);
  });
});
