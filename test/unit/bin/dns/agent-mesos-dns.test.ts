import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readConfig } from "../../../../bin/config.ts";
import { agentMesosDns } from "../../../../bin/dns/agent-mesos-dns.ts";
import { linuxFiles } from "../../../../kernel/file.ts";

const made = (env: Readonly<Record<string, string>>) =>
  agentMesosDns(readConfig({ text: undefined, file: "none", env }).config, linuxFiles, 1_700_000_000);

describe("the Mesos-DNS that an agent is", () => {
  it("is that of DC/OS, with the masters of the agent's own setting", () => {
    const listed = made({ DCOS_NET_MESOS_MASTER: "http://10.0.0.5:5050, http://10.0.0.6:5050" });
    expect(listed).to.deep.include({
      ...{ Port: 61_053, HttpPort: 8123, RefreshSeconds: 30, TTL: 60, Domain: "mesos", IPSources: ["host", "netinfo"] },
      ...{ Masters: ["10.0.0.5:5050", "10.0.0.6:5050"], Zk: "", MesosHTTPSOn: false, SOASerial: 1_700_000_000 },
    });
    const elected = made({ DCOS_NET_MESOS_MASTER: "zk://10.0.0.5:2181/mesos", DCOS_NET_MESOS_SCHEME: "https" });
    expect(elected).to.deep.include({ Masters: null, Zk: "zk://10.0.0.5:2181/mesos", MesosHTTPSOn: true });
  });

  it("is what its own file says, where one is named", () => {
    const directory = mkdtempSync(join(tmpdir(), "dcos-net-mesos-dns-"));
    try {
      const file = join(directory, "config.json");
      writeFileSync(file, '{"masters": ["10.0.0.9:5050"], "domain": "cluster", "port": 5353}');
      expect(made({ DCOS_NET_MESOS_DNS_FILE: file })).to.deep.include({ Domain: "cluster", Port: 5353 });
      expect(() => made({ DCOS_NET_MESOS_DNS_FILE: `${file}.not` })).to.throw("no such file");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("isn't without masters, and says which setting names them", () => {
    expect(() => made({}))
      .to.throw("set mesos_master")
      .with.property("code", "invalid");
  });
});
