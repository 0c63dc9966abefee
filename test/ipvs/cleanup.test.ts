import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { cleanUp, isClean } from "../../bin/cleanup/remnant.ts";
import { vipRemnants } from "../../bin/cleanup/vips.ts";
import { readConfig } from "../../bin/config.ts";
import { openersOf } from "../../bin/l4lb/dataplanes.ts";
import { UsedDataplanes } from "../../bin/l4lb/used-dataplanes.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { runIn } from "../support/uml-masquerade.ts";
import { openVipNetwork, type VipNetwork } from "../support/vip-network.ts";
import { service } from "../support/vip-services.ts";

describe("cleaning up after IPVS", function () {
  this.timeout(60_000);
  let network: VipNetwork;
  let state: string;

  before(() => {
    network = openVipNetwork();
    state = mkdtempSync(join(tmpdir(), "cleanup-ipvs-"));
  });
  after(() => {
    network?.close();
    rmSync(state, { recursive: true, force: true });
  });

  it("takes services, routes and device, and no service of others", async () => {
    const { node } = network;
    const { config } = readConfig({ text: JSON.stringify({ state_dir: state }), file: "test", env: {} });
    const host = { config, kernel: node, files: linuxFiles };
    expect(vipRemnants(host)).to.deep.equal([]);
    runIn(node, "ipvsadm -A -t 192.0.2.1:80 -s rr");
    new UsedDataplanes(linuxFiles, state).add("ipvs");
    const plane = openersOf(config).get("ipvs")?.(node);
    plane?.prepare();
    const web = service("tcp 11.0.0.1:80", ["10.88.0.11"]);
    expect(plane?.apply([{ do: "put", service: web, before: undefined }])).to.deep.equal([undefined]);
    plane?.close();
    expect(runIn(node, "ipvsadm --save -n")).to.include("11.0.0.1:80");

    const remnants = vipRemnants(host);
    expect(remnants.map(({ what }) => what)).to.deep.equal(["virtual IPs in data plane ipvs"]);
    expect(isClean(await cleanUp(remnants, { dryRun: false, force: false }))).to.equal(true);
    expect(runIn(node, "ipvsadm --save -n").trim()).to.equal("-A -t 192.0.2.1:80 -s rr");
    expect(node.link("minuteman")).to.equal(undefined);
    expect(vipRemnants(host)).to.deep.equal([]);
  });
});
