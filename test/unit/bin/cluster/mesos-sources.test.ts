import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { mesosAgentSource, mesosMasterSource } from "../../../../bin/cluster/mesos-sources.ts";
import { type Config, readConfig } from "../../../../bin/config.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { FakeAgent } from "../../../fake-mesos/agent.ts";
import { Collector, until } from "../../../fake-mesos/collector.ts";
import { FakeMaster } from "../../../fake-mesos/master.ts";
import { netErrorOf } from "../../../support/ipam-scratch.ts";

function configOf(settings: Readonly<Record<string, string>>): Config {
  return readConfig({ text: JSON.stringify(settings), file: "config.json", env: {} }).config;
}

function optionsOf(settings: Readonly<Record<string, string>>) {
  const agent = { id: "node-1", addresses: ["10.0.0.9"] };
  return { config: configOf(settings), agent, files: linuxFiles, clock: systemClock, random: () => 0.5 };
}

describe("Mesos as a source of the agent's tasks", () => {
  it("is asked only where the settings name it", () => {
    expect([mesosAgentSource(optionsOf({})), mesosMasterSource(optionsOf({}))]).to.deep.equal([undefined, undefined]);
  });

  it("the agent of the node tells its tasks, and is claimed to be known completely", async () => {
    const mesos = new FakeAgent({ id: "A", hostname: "10.0.0.9" });
    const source = mesosAgentSource(optionsOf({ mesos_agent: mesos.url }));
    const sink = new Collector();
    try {
      expect(source?.voice?.()).to.deep.equal({ agents: [] });
      source?.start(sink);
      await until(() => sink.replaced === 1, "the first set");
      expect(source?.voice?.()).to.deep.equal({ agents: ["A"] });
    } finally {
      await source?.stop();
      await mesos.stop();
    }
  });

  it("the leading master is found by redirection, told the token of the file, and its snapshot is claimed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-mesos-"));
    writeFileSync(join(folder, "token"), "token=abc\n");
    const master = new FakeMaster({ authorization: "token=abc" });
    const settings = { mesos_master: `${master.url}, ${master.url}`, mesos_token_file: join(folder, "token") };
    const source = mesosMasterSource(optionsOf(settings));
    const sink = new Collector();
    try {
      const before = Date.now();
      source?.start(sink);
      await until(() => sink.replaced === 1, "the first set");
      expect(source?.voice?.().masterSince).to.be.within(before, Date.now());
    } finally {
      await source?.stop();
      await master.stop();
      rmSync(folder, { recursive: true });
    }
  });

  it("what is no URL is refused by the name of its setting", () => {
    const refusal = netErrorOf(() => mesosAgentSource(optionsOf({ mesos_agent: "10.0.0.5:5051" })));
    expect(refusal.message).to.include("mesos_agent").and.to.include("http://10.0.0.5:5051");
    expect(netErrorOf(() => mesosMasterSource(optionsOf({ mesos_master: "ftp://a" }))).message).to.include("ftp://a");
  });
});
