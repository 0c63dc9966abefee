import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { DOCKER, describeDockers } from "../support/docker-engines.ts";
import { DockerNode, IMAGE, lines, PLUGIN_SOCKET } from "../support/docker-node.ts";
import { randomNumbers } from "../support/peer-random.ts";
import { expectNoLossTillSignal } from "../support/ping.ts";

const RECORDER = fileURLToPath(new URL("../support/docker-recorder.ts", import.meta.url));
const PROGRAMS = ["curl", "ping", "iptables"];
const HOST_PORT = ["curl", "--silent", "--max-time", "3", "http://127.0.0.1:8080"];
/** The same, of a container that has only just been started: its server may not listen yet. */
const HOST_PORT_SOON = [...HOST_PORT, "--retry", "5", "--retry-connrefused"];

describeDockers("Docker containers that outlive engine and agent", PROGRAMS, function (engine) {
  this.timeout(480_000);
  const random = randomNumbers();
  let node: DockerNode;

  before(async () => {
    node = await DockerNode.start({ engine, liveRestore: true });
    await node.cni(1, "netns-near");
    await node.until("the network is there", async () => (await networks()).includes("dcos"));
  });
  after(() => node.stop());
  afterEach(async () => {
    await node.clear();
    expect(await node.leftovers()).to.deep.equal([]);
  });

  const networks = async () => lines(await node.docker("network", "ls", "--format", "{{.Name}}"));

  const RESTARTS: Readonly<Record<string, () => Promise<void>>> = {
    "the agent is killed and starts": async () => {
      await node.killAgent();
      await node.startAgent();
    },
    "the agent stops and starts": async () => {
      await node.stopAgent();
      await node.startAgent();
    },
    "the engine is killed and starts": async () => {
      await node.killEngine();
      await node.startEngine();
    },
    "the engine stops and starts": async () => {
      await node.stopEngine();
      await node.startEngine();
    },
    "both are killed and the agent starts first": async () => {
      await node.killEngine();
      await node.killAgent();
      await node.startAgent();
      await node.startEngine();
    },
    "both are killed and the engine starts first": async () => {
      await node.killAgent();
      await node.killEngine();
      const engineStarts = node.startEngine();
      // Since release 28 it waits for us when containers of ours are running (15 s for each).
      if (engine.release < 28) await engineStarts;
      await node.startAgent();
      await engineStarts;
    },
  };

  for (const [what, restart] of Object.entries(RESTARTS)) {
    it(`go on talking while ${what}, and can be stopped, started and removed afterwards`, async () => {
      await node.run("web", "--network", "dcos", "-p", "8080:80");
      const web = await node.address("web");
      const traffic = node.machine.run(
        ["sh", "-c", `ip netns exec netns-near ping -i 0.1 ${web} & echo $! >/run/ping.pid; wait`],
        { timeoutMs: 240_000 },
      );
      await restart();
      await node.machine.script("sleep 0.3; kill -INT $(cat /run/ping.pid)");
      expectNoLossTillSignal((await traffic).stdout);
      expect(await node.machine.must(HOST_PORT)).to.equal("web\n");
      await node.run("second", "--network", "dcos");
      expect(await node.address("second")).not.to.equal(web);
      await node.docker("stop", "--time", "0", "web");
      await node.docker("start", "web");
      expect(await node.pings("netns-near", await node.address("web"))).to.equal(true);
      expect(await node.machine.must(HOST_PORT_SOON)).to.equal("web\n");
    });
  }

  it("can be made anew when Docker, started without the agent, couldn't tell of their end", async () => {
    await node.run("gone", "--network", "dcos");
    await node.killAgent();
    await node.killEngine();
    // It refuses every call at once: Docker would repeat each for 15 s if nobody answered.
    await node.machine.script(`rm ${PLUGIN_SOCKET}`);
    const nobody = ["/run/nowhere.sock", "/run/refused"];
    const refusal = await node.machine.start([process.execPath, RECORDER, PLUGIN_SOCKET, ...nobody]);
    await node.startEngine();
    await node.docker("rm", "--force", "gone");
    const endpoints = () => node.docker("network", "inspect", "dcos", "--format", "{{json .Containers}}");
    expect(await endpoints(), "what Docker keeps").to.include('"gone"');
    await refusal.stop();
    await node.startAgent();
    await node.until("Docker keeps it no longer", async () => !(await endpoints()).includes('"gone"'));
    await node.run("gone", "--network", "dcos");
  });

  // Docker's patience and ours take minutes here, so one release has to do.
  if (engine !== DOCKER) return;

  it("leave nothing when the agent is killed again and again, and when they end while it is dead", async () => {
    const start = `docker -H unix:///run/docker.sock run --rm --network dcos -p 90N:80 ${IMAGE} busybox true`;
    let finished = false;
    // A call that was under way fails when Docker repeats it, because it repeats it without its body.
    const starts = node.machine
      .run(["sh", "-c", `seq 10 49 | xargs -P 6 -I N sh -c '${start} && echo started'`], { timeoutMs: 240_000 })
      .finally(() => {
        finished = true;
      });
    while (!finished) {
      await node.killAgent();
      await node.startAgent();
      await Bun.sleep(random.next() * 1500);
    }
    expect(lines((await starts).stdout).length, `started, seed ${random.seed}`).to.be.greaterThan(0);

    await node.run("stopped", "--network", "dcos", "-p", "8080:80", "--stop-signal", "KILL");
    await node.run("removed", "--network", "dcos");
    await node.killAgent();
    // Docker tries for 45 s to tell us.
    await Promise.all([node.docker("stop", "stopped"), node.docker("rm", "--force", "removed")]);
    await node.startAgent();
    await node.until("nothing is left", async () => (await node.leftovers()).length === 0, 90_000);
    await node.docker("start", "stopped");
    expect(await node.machine.must(HOST_PORT_SOON)).to.equal("stopped\n");
  });
});

describeDockers("Docker containers that end with their engine", PROGRAMS, function (engine) {
  this.timeout(480_000);
  let node: DockerNode;

  before(async () => {
    node = await DockerNode.start({ engine });
    await node.until("the network is there", async () => {
      return lines(await node.docker("network", "ls", "--format", "{{.Name}}")).includes("dcos");
    });
  });
  after(() => node.stop());

  const ENDS: Readonly<Record<string, () => Promise<void>>> = {
    stopped: () => node.stopEngine(),
    killed: () => node.killEngine(),
    "killed together with the agent": async () => {
      await node.killEngine();
      await node.killAgent();
      await node.startAgent();
    },
  };

  for (const [what, end] of Object.entries(ENDS)) {
    it(`leave nothing when it is ${what}, and start again with it when they are told to`, async () => {
      const sleeper = ["--network", "dcos", "--ip", "9.0.0.210", "-p", "8080:80", "--stop-signal", "KILL"];
      await node.docker("run", "--detach", "--name", "web", "--restart", "always", ...sleeper, IMAGE, "sleep", "1000");
      await end();
      await node.startEngine();
      await node.until("the container runs", async () => {
        return (await node.docker("inspect", "--format", "{{.State.Running}}", "web")) === "true";
      });
      expect(await node.address("web")).to.equal("9.0.0.210");
      expect(await node.pings("web", "9.0.1.1")).to.equal(true);
      await node.clear();
      expect(await node.leftovers()).to.deep.equal([]);
    });
  }
});
