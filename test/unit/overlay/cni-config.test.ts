import { expect } from "chai";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { cniFiles, type LocalNetwork } from "../../../overlay/cni-config.ts";

const NETWORK: LocalNetwork = {
  name: "dcos",
  bridge: "m-dcos",
  mtu: 1450,
  ranges: [
    { subnet: parsePrefix("9.0.1.0/25"), gateway: parseIp("9.0.1.1") },
    { subnet: parsePrefix("fd01:b:0:0:1::/81"), gateway: parseIp("fd01:b:0:0:1::1") },
  ],
  inside: [parsePrefix("9.0.0.0/8"), parsePrefix("fd01:b::/64")],
};

const PLUGIN = {
  type: "dcos",
  bridge: "m-dcos",
  isGateway: true,
  hairpinMode: true,
  ipMasq: true,
  ipMasqExclude: ["9.0.0.0/8", "fd01:b::/64"],
  mtu: 1450,
  ipam: {
    type: "host-local",
    dataDir: "/run/leases",
    ranges: [
      [{ subnet: "9.0.1.0/25", gateway: "9.0.1.1" }],
      [{ subnet: "fd01:b:0:0:1::/81", gateway: "fd01:b::1:0:0:1" }],
    ],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  },
};

function parsed(dataDir: string | undefined, name: string): Record<string, unknown> {
  return JSON.parse(cniFiles([NETWORK], dataDir).get(name) ?? "null");
}

describe("the CNI configuration of an overlay", () => {
  it("is one plugin without a version for Mesos", () => {
    expect(parsed("/run/leases", "dcos.conf")).to.deep.equal({ name: "dcos", ...PLUGIN, dcosNet: { managed: true } });
  });

  it("is a list with capabilities for the others", () => {
    expect(parsed("/run/leases", "dcos.conflist")).to.deep.equal({
      cniVersion: "1.0.0",
      name: "dcos",
      plugins: [{ ...PLUGIN, capabilities: { portMappings: true, ips: true, mac: true } }],
      dcosNet: { managed: true },
    });
  });

  it("leaves the folder of leases to the plugin when none is given", () => {
    expect(parsed(undefined, "dcos.conf")["ipam"]).not.to.have.property("dataDir");
  });

  it("is two files for each network and the same text every time", () => {
    const files = cniFiles([NETWORK, { ...NETWORK, name: "b" }], undefined);
    expect([...files.keys()]).to.deep.equal(["dcos.conf", "dcos.conflist", "b.conf", "b.conflist"]);
    expect(cniFiles([NETWORK], undefined).get("dcos.conf")).to.equal(files.get("dcos.conf"));
  });
});
