import { expect } from "chai";
import { MesosDns } from "../../../../bin/dns/mesos-dns.ts";
import { readMesosDnsConfig } from "../../../../dns/mesos/config.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { jsonLog } from "../../../../lib/log.ts";
import { sampleMesosState } from "../../../support/mesos-state.ts";

describe("Mesos-DNS that hears of a change", function () {
  this.timeout(60_000);

  it("asks the masters soon, and not only when their time has come", async () => {
    let task = "before";
    const master: Bun.Server<undefined> = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => {
        const state = JSON.stringify(sampleMesosState(`127.0.0.1:${master.port}`));
        return new Response(state.replaceAll('"nginx"', JSON.stringify(task)));
      },
    });
    const settings = { masters: [`127.0.0.1:${master.port}`], refreshSeconds: 86_400, httpOn: false };
    const made: string[][] = [];
    let come = Promise.withResolvers<void>();
    const mesosDns = new MesosDns({
      config: readMesosDnsConfig(JSON.stringify(settings), "config.json", 1),
      sourceRule: "together",
      files: linuxFiles,
      log: jsonLog(
        "test",
        "error",
        () => new Date(),
        () => {},
      ),
      onRecords(records) {
        made.push(records.map(({ name }) => name));
        come.resolve();
      },
    });
    mesosDns.start();
    await come.promise;
    expect(made.at(-1)).to.include("before.marathon.mesos");
    come = Promise.withResolvers();
    task = "after";
    for (let times = 0; times < 3; times++) mesosDns.refreshSoon();
    await come.promise;
    await mesosDns.stop();
    await master.stop(true);
    expect(made.at(-1)).to.include("after.marathon.mesos");
    expect(made).to.have.length(2);
  });
});
