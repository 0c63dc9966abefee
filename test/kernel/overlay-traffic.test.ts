import { expect } from "chai";
import { parsePrefix } from "../../lib/address.ts";
import { needsRoot } from "../support/needs-root.ts";
import { type Container, type OverlayNetwork, openOverlayNetwork } from "../support/overlay-network.ts";
import { testCluster } from "../support/overlay-suite.ts";
import { eventually } from "./fixture.ts";

const ISOLATED = "a-very-long-name";

describe("packets in the overlay", function () {
  this.timeout(60_000);
  let network: OverlayNetwork;
  let here: Container;
  let there: Container;
  let here6: Container;
  let there6: Container;
  let closedHere: Container;
  let closedThere: Container;

  before(function () {
    needsRoot.call(this);
    network = openOverlayNetwork(testCluster(3));
    here = network.container(1, "dcos", 1);
    there = network.container(2, "dcos", 1);
    here6 = network.container(1, "dcos6", 1);
    there6 = network.container(2, "dcos6", 1);
    closedHere = network.container(1, ISOLATED, 1);
    closedThere = network.container(2, ISOLATED, 1);
    // Ports of a bridge and IPv6 neighbours need a moment after the links are up.
    const pairs: [Container, Container][] = [
      [here, there],
      [here6, there6],
      [closedHere, closedThere],
    ];
    for (const [from, to] of pairs) {
      for (const address of to.addresses) eventually(() => expect(from.ping(address)).to.equal(true));
    }
  });

  after(() => network?.close());

  it("go from container to container on another node, IPv4 and IPv6", () => {
    expect(here.addresses).to.deep.equal(["9.0.0.2"]);
    expect(there.addresses).to.deep.equal(["9.0.1.2"]);
    expect(here.ping("9.0.1.2")).to.equal(true);
    expect(there.ping("9.0.0.2")).to.equal(true);
    expect(there6.ping(first(here6))).to.equal(true);
  });

  it("of the size of the MTU pass unfragmented, and larger ones are refused", () => {
    expect(here.ping("9.0.1.2", 1450)).to.equal(true);
    expect(here.ping("9.0.1.2", 1451)).to.equal(false);
    expect(here6.ping(first(there6), 1450)).to.equal(true);
  });

  it("go between nodes and containers in both directions", () => {
    expect(network.node(3).ping("9.0.0.2")).to.equal(true);
    expect(here.ping("10.0.0.3")).to.equal(true);
    expect(here.ping("10.0.0.1")).to.equal(true);
  });

  it("from a container to another node's own address keep to the tunnel", () => {
    const underlay = network.node(2).kernel;
    underlay.nftables.run([
      "add table ip seen",
      "add counter ip seen direct",
      "add counter ip seen tunnel",
      "add chain ip seen input { type filter hook input priority 0 ; }",
      'add rule ip seen input iifname "eth0" ip saddr 9.0.0.2 counter name direct',
      'add rule ip seen input iifname "vtep1024" ip saddr 9.0.0.2 counter name tunnel',
    ]);
    expect(here.ping("10.0.0.2")).to.equal(true);
    const listing = underlay.nftables.table("ip", "seen");
    expect(listing).to.match(/counter direct \{\s*packets 0 /);
    expect(listing).to.match(/counter tunnel \{\s*packets 1 /);
  });

  it("pass between containers of an isolated overlay on different nodes", () => {
    for (const address of closedThere.addresses) expect(closedHere.ping(address), address).to.equal(true);
  });

  it("from an isolated overlay reach no other overlay, on the same node or another", () => {
    expect(closedHere.knock("9.0.0.2", 80)).to.equal("filtered");
    expect(closedHere.knock("9.0.1.2", 80)).to.equal("filtered");
    expect(closedHere.ping(first(there6))).to.equal(false);
  });

  it("from an isolated overlay reach neither nodes nor the gateway's services, but the gateway answers pings", () => {
    expect(closedHere.knock("10.0.0.1", 22)).to.equal("filtered");
    expect(closedHere.knock("10.0.0.2", 22)).to.equal("filtered");
    const gateway = first(closedHere).replace(/\.2$/, ".1");
    expect(closedHere.knock(gateway, 22)).to.equal("filtered");
    expect(closedHere.ping(gateway)).to.equal(true);
  });

  it("from other overlays don't reach an isolated one", () => {
    expect(here.knock(first(closedHere), 80)).to.equal("filtered");
    expect(here.knock(first(closedThere), 80)).to.equal("filtered");
  });

  it("between overlays that are not isolated pass", () => {
    expect(here.knock("9.0.1.2", 80)).to.equal("refused");
  });

  it("from a node's own processes reach an isolated container: health checks work", () => {
    expect(network.node(1).ping(first(closedHere))).to.equal(true);
    expect(network.node(2).ping(first(closedHere))).to.equal(true);
  });

  it("from an isolated overlay reach the DNS addresses, on the DNS port only", () => {
    const { kernel } = network.node(1);
    kernel.apply([{ do: "address.add", address: { dev: "lo", address: parsePrefix("198.51.100.1/32") } }]);
    expect(closedHere.knock("198.51.100.1", 53)).to.equal("refused");
    expect(closedHere.knock("198.51.100.1", 22)).to.equal("filtered");
  });

  it("from an isolated overlay reach what a virtual IP is translated to, also on another node", () => {
    const { kernel } = network.node(1);
    kernel.nftables.run([
      "add table ip vip",
      "add chain ip vip prerouting { type nat hook prerouting priority dstnat ; }",
      "add rule ip vip prerouting ip daddr 11.0.0.1 tcp dport 80 dnat to 9.0.1.2:8080",
    ]);
    expect(closedHere.knock("11.0.0.1", 80)).to.equal("refused");
    expect(closedHere.knock("9.0.1.2", 8080)).to.equal("filtered");
  });

  it("flow again after somebody removed the tunnel's entries and the agent's next pass", () => {
    const { kernel } = network.node(1);
    const entries = kernel.fdb("vtep1024");
    kernel.apply(entries.map((entry) => ({ do: "fdb.delete", entry })));
    expect(here.ping("9.0.1.2")).to.equal(false);
    network.reconcile(1);
    expect(here.ping("9.0.1.2")).to.equal(true);
  });
});

function first({ addresses }: Container): string {
  const [address] = addresses;
  if (address === undefined) throw new Error("a container has an address");
  return address;
}
