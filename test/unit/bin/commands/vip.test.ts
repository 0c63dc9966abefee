import { expect } from "chai";
import { type Api, startApi } from "../../../../bin/api/server.ts";
import { splitPort } from "../../../../bin/commands/trace.ts";
import { keyOfTask } from "../../../../facts/task.ts";
import { type SampleState, sampleState } from "../../../support/api-state.ts";
import { runCommand } from "../../../support/command-line.ts";
import { drainFact, nodeFact, sampleTask, taskFact } from "../../../support/facts.ts";
import { fakeClock } from "../../../support/fake-clock.ts";
import { VipNode } from "../../../support/vip-node.ts";
import { quiet } from "../../overlay/leader/fixture.ts";

const TASK = sampleTask({ addresses: [{ address: "9.0.0.1" }] });

describe("the commands of virtual IPs", () => {
  let sample: SampleState;
  let node: VipNode;
  let api: Api;
  const run = (...args: string[]) => runCommand([...args, "--api", `127.0.0.1:${api.port}`]);

  beforeEach(async () => {
    sample = sampleState();
    node = new VipNode([{ type: "put", fact: taskFact("n2", TASK, 1, 999_000) }]);
    await node.clock.advance(1000);
    sample.vips = node.running();
    sample.learn(taskFact("m1", TASK), nodeFact("n2"));
    api = await startApi({ state: sample.state, address: "127.0.0.1", port: 0, clock: fakeClock(), log: quiet });
  });
  afterEach(() => api.stop());

  it("list every virtual IP", async () => {
    const { status, output } = await run("vip", "ls");
    expect(status).to.equal(0);
    expect(output.split("\n")).to.deep.equal([
      "VIP                                      PROTOCOL  ADDRESSES   BACKENDS  BALANCE  KERNEL",
      "app.marathon.l4lb.thisdcos.directory:80  tcp       11.0.0.189  1/1       wlc      ok",
    ]);
    expect(JSON.parse((await run("vip", "ls", "--json")).output)).to.have.length(1);
  });

  it("end with status 1 when the kernel lacks something, and name it", async () => {
    node.dataplane.refuses.add("tcp 11.0.0.189:80");
    node.say({ type: "put", fact: taskFact("n2", { ...TASK, state: "killing" }, 2) });
    await node.clock.advance(100);
    const { status, output } = await run("vip", "show", "app.marathon:80");
    expect(status).to.equal(1);
    expect(output).to.match(/ {2}11\.0\.0\.189: refused: cannot put tcp 11\.0\.0\.189:80: no\n/);
  });

  it("show one with its backends, or say that there is none", async () => {
    const { output } = await run("vip", "show", "app.marathon");
    expect(output).to.match(
      /^app\.marathon\.l4lb\.thisdcos\.directory:80 tcp, balanced by wlc\n {2}11\.0\.0\.189: ok\n/,
    );
    expect(output).to.match(/ {2}9\.0\.0\.1:80 +1 +app\.1 +running +unknown +1 +2 +- +- +n2 /);
    const { status, notes } = await run("vip", "show", "nobody");
    expect([status, notes]).to.deep.equal([
      1,
      'dcos-net: cannot show virtual IP "nobody": this node knows none of this name or address; ' +
        "`dcos-net vip ls` lists them, `dcos-net trace vip` says why one isn't there",
    ]);
  });

  it("trace to the first broken hop", async () => {
    const { status, output } = await run("trace", "vip", "app.marathon:81");
    expect(status).to.equal(1);
    expect(output).to.match(
      /^ {2}BROKEN {2}label .*\nfirst broken hop: label: app\.marathon has tcp port 80, but not port 81/,
    );
    const json = JSON.parse((await run("trace", "vip", "app.marathon:81", "--json")).output) as { broken: object };
    expect(json.broken).to.include({ hop: "label", ok: false });
    expect((await run("ping", "app.marathon:81")).notes).to.match(
      /cannot ping app\.marathon:81: app\.marathon has tcp port 80/,
    );
  });

  it("say why there are none", async () => {
    sample.vips = undefined;
    for (const command of [
      ["vip", "ls"],
      ["trace", "vip", "web"],
      ["ping", "web"],
    ]) {
      const { status, notes } = await run(...command);
      expect([status, notes]).to.deep.equal([
        1,
        "dcos-net: cannot look at the virtual IPs of this node: the setting l4lb is off; set l4lb to auto and restart the agent",
      ]);
    }
  });

  it("drain a node or a task, list what is drained, and call it off", async () => {
    expect((await run("drain", "node", "n2.example")).output).to.equal("node n2 is drained");
    expect((await run("drain", "task", "app.1")).output).to.equal(`task ${keyOfTask(TASK)} is drained`);
    expect((await run("drain", "ls")).output).to.match(/^DRAINED +ID .*\nnode +n2 .* m1\ntask +F-0000\/app\.1 .* m1$/);
    expect((await run("drain", "node", "n2", "--off")).output).to.equal("node n2 is not drained any more");
    expect((await run("drain", "task", "app.1", "--off")).status).to.equal(0);
    expect((await run("drain", "ls")).output).to.equal("nothing is drained");
    expect((await run("drain", "task", "app.9")).notes).to.match(/cannot find task "app\.9": no task has this id/);
  });

  it("tell where a drain has to be called off", async () => {
    sample.learn(drainFact("n2", "node", "m1"));
    expect((await run("drain", "node", "m1", "--off")).notes).to.match(
      /asked for on another node; call it off there: n2\.example/,
    );
  });
});

describe("a virtual IP on the command line", () => {
  const CASES: readonly [string, string, string | undefined][] = [
    ["web.marathon", "web.marathon", undefined],
    ["web.marathon:80", "web.marathon", "80"],
    ["10.1.2.3:80", "10.1.2.3", "80"],
    ["fd01:c::1", "fd01:c::1", undefined],
    ["[fd01:c::1]:80", "fd01:c::1", "80"],
    ["[fd01:c::1]", "fd01:c::1", undefined],
  ];
  for (const [text, name, port] of CASES) {
    it(`${text} is ${name}${port === undefined ? "" : `, port ${port}`}`, () => {
      expect(splitPort(text)).to.deep.equal({ name, port });
    });
  }
});
