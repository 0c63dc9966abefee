import { expect } from "chai";
import { type Api, startApi } from "../../../../bin/api/server.ts";
import { factLines } from "../../../../bin/commands/facts.ts";
import { sampleState } from "../../../support/api-state.ts";
import { runCommand } from "../../../support/command-line.ts";
import { nodeFact, statusFact } from "../../../support/facts.ts";
import { fakeClock } from "../../../support/fake-clock.ts";
import { quiet } from "../../overlay/leader/fixture.ts";

describe("dcos-net facts", () => {
  let api: Api;
  const run = (...args: string[]) => runCommand(["facts", ...args, "--api", `127.0.0.1:${api.port}`]);

  before(async () => {
    const { state, learn } = sampleState();
    learn(statusFact("m1", "dcos"), nodeFact("n2"));
    api = await startApi({ state, address: "127.0.0.1", port: 0, clock: fakeClock(), log: quiet });
  });

  after(() => api.stop());

  it("shows each fact with its owner, version and age", () => {
    expect(factLines([statusFact("m1", "dcos", 12)], 61_000)).to.deep.equal([
      "KIND    KEY   OWNER  VERSION  AGE",
      "status  dcos  m1          12  60 s",
      "1 fact",
    ]);
  });

  it("filters by kind and owner", async () => {
    const { output } = await run("--kind", "node", "--owner", "n2", "--json");
    expect(JSON.parse(output)).to.deep.equal([nodeFact("n2")]);
  });

  it("refuses a kind that there isn't as wrong usage", async () => {
    const { status, notes } = await run("--kind", "nodes");
    expect(status).to.equal(2);
    expect(notes).to.include("Allowed choices are node, assignment, status, task");
  });
});
