import { expect } from "chai";
import { parseIp } from "../../../lib/address.ts";
import { parseNodesFile } from "../../../overlay/nodes-file.ts";
import { type Observed, planOverlay } from "../../../overlay/plan.ts";
import { tableOf } from "../../../overlay/table.ts";
import { type Trace, traceAddress } from "../../../overlay/trace.ts";
import { settled } from "../../bench/overlay.ts";

const NODES = [
  { name: "n1", address: "10.0.0.1" },
  { name: "n2", address: "10.0.0.2" },
];

function trace(address: string, changes: Partial<Observed> = {}, ipv6 = true): Trace {
  const cluster = parseNodesFile(JSON.stringify({ nodes: NODES }));
  const self = cluster.nodes[0];
  if (self === undefined) throw new Error("the file has nodes");
  const underlay = { dev: "eth0", linkMtu: 1500, pathMtu: undefined };
  const desired = tableOf({ cluster, self, underlay, ipv6 });
  const plan = planOverlay(desired, { ...settled(desired), ...changes });
  return traceAddress(parseIp(address), { cluster, self, desired, plan });
}

const TUNNEL = [
  "vxlan vtep1024",
  "neighbor 44.128.0.2 lladdr 70:b3:d5:80:00:02 dev vtep1024",
  "fdb 70:b3:d5:80:00:02 dev vtep1024 dst 10.0.0.2",
];

describe("the trace of an address", () => {
  it("leads from a container on another node to the underlay", () => {
    const { about, steps, missing } = trace("9.0.1.5");
    expect(about).to.equal("9.0.1.5 is in overlay dcos on node n2");
    expect(steps.map(({ object }) => object)).to.deep.equal([
      "route 9.0.1.0/24 via 44.128.0.2 dev vtep1024",
      ...TUNNEL,
    ]);
    expect(steps.every(({ present }) => present)).to.equal(true);
    expect(missing).to.equal(undefined);
  });

  it("does so for IPv6", () => {
    expect(trace("fd01:b:0:0:1::5").steps.map(({ object }) => object)).to.deep.equal([
      "route fd01:b:0:0:1::/80 via fd01:a::2 dev vtep1024",
      "vxlan vtep1024",
      "neighbor fd01:a::2 lladdr 70:b3:d5:80:00:02 dev vtep1024",
      "fdb 70:b3:d5:80:00:02 dev vtep1024 dst 10.0.0.2",
    ]);
  });

  it("names the first object that is missing, for each kind", () => {
    expect(trace("9.0.1.5", { fdb: [] }).missing).to.equal(TUNNEL[2]);
    expect(trace("9.0.1.5", { fdb: [], neighbors: [] }).missing).to.equal(TUNNEL[1]);
    expect(trace("9.0.1.5", { routes: [] }).missing).to.equal("route 9.0.1.0/24 via 44.128.0.2 dev vtep1024");
    expect(trace("9.0.0.5", { addresses: [] }).missing).to.equal("address 9.0.0.1/25 dev m-dcos");
    expect(trace("9.0.0.5", { links: [] }).missing).to.equal("bridge m-dcos");
    expect(trace("10.0.0.2", { rules: [] }).missing).to.equal("rule from 9.0.0.0/8 lookup 42");
  });

  it("counts what this node does without as missing", () => {
    expect(trace("fd01:b:0:0:1::5", {}, false).missing).to.equal("route fd01:b:0:0:1::/80 via fd01:a::2 dev vtep1024");
  });

  it("leads to another node's own address by rule and table 42", () => {
    const { about, steps } = trace("10.0.0.2");
    expect(about).to.equal("10.0.0.2 is the own address of node n2");
    expect(steps.map(({ object }) => object)).to.deep.equal([
      "rule from 9.0.0.0/8 lookup 42",
      "route 10.0.0.2 via 44.128.0.2 dev vtep1024 table 42",
      ...TUNNEL,
    ]);
  });

  it("leads to a tunnel endpoint", () => {
    const { about, steps } = trace("44.128.0.2");
    expect(about).to.equal("44.128.0.2 is the tunnel endpoint of node n2");
    expect(steps.map(({ object }) => object)).to.deep.equal(TUNNEL);
  });

  it("knows this node's own addresses, both halves of its subnet, and strangers", () => {
    expect(trace("9.0.0.5").steps.map(({ object }) => object)).to.deep.equal([
      "bridge m-dcos",
      "address 9.0.0.1/25 dev m-dcos",
    ]);
    expect(trace("9.0.0.200")).to.deep.include({
      about: "9.0.0.200 is in overlay dcos on this node, in Docker's half",
      steps: [],
    });
    expect(trace("44.128.0.1").about).to.equal("44.128.0.1 is the tunnel endpoint of this node");
    expect(trace("10.0.0.1").about).to.equal("10.0.0.1 is the own address of this node");
    expect(trace("9.200.0.1").about).to.equal("9.200.0.1 is in overlay dcos, in no node's subnet");
    expect(trace("8.8.8.8").about).to.include("belongs to no overlay");
  });
});
