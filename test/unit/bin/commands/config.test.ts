import { expect } from "chai";
import { runCommand } from "../../../support/command-line.ts";

describe("dcos-net config show", () => {
  const env = {
    DCOS_NET_OVERLAY_STORE: "zk://net:geheim@10.0.0.1:2181,10.0.0.2:2181/dcos-net",
    DCOS_NET_MESOS_MASTER: "zk://10.0.0.1:2181/mesos",
  };

  for (const options of [[], ["--json"]]) {
    it(`shows no password${options.length === 0 ? "" : " as JSON either"}, and leaves the rest as it is`, async () => {
      const { status, output } = await runCommand(["config", "show", ...options], env);
      expect(status).to.equal(0);
      expect(output).to.not.include("geheim");
      expect(output).to.include("zk://net:***@10.0.0.1:2181,10.0.0.2:2181/dcos-net");
      expect(output).to.include("zk://10.0.0.1:2181/mesos");
    });
  }
});
