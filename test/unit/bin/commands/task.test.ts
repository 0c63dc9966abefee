import { expect } from "chai";
import { type Api, startApi } from "../../../../bin/api/server.ts";
import { sampleState } from "../../../support/api-state.ts";
import { runCommand } from "../../../support/command-line.ts";
import { sampleTask, taskFact } from "../../../support/facts.ts";
import { fakeClock } from "../../../support/fake-clock.ts";
import { quiet } from "../../overlay/leader/fixture.ts";

describe("dcos-net task ls", () => {
  let api: Api;
  const run = (...args: string[]) => runCommand(["task", "ls", ...args, "--api", `127.0.0.1:${api.port}`]);

  before(async () => {
    const { state, learn } = sampleState();
    const ports = [{ protocol: "udp", host: 31_000, container: 53, vips: [] }] as const;
    const host = { mode: "host", ports, health: "healthy", framework: { id: "F-1", name: "dns" } } as const;
    learn(taskFact("m1", sampleTask()), taskFact("m1", sampleTask({ id: "dns.1", name: "dns", ...host })));
    api = await startApi({ state, address: "127.0.0.1", port: 0, clock: fakeClock(), log: quiet });
  });

  after(() => api.stop());

  it("lists the tasks with addresses and ports", async () => {
    const { status, output } = await run();
    expect(status).to.equal(0);
    expect(output.split("\n")).to.deep.equal([
      "NAME  FRAMEWORK  ID     STATE             NODE      ADDRESSES     PORTS",
      "app   marathon   app.1  running           10.0.0.1  9.0.1.6       80/tcp(http)",
      "dns   dns        dns.1  running, healthy  10.0.0.1  (the node's)  31000→53/udp",
      "2 tasks",
    ]);
  });

  it("takes filters, and says how few there are", async () => {
    const tasks = JSON.parse((await run("--framework", "dns", "--json")).output) as { id: string }[];
    expect(tasks.map(({ id }) => id)).to.deep.equal(["dns.1"]);
    expect((await run("--name", "nobody's")).output).to.equal("0 tasks");
  });
});
