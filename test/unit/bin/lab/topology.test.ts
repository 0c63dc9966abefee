import { expect } from "chai";
import { labNodes, nodesFileOf, parseOverlay } from "../../../../bin/lab/topology.ts";
import { formatPrefix } from "../../../../lib/address.ts";
import { parseNodesFile } from "../../../../overlay/nodes-file.ts";

describe("the topology of a lab", () => {
  it("numbers hosts and gives each an underlay address of both families", () => {
    expect(labNodes(2, false)).to.deep.equal([
      { name: "n1", address: "10.77.0.1", address6: "fd77::1" },
      { name: "n2", address: "10.77.0.2", address6: "fd77::2" },
    ]);
    expect(labNodes(64, false).at(-1)?.address6).to.equal("fd77::40");
    expect(labNodes(1, true)).to.deep.equal([{ name: "n1", address: "10.77.0.1" }]);
  });

  for (const count of [0, 65, -1, 1.5, Number.NaN]) {
    it(`refuses ${count} hosts`, () => {
      expect(() => labNodes(count, false)).to.throw("a lab has 1 to 64");
    });
  }

  it("makes a nodes file that the agent's parser accepts, with one overlay of both families", () => {
    const cluster = parseNodesFile(nodesFileOf(labNodes(3, false), [], false));
    expect(cluster.overlays.map(({ name }) => name)).to.deep.equal(["dcos"]);
    const part = cluster.nodes[1]?.subnets.get("dcos");
    expect([part?.v4, part?.v6].map((prefix) => prefix && formatPrefix(prefix))).to.deep.equal([
      "9.0.1.0/24",
      "fd01:b:0:0:1::/80",
    ]);
  });

  it("leaves every IPv6 address out of an IPv4-only lab", () => {
    const text = nodesFileOf(labNodes(2, true), [parseOverlay("dev=10.90.0.0/16,fd01:90::/64")], true);
    expect(text).to.not.include("::");
    expect(parseNodesFile(text).overlays[0]?.v6).to.equal(undefined);
  });

  it("reads overlays with one or two subnets, isolated or not, in any order", () => {
    expect(parseOverlay("dev=fd01:90::/64,isolated,10.90.0.0/16")).to.deep.equal({
      name: "dev",
      subnet: "10.90.0.0/16",
      prefix: 24,
      subnet6: "fd01:90::/64",
      prefix6: 80,
      isolated: true,
    });
    expect(parseOverlay("dev=10.90.0.0/16")).to.deep.equal({ name: "dev", subnet: "10.90.0.0/16", prefix: 24 });
  });

  for (const spec of [
    "",
    "dev",
    "=10.0.0.0/8",
    "dev=",
    "dev=isolated",
    "dev=10.0.0.0/8,10.1.0.0/16",
    "dev=10.0.0.0/8,x",
  ]) {
    it(`refuses the overlay ${JSON.stringify(spec)}`, () => {
      expect(() => parseOverlay(spec)).to.throw("write for example dev=");
    });
  }
});
