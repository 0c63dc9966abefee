import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type Agent, startAgent } from "../../../bin/agent.ts";
import { readConfig } from "../../../bin/config.ts";
import { nodesFileSource } from "../../../bin/nodes.ts";
import { type AgentStatus, readStatus } from "../../../bin/status-file.ts";
import { type FakeKernel, openFake } from "../../../kernel/fake.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";

const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const NODES = [1, 2].map((number) => ({ name: `n${number}`, address: `10.0.0.${number}` }));
const OVERLAYS = [{ name: "dcos", subnet: "9.0.0.0/8", prefix: 24 }];

describe("the agent", () => {
  let folder: string;
  let kernel: FakeKernel;
  let clock: FakeClock;
  let agent: Agent;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-agent-"));
    writeNodes(NODES);
    kernel = openFake();
    kernel.apply([
      { do: "link.add", link: { kind: "veth", name: "eth0", up: true, peer: { name: "eth1" } } },
      { do: "link.set", dev: "eth1", set: { up: true } },
      { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.0.0.1/24") } },
    ]);
    clock = fakeClock();
    agent = start();
    await clock.advance(0);
  });
  afterEach(async () => {
    await agent.stop();
    rmSync(folder, { recursive: true });
  });

  function start(): Agent {
    const config = configIn(folder);
    const { nodes_file: path, nodes_poll_ms: pollMs } = config;
    const source = nodesFileSource({ path, node: "n1", pollMs, files: linuxFiles, log: QUIET, clock });
    return startAgent({ config, source, kernel, files: linuxFiles, log: QUIET, clock });
  }

  const writeNodes = (nodes: readonly object[]) =>
    writeFileSync(join(folder, "nodes.json"), JSON.stringify({ overlays: OVERLAYS, nodes }));

  function status(): AgentStatus {
    const found = readStatus(linuxFiles, join(folder, "run"));
    if (found === undefined) throw new Error("the agent has written no status");
    return found;
  }

  /** A neighbour of the underlay that goes and comes, ten times a second. */
  async function churn(seconds: number): Promise<void> {
    const neighbor = { dev: "eth0", ip: parseIp("10.0.0.9"), mac: "52:54:00:00:00:09", permanent: false };
    for (let tick = 0; tick < seconds * 10; tick++) {
      const here = tick % 2 === 0;
      kernel.apply([here ? { do: "neighbor.replace", neighbor } : { do: "neighbor.delete", neighbor }]);
      await clock.advance(100);
    }
  }

  it("brings the overlay into force at its start", () => {
    expect(kernel.link("vtep1024")).to.include({ up: true });
    expect(status().counts).to.include({ passes: 1, peers: 1, repairs: 0 });
  });

  it("makes few passes however many neighbours come and go", async () => {
    const before = status().counts.passes;
    await churn(60);
    expect(status().counts.passes - before).to.be.within(10, 31);
  });

  it("repairs a foreign deletion within 5 s, also while neighbours come and go", async () => {
    await churn(10);
    kernel.apply([{ do: "link.delete", dev: "m-dcos" }]);
    await churn(5);
    expect(kernel.link("m-dcos")).to.include({ up: true });
    expect(status().counts.repairs).to.be.greaterThan(0);
  });

  it("takes a changed nodes file, and stays with the one before when it can't be used", async () => {
    writeNodes([...NODES, { name: "n3", address: "10.0.0.3" }]);
    await clock.advance(5000);
    expect(status().counts.peers).to.equal(2);
    writeFileSync(join(folder, "nodes.json"), "{");
    await clock.advance(5000);
    expect(status().clusterProblem).to.include("nodes.json");
    expect(status().counts.peers).to.equal(2);
  });

  it("refuses to start twice in one run directory, naming the first", () => {
    expect(start).to.throw(`process ${process.pid} is the agent there`);
  });

  it("leaves no sign of itself when the nodes file can't be used at its start", async () => {
    await agent.stop();
    writeFileSync(join(folder, "nodes.json"), "{");
    expect(start).to.throw("nodes.json");
    expect(existsSync(join(folder, "run", "agent.pid"))).to.equal(false);
    writeNodes(NODES);
    agent = start();
  });

  it("leaves the kernel as it is when it stops, and no timer", async () => {
    await agent.stop();
    expect(clock.pending()).to.equal(0);
    expect(kernel.link("vtep1024")).to.include({ up: true });
  });
});

function configIn(folder: string) {
  const keys = { nodes_file: "nodes.json", run_dir: "run", cni_dir: "net.d", data_dir: "leases", lab_dir: "labs" };
  const text = JSON.stringify(Object.fromEntries(Object.entries(keys).map(([key, name]) => [key, join(folder, name)])));
  return readConfig({ text, file: "config.json", env: {} }).config;
}
