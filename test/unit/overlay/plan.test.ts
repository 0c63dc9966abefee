import { expect } from "chai";
import type { Link, Operation } from "../../../kernel/kernel.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { parseNodesFile } from "../../../overlay/nodes-file.ts";
import { isEmpty, type Observed, planOverlay } from "../../../overlay/plan.ts";
import { type Desired, tableOf } from "../../../overlay/table.ts";
import { settled } from "../../bench/overlay.ts";

function tableFor(nodes: number, file: object = {}): Desired {
  const list = Array.from({ length: nodes }, (_, index) => ({ name: `n${index}`, address: `10.0.0.${index + 1}` }));
  const cluster = parseNodesFile(JSON.stringify({ nodes: list, ...file }));
  const self = cluster.nodes[0];
  if (self === undefined) throw new Error("the file has nodes");
  return tableOf({ cluster, self, underlay: { dev: "eth0", linkMtu: 1500, pathMtu: undefined }, ipv6: true });
}

const DESIRED = tableFor(3);

function planFor(changes: Partial<Observed>, desired = DESIRED) {
  return planOverlay(desired, { ...settled(DESIRED), ...changes });
}

function withLink(name: string, changes: Partial<Link>): Partial<Observed> {
  return { links: settled(DESIRED).links.map((link) => (link.name === name ? { ...link, ...changes } : link)) };
}

/** A link of the host itself. */
const ETH0: Link = {
  index: 50,
  name: "eth0",
  kind: undefined,
  mac: "52:54:00:00:00:01",
  mtu: 1500,
  up: true,
  loopback: false,
  running: true,
  promiscuous: false,
  alias: undefined,
  master: undefined,
  peer: undefined,
  vxlan: undefined,
  bridge: undefined,
  bridgePort: undefined,
};

const names = (operations: readonly Operation[]) => operations.map((operation) => operation.do);

describe("the overlay plan", () => {
  it("is empty when the kernel holds what the table says", () => {
    const plan = planFor({});
    expect(isEmpty(plan)).to.equal(true);
    expect(plan.conflicts).to.deep.equal([]);
  });

  it("makes the way to a peer before the route that uses it", () => {
    const kinds = names(planFor({ neighbors: [], fdb: [], routes: [] }).peers);
    expect(kinds.lastIndexOf("neighbor.replace")).to.be.below(kinds.indexOf("route.replace"));
    expect(kinds.lastIndexOf("fdb.replace")).to.be.below(kinds.indexOf("route.replace"));
  });

  it("adjusts MTU, state and alias of the tunnel device in place", () => {
    const plan = planFor(withLink("vtep1024", { mtu: 1500, up: false, alias: undefined }));
    expect(plan.links).to.deep.equal([
      { do: "link.set", dev: "vtep1024", set: { alias: "dcos-net overlay tunnel", mtu: 1450, up: true } },
    ]);
    expect(plan.peers).to.deep.equal([]);
  });

  const vxlan = { vni: 1024, port: 64_000, learning: true, local: undefined };

  it("takes over a tunnel device of the reference, which learns addresses", () => {
    expect(isEmpty(planFor(withLink("vtep1024", { vxlan })))).to.equal(true);
  });

  const misfits: readonly (readonly [string, Partial<Link>])[] = [
    ["VNI", { vxlan: { ...vxlan, vni: 7 } }],
    ["port", { vxlan: { ...vxlan, port: 4789 } }],
    ["hardware address", { mac: "70:b3:d5:80:00:63" }],
  ];
  for (const [what, misfit] of misfits) {
    it(`makes the tunnel device and everything on it anew when its ${what} differs`, () => {
      const plan = planFor(withLink("vtep1024", misfit));
      expect(names(plan.links)).to.deep.equal(["link.delete", "link.add"]);
      expect(names(plan.local)).to.deep.equal(["address.add", "address.add"]);
      const all = DESIRED.neighbors.size + DESIRED.fdb.size + DESIRED.routes.size;
      expect(plan.peers).to.have.length(all);
      expect(plan.sysctls.map(({ path }) => path)).to.deep.equal([
        "net/ipv4/conf/vtep1024/rp_filter",
        "net/ipv6/conf/vtep1024/disable_ipv6",
      ]);
    });
  }

  it("leaves a link of another kind alone, whatever its name, and says so", () => {
    const plan = planFor(withLink("m-dcos", { kind: "veth" }));
    expect(plan.links).to.deep.equal([]);
    expect(plan.conflicts.join()).to.include("m-dcos is a veth link");
  });

  it("keeps the hardware address that a bridge has", () => {
    expect(isEmpty(planFor(withLink("m-dcos", { mac: "02:00:00:00:00:01" })))).to.equal(true);
  });

  it("removes a bridge of ours that no overlay has, once no container is on it", () => {
    const [vtep, ...bridges] = settled(DESIRED).links;
    if (vtep === undefined || bridges[0] === undefined) throw new Error("the table has links");
    const old = { ...bridges[0], index: 90, name: "m-old", alias: "dcos-net overlay old" };
    const foreign = { ...old, index: 91, name: "m-other", alias: undefined };
    const port = { ...foreign, index: 92, name: "veth1", kind: "veth", master: 90 };
    expect(planFor({ links: [vtep, ...bridges, old, foreign] }).links).to.deep.equal([
      { do: "link.delete", dev: "m-old" },
    ]);
    const busy = planFor({ links: [vtep, ...bridges, old, foreign, port] });
    expect(busy.links).to.deep.equal([]);
    expect(busy.conflicts.join()).to.include("m-old stays");
  });

  it("replaces a route that leads elsewhere in one step, so that there is always one", () => {
    const routes = [...DESIRED.routes.values()];
    const [first, ...others] = routes;
    if (first === undefined) throw new Error("the table has routes");
    const moved = { ...first, gateway: parseIp("44.128.0.77") };
    expect(planFor({ routes: [moved, ...others] }).peers).to.deep.equal([{ do: "route.replace", route: first }]);
  });

  it("adopts the routes of the reference, which have protocol boot", () => {
    const routes = [...DESIRED.routes.values()].map((route) => ({ ...route, protocol: 3 }));
    expect(names(planFor({ routes }).peers)).to.deep.equal(routes.map(() => "route.replace"));
  });

  it("removes equal-cost paths beside a wanted route", () => {
    const routes = [...DESIRED.routes.values()];
    const first = routes.find(({ dst }) => dst.ip.family === 6);
    if (first === undefined) throw new Error("the table has IPv6 routes");
    const extra = { ...first, gateway: parseIp("fd01:a::77") };
    expect(planFor({ routes: [...routes, extra] }).peers).to.deep.equal([{ do: "route.delete", route: extra }]);
  });

  it("leaves routes of others, and the kernel's own on the tunnel device, alone", () => {
    const foreign = [
      { dst: parsePrefix("0.0.0.0/0"), gateway: parseIp("10.0.0.254"), dev: "eth0", protocol: 3 },
      { dst: parsePrefix("9.77.0.0/16"), dev: "eth0", protocol: 4 },
      { dst: parsePrefix("9.0.1.0/24"), dev: "eth0", priority: 500, protocol: 4 },
      { dst: parsePrefix("10.9.9.9/32"), dev: "eth0", table: 42, protocol: 4 },
      { dst: parsePrefix("44.128.0.0/20"), dev: "vtep1024", protocol: 2 },
    ];
    expect(isEmpty(planFor({ routes: [...DESIRED.routes.values(), ...foreign] }))).to.equal(true);
  });

  it("removes whatever else leads through the tunnel device", () => {
    const stray = { dst: parsePrefix("9.0.77.0/24"), gateway: parseIp("44.128.0.77"), dev: "vtep1024", protocol: 3 };
    const own = { dst: parsePrefix("10.0.0.77/32"), dev: "eth0", table: 42, protocol: 171 };
    const plan = planFor({ routes: [...DESIRED.routes.values(), stray, own] });
    expect(plan.peers).to.deep.equal([
      { do: "route.delete", route: stray },
      { do: "route.delete", route: own },
    ]);
  });

  it("replaces one wrong tunnel endpoint in one step, and of several removes all before adding", () => {
    const fdb = [...DESIRED.fdb.values()];
    const [first, ...others] = fdb;
    if (first === undefined) throw new Error("the table has forwarding entries");
    const wrong = { ...first, remote: parseIp("10.0.0.77") };
    const worse = { ...first, remote: parseIp("10.0.0.78") };
    expect(planFor({ fdb: [wrong, ...others] }).peers).to.deep.equal([{ do: "fdb.replace", entry: first }]);
    expect(planFor({ fdb: [wrong, ...fdb] }).peers).to.deep.equal([{ do: "fdb.delete", entry: wrong }]);
    expect(planFor({ fdb: [wrong, worse, ...others] }).peers).to.deep.equal([
      { do: "fdb.delete", entry: wrong },
      { do: "fdb.delete", entry: worse },
      { do: "fdb.add", entry: first },
    ]);
  });

  it("leaves neighbours that the kernel resolved itself alone, but not in the place of ours", () => {
    const neighbors = [...DESIRED.neighbors.values()];
    const [first, ...others] = neighbors;
    if (first === undefined) throw new Error("the table has neighbours");
    const multicast = { dev: "vtep1024", ip: parseIp("ff02::16"), mac: "33:33:00:00:00:16", permanent: false };
    expect(isEmpty(planFor({ neighbors: [...neighbors, multicast] }))).to.equal(true);
    const dynamic = planFor({ neighbors: [{ ...first, permanent: false }, ...others] });
    expect(dynamic.peers).to.deep.equal([{ do: "neighbor.replace", neighbor: first }]);
  });

  it("takes a rule of the reference at its own position as it is", () => {
    const rules = [...DESIRED.rules.values()].map((rule) => ({ ...rule, priority: 32_765 }));
    expect(isEmpty(planFor({ rules }))).to.equal(true);
  });

  it("removes rules of ours that no overlay has, and doubles, but no rule of others", () => {
    const rules = [...DESIRED.rules.values()];
    const [first] = rules;
    if (first === undefined) throw new Error("the table has rules");
    const old = { family: 4, from: parsePrefix("11.0.0.0/8"), table: 42, priority: 32_042 } as const;
    const foreign = [
      { ...old, priority: 100 },
      { ...old, table: 99 },
    ];
    const plan = planFor({ rules: [...rules, first, old, ...foreign] });
    expect(plan.local).to.deep.equal([
      { do: "rule.delete", rule: first },
      { do: "rule.delete", rule: old },
    ]);
  });

  it("removes stale addresses of our links, but no link-local ones and none of bridges not adopted yet", () => {
    const { addresses } = settled(DESIRED);
    const entry = { scope: "global", broadcast: undefined, tentative: false, dadFailed: false } as const;
    const stale = { ...entry, dev: "m-dcos", address: parsePrefix("9.0.9.1/25") };
    const links = [...settled(DESIRED).links, ETH0];
    const others = [
      { ...entry, dev: "vtep1024", address: parsePrefix("fe80::1/64"), scope: "link" as const },
      { ...entry, dev: "eth0", address: parsePrefix("9.0.9.1/25") },
    ];
    expect(planFor({ links, addresses: [...addresses, stale, ...others] }).local).to.deep.equal([
      { do: "address.delete", address: { dev: "m-dcos", address: stale.address } },
    ]);
    const unadopted = planFor({ ...withLink("m-dcos", { alias: undefined }), addresses: [...addresses, stale] });
    expect(names(unadopted.links)).to.deep.equal(["link.set"]);
    expect(unadopted.local).to.deep.equal([]);
  });

  it("sets an address anew that failed duplicate detection", () => {
    const addresses = settled(DESIRED).addresses.map((entry) => ({
      ...entry,
      dadFailed: entry.address.ip.family === 6,
    }));
    const kinds = names(planFor({ addresses }).local);
    expect(kinds).to.deep.equal(["address.delete", "address.add", "address.delete", "address.add"]);
  });

  it("keeps router advertisements working on the host's links before it makes the host forward", () => {
    const values: Record<string, string> = {
      "net/ipv6/conf/all/forwarding": "0",
      "net/ipv6/conf/eth0/accept_ra": "1",
      "net/ipv6/conf/m-dcos/accept_ra": "1",
    };
    const { links, sysctl } = settled(DESIRED);
    const plan = planFor({ links: [...links, ETH0], sysctl: (path) => values[path] ?? sysctl(path) });
    expect(plan.sysctls.map(({ path, value }) => [path, value])).to.deep.equal([
      ["net/ipv6/conf/eth0/accept_ra", "2"],
      ["net/ipv6/conf/all/forwarding", "1"],
    ]);
  });

  it("puts the isolation table in place unless it is known to fit, and removes it when nothing is isolated", () => {
    const overlays = [{ name: "iso", subnet: "9.0.0.0/8", prefix: 24, isolated: true }];
    const isolated = tableFor(1, { overlays });
    const planned = (isolation: Observed["isolation"], desired: Desired) =>
      planOverlay(desired, { ...settled(desired), isolation }).isolation;
    expect(planned("fits", isolated)).to.deep.equal([]);
    expect(planned("differs", isolated)).to.deep.equal(isolated.isolation);
    expect(planned("absent", isolated)).to.deep.equal(isolated.isolation);
    expect(planned("absent", DESIRED)).to.deep.equal([]);
    expect(planned("differs", DESIRED)).to.deep.equal([
      "add table inet dcos_overlay",
      "delete table inet dcos_overlay",
    ]);
  });

  it("takes everything down when no overlay is left", () => {
    const plan = planFor({}, tableFor(1, { overlays: [] }));
    expect(names(plan.links)).to.deep.equal(["link.delete", "link.delete", "link.delete"]);
    expect(names(plan.local)).to.deep.equal(["rule.delete", "rule.delete"]);
    // Neighbours, forwarding entries, addresses and routes go with the links.
    expect(plan.peers).to.deep.equal([]);
  });
});
