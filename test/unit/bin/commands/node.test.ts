import { expect } from "chai";
import type { NodeEntry } from "../../../../bin/api/nodes.ts";
import { type Api, startApi } from "../../../../bin/api/server.ts";
import { idOf, nodeLines } from "../../../../bin/commands/node.ts";
import { registryOf } from "../../../../overlay/leader/registry.ts";
import { member, type SampleState, sampleState } from "../../../support/api-state.ts";
import { runCommand } from "../../../support/command-line.ts";
import { assignmentFact, nodeFact } from "../../../support/facts.ts";
import { fakeClock } from "../../../support/fake-clock.ts";
import { network, quiet } from "../../overlay/leader/fixture.ts";

describe("dcos-net node", () => {
  let sample: SampleState;
  let api: Api;
  const run = (...args: string[]) => runCommand(["node", ...args, "--api", `127.0.0.1:${api.port}`]);

  beforeEach(async () => {
    sample = sampleState();
    const leading = { epoch: 1, registry: registryOf(network(), []) };
    sample.master = { network: network(), leading, problem: undefined };
    sample.learn(nodeFact("n2"), assignmentFact("m1", "m1", 1));
    sample.members.push(member("n2", "unreachable"), member("n3", "remembered", "10.0.0.3"));
    api = await startApi({ state: sample.state, address: "127.0.0.1", port: 0, clock: fakeClock(), log: quiet });
  });

  afterEach(() => api.stop());

  it("lists the nodes", async () => {
    const { status, output } = await run("ls");
    expect(status).to.equal(0);
    expect(output.split("\n")).to.deep.equal([
      "NODE        ID  ROLE           ADDRESS   STATUS            TUNNEL         SUBNETS",
      "?           n3  ?              10.0.0.3  remembered 90 s   -              -",
      "m1.example  m1  master, leads  10.0.0.1  alive 90 s        44.128.0.1/20  9.0.1.0/24",
      "n2.example  n2  agent          10.0.0.1  unreachable 90 s  -              -",
    ]);
  });

  it("lists them as JSON, as the API does", async () => {
    const nodes = JSON.parse((await run("ls", "--json")).output) as NodeEntry[];
    expect(nodes.map(({ id }) => id)).to.deep.equal(["n3", "m1", "n2"]);
  });

  it("forgets a node by id or by name", async () => {
    expect(await run("forget", "n2.example")).to.deep.equal({ status: 0, output: "forgot n2", notes: "" });
    expect(JSON.parse((await run("forget", "n2", "--json")).output)).to.deep.equal({ forgotten: ["n2"] });
    expect(sample.forgotten).to.deep.equal([["n2"], ["n2"]]);
  });

  it("passes on why a node isn't forgotten, in words and as JSON", async () => {
    const { status, notes } = await run("forget", "n3");
    expect(status).to.equal(1);
    expect(notes).to.match(/^dcos-net: cannot forget nodes: n3 may be alive/);
    const json = await run("forget", "n3", "--json");
    expect(JSON.parse(json.notes).error).to.include({ code: "busy" });
    expect(sample.forgotten).to.deep.equal([]);
  });

  it("names the nearest for a node that doesn't exist", async () => {
    const { status, notes } = await run("forget", "n2.exampel");
    expect(status).to.equal(1);
    expect(notes).to.include('did you mean "n2.example"?');
  });

  it("says so when no agent runs, or its API is off", async () => {
    await api.stop();
    const gone = await run("ls");
    expect(gone.status).to.equal(1);
    expect(gone.notes).to.equal(
      `dcos-net: cannot ask the agent at 127.0.0.1:${api.port}: nothing listens there; see with \`dcos-net status\` whether an agent runs, and with \`config show\` where its API is`,
    );
    const off = await runCommand(["node", "ls"], { DCOS_NET_API_ADDRESS: "" });
    expect(off.status).to.equal(1);
    expect(off.notes).to.include("switched off");
    api = await startApi({ state: sample.state, address: "127.0.0.1", port: 0, clock: fakeClock(), log: quiet });
  });

  it("asks where the settings say", async () => {
    const env = { DCOS_NET_API_ADDRESS: "127.0.0.1", DCOS_NET_API_PORT: String(api.port) };
    expect((await runCommand(["node", "ls", "--json"], env)).status).to.equal(0);
  });
});

describe("which node is meant", () => {
  const entry = (id: string, hostname: string): NodeEntry => {
    return { id, hostname, private_ip: "", public_ips: [], addresses: [], status: "alive" };
  };

  it("is the id first, then a name that only one has", () => {
    const nodes = [entry("a", "b"), entry("b", "c"), entry("x", "twin"), entry("y", "twin")];
    expect(idOf("b", nodes)).to.equal("b");
    expect(idOf("c", nodes)).to.equal("b");
    expect(() => idOf("twin", nodes)).to.throw("several have this name: x, y");
  });

  it("shows below the table what nodes were refused", () => {
    const node = { ...entry("a", "host"), refused: { dcos: "used up" }, refusal: "nothing left" };
    expect(nodeLines([node]).slice(-2)).to.deep.equal(["! host: nothing left", "! host goes without dcos: used up"]);
  });
});
