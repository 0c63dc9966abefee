import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type FakeKernel, openFake } from "../../../kernel/fake.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { overlayKeeper } from "../../../overlay/apply.ts";
import { ISOLATION_TABLE, isolationRemoval } from "../../../overlay/isolation.ts";
import { newOverlayMetrics } from "../../../overlay/metric.ts";
import { overlayRemains } from "../../../overlay/remains.ts";
import { snapshot } from "../../kernel/fixture.ts";
import { testCluster } from "../../support/overlay-suite.ts";

/** Things of others that resemble ours in all but one mark. */
function makeForeign(kernel: FakeKernel): void {
  kernel.apply([
    { do: "link.add", link: { kind: "bridge", name: "m-theirs", up: true } },
    { do: "link.add", link: { kind: "vxlan", name: "vtep9", vni: 9, port: 64_000, learning: false, up: true } },
    { do: "address.add", address: { dev: "m-theirs", address: parsePrefix("10.0.0.1/24") } },
    {
      do: "route.add",
      route: { dst: parsePrefix("10.9.0.0/16"), gateway: parseIp("10.0.0.2"), dev: "m-theirs", protocol: 4 },
    },
    { do: "rule.add", rule: { family: 4, from: parsePrefix("9.0.0.0/8"), table: 42, priority: 500 } },
  ]);
  kernel.nftables.run(["add table inet theirs"]);
}

describe("what overlays have left on a node", () => {
  let dir: string;
  let kernel: FakeKernel;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "overlay-remains-"));
    writeFileSync(join(dir, "theirs.conf"), '{"name":"theirs"}');
    kernel = openFake();
    makeForeign(kernel);
  });

  afterEach(() => rmSync(dir, { recursive: true }));

  const remains = () => overlayRemains(kernel, linuxFiles, dir);
  const bringUp = () =>
    overlayKeeper({
      kernel,
      files: linuxFiles,
      metrics: newOverlayMetrics(),
      cni: { dir, dataDir: undefined },
    }).reconcile(testCluster(4), "n1");

  it("is nothing where there was none", () => {
    expect(remains()).to.deep.equal({ files: [], inUse: [], operations: [], isolation: false });
  });

  it("is all that the agent has made, found without its cluster, and nothing of others", () => {
    const before = snapshot(kernel);
    bringUp();
    const { files, inUse, operations, isolation } = remains();
    expect(inUse).to.deep.equal([]);
    expect(isolation).to.equal(true);
    kernel.apply(operations);
    kernel.nftables.run(isolationRemoval());
    for (const path of files) rmSync(path);
    expect(snapshot(kernel)).to.deep.equal(before);
    expect(kernel.nftables.outline("inet", ISOLATION_TABLE)).to.equal(undefined);
    expect(kernel.nftables.outline("inet", "theirs")).to.not.equal(undefined);
    expect(readdirSync(dir)).to.deep.equal(["theirs.conf"]);
    expect(remains()).to.deep.equal({ files: [], inUse: [], operations: [], isolation: false });
  });

  it("names bridges that containers are on, and leaves them out of the steps", () => {
    bringUp();
    kernel.apply([
      { do: "link.add", link: { kind: "veth", name: "veth1", peer: { name: "eth1" } } },
      { do: "link.set", dev: "veth1", set: { master: "m-dcos" } },
    ]);
    const { inUse, operations } = remains();
    expect(inUse).to.deep.equal(["m-dcos"]);
    expect(operations).to.not.deep.include({ do: "link.delete", dev: "m-dcos" });
    expect(operations).to.deep.include({ do: "link.delete", dev: "vtep1024" });
  });

  it("is looked for without changing anything", () => {
    bringUp();
    const before = snapshot(kernel);
    remains();
    expect(snapshot(kernel)).to.deep.equal(before);
  });
});
