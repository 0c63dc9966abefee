import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { linuxFiles } from "../../kernel/file.ts";
import type { Kernel, Operation } from "../../kernel/kernel.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import { type OverlayKeeper, overlayKeeper } from "../../overlay/apply.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import { newOverlayMetrics, type OverlayMetrics } from "../../overlay/metric.ts";
import { parseNodesFile } from "../../overlay/nodes-file.ts";
import { isEmpty } from "../../overlay/plan.ts";
import type { Desired } from "../../overlay/table.ts";

const ISOLATED = [
  { name: "dcos", subnet: "9.0.0.0/8", prefix: 24 },
  { name: "dcos6", subnet6: "fd01:b::/64", prefix6: 80 },
  { name: "a-very-long-name", subnet: "10.64.0.0/12", prefix: 24, subnet6: "fd01:c::/64", prefix6: 80, isolated: true },
];

/** A cluster of n1 … n<count> with two overlays of DC/OS and one more that is isolated and has both families. */
export function testCluster(count: number, file: object = {}): Cluster {
  const nodes = Array.from({ length: count }, (_, index) => ({
    name: `n${index + 1}`,
    address: `10.0.0.${index + 1}`,
    address6: `fd00::${index + 1}`,
  }));
  return parseNodesFile(JSON.stringify({ overlays: ISOLATED, nodes, ...file }));
}

/** One host under test: an empty namespace with an underlay link `eth0`, 10.0.0.1/24 and MTU 1500. */
interface Host {
  readonly kernel: Kernel;
  readonly keeper: OverlayKeeper;
  readonly metrics: OverlayMetrics;
  readonly cniDir: string;
}

/** What the overlay's keeper promises, on whatever kernel `open` gives: an empty namespace. */
export function overlaySuite(open: () => { readonly kernel: Kernel; close(): void }): void {
  let folder = "";
  let host: Host;
  let close = () => {};

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "overlay-"));
    const opened = open();
    close = opened.close;
    prepare(opened.kernel);
    host = { ...newKeeper(opened.kernel, folder), kernel: opened.kernel, cniDir: join(folder, "net.d") };
  });

  afterEach(() => {
    close();
    rmSync(folder, { recursive: true, force: true });
  });

  const reconcile = (cluster: Cluster) => host.keeper.reconcile(cluster, "n1");

  it("brings everything into force in one pass, and finds nothing to do in the next", () => {
    const cluster = testCluster(4);
    const { desired, plan, filesWritten } = reconcile(cluster);
    expect(isEmpty(plan)).to.equal(false);
    expectInForce(host.kernel, desired);
    expect(filesWritten).to.have.length(6);
    expect(readdirSync(host.cniDir)).to.include("dcos.conf").and.include("a-very-long-name.conflist");
    const again = reconcile(cluster);
    expect(again.plan, "the second plan").to.deep.equal({ ...again.plan, ...NOTHING });
    expect(again.filesWritten).to.deep.equal([]);
    expect(host.metrics).to.include({
      passes: 2,
      quietPasses: 1,
      repairs: 0,
      refusals: 0,
      peers: 3,
      overlays: 3,
      mtu: 1450,
    });
  });

  it("finds nothing to do after a restart of the process", () => {
    const cluster = testCluster(3);
    reconcile(cluster);
    const { plan } = newKeeper(host.kernel, folder).keeper.reconcile(cluster, "n1");
    // The isolation table is set anew once, in one transaction, because nobody remembers how nft lists it.
    expect({ ...plan, isolation: [] }).to.deep.equal({ ...plan, ...NOTHING });
  });

  for (const [what, harm] of HARMS) {
    it(`notices and repairs when somebody removes ${what}`, () => {
      const cluster = testCluster(3);
      const { desired } = reconcile(cluster);
      reconcile(cluster);
      for (let round = 0; round < 3; round++) host.kernel.changed();
      expect(host.keeper.disturbed()).to.equal(false);
      const steps = harm(desired);
      for (const step of steps) {
        host.kernel.apply([step]);
        expect(host.kernel.changed(), "a change notice").to.equal(true);
        const { plan } = reconcile(cluster);
        expect(isEmpty(plan)).to.equal(false);
        expectInForce(host.kernel, desired);
        expect(isEmpty(reconcile(cluster).plan)).to.equal(true);
      }
      expect(host.metrics.repairs).to.be.at.least(steps.length);
      expect(host.metrics.refusals).to.equal(0);
    });
  }

  it("notices and repairs changed kernel settings", () => {
    const cluster = testCluster(2);
    const { desired } = reconcile(cluster);
    for (const { path, value } of desired.sysctls) {
      host.kernel.setSysctl(path, value === "1" ? "0" : "1");
      expect(host.keeper.disturbed()).to.equal(true);
      reconcile(cluster);
      expect(host.kernel.sysctl(path)).to.equal(value);
      expect(host.keeper.disturbed()).to.equal(false);
    }
    expectInForce(host.kernel, desired);
  });

  it("notices and repairs a changed or missing isolation table", () => {
    const cluster = testCluster(2);
    reconcile(cluster);
    const listing = host.kernel.nftables.table("inet", "dcos_overlay");
    for (const command of ["flush chain inet dcos_overlay from_isolated", "delete table inet dcos_overlay"]) {
      host.kernel.nftables.run([command]);
      expect(host.keeper.disturbed()).to.equal(true);
      reconcile(cluster);
      expect(host.kernel.nftables.table("inet", "dcos_overlay")).to.equal(listing);
      expect(host.keeper.disturbed()).to.equal(false);
    }
  });

  it("notices and repairs a missing CNI file", () => {
    const cluster = testCluster(2);
    reconcile(cluster);
    rmSync(join(host.cniDir, "dcos.conf"));
    expect(host.keeper.disturbed()).to.equal(true);
    reconcile(cluster);
    expect(readdirSync(host.cniDir)).to.include("dcos.conf");
  });

  it("takes out what belonged to a node that has left, and nothing else", () => {
    reconcile(testCluster(4));
    const smaller = testCluster(3);
    const { desired, plan } = reconcile(smaller);
    expectInForce(host.kernel, desired);
    const kinds = new Set(plan.peers.map((operation) => operation.do));
    expect([...kinds].sort()).to.deep.equal(["fdb.delete", "neighbor.delete", "route.delete"]);
    expect(plan.peers).to.have.length(1 + 2 + 6);
    expect(isEmpty(reconcile(smaller).plan)).to.equal(true);
  });

  it("follows a node to another underlay address without a gap", () => {
    reconcile(testCluster(3));
    const nodes = ["10.0.0.1", "10.0.0.77", "10.0.0.3"].map((address, index) => ({ name: `n${index + 1}`, address }));
    const { desired, plan } = reconcile(testCluster(3, { nodes }));
    expectInForce(host.kernel, desired);
    expect(plan.peers.filter(({ do: kind }) => kind.startsWith("fdb"))).to.deep.equal([
      { do: "fdb.replace", entry: { dev: "vtep1024", mac: "70:b3:d5:80:00:02", remote: parseIp("10.0.0.77") } },
    ]);
  });

  it("leaves links, addresses, routes and rules of others as they are", () => {
    host.kernel.apply(FOREIGN);
    const before = foreignState(host.kernel);
    expect(before).to.have.length(FOREIGN.length - 1);
    const cluster = testCluster(3);
    reconcile(cluster);
    reconcile(testCluster(2));
    reconcile(testCluster(2, { overlays: [] }));
    expect(foreignState(host.kernel)).to.deep.equal(before);
  });

  it("doesn't rebuild a tunnel device that fits, whatever its MTU, state and origin", () => {
    const reference: Operation[] = [
      {
        do: "link.add",
        link: {
          kind: "vxlan",
          name: "vtep1024",
          vni: 1024,
          port: 64_000,
          learning: true,
          mac: "70:b3:d5:80:00:01",
          mtu: 1500,
        },
      },
    ];
    host.kernel.apply(reference);
    const index = host.kernel.link("vtep1024")?.index;
    const { desired } = reconcile(testCluster(3));
    expectInForce(host.kernel, desired);
    expect(host.kernel.link("vtep1024")).to.include({ index, mtu: 1450, up: true });
    reconcile(testCluster(3, { vtep_mtu: 1400 }));
    expect(host.kernel.link("vtep1024")).to.include({ index, mtu: 1400 });
  });

  it("rebuilds a tunnel device with another network identifier", () => {
    const wrong = { kind: "vxlan", name: "vtep1024", vni: 99, port: 64_000, learning: false, up: true } as const;
    host.kernel.apply([{ do: "link.add", link: { ...wrong, mac: "70:b3:d5:80:00:01" } }]);
    const { desired } = reconcile(testCluster(3));
    expectInForce(host.kernel, desired);
    expect(host.kernel.link("vtep1024")?.vxlan?.vni).to.equal(1024);
  });

  it("moves to another network identifier when the cluster does", () => {
    reconcile(testCluster(3));
    const { desired } = reconcile(testCluster(3, { vni: 2000 }));
    expectInForce(host.kernel, desired);
    expect(host.kernel.link("vtep1024")).to.equal(undefined);
  });

  it("takes over routes and neighbours that the reference left", () => {
    const cluster = testCluster(2);
    const { desired } = reconcile(cluster);
    for (const route of desired.routes.values()) {
      host.kernel.apply([
        { do: "route.delete", route },
        { do: "route.add", route: { ...route, protocol: 3 } },
      ]);
    }
    expect(reconcile(cluster).plan.peers).to.have.length(desired.routes.size);
    expectInForce(host.kernel, desired);
    expect(isEmpty(reconcile(cluster).plan)).to.equal(true);
  });

  it("adopts a bridge that the CNI plugin has made", () => {
    host.kernel.apply([
      { do: "link.add", link: { kind: "bridge", name: "m-dcos", mac: "0a:58:00:00:00:99", up: true } },
      { do: "address.add", address: { dev: "m-dcos", address: parsePrefix("9.0.0.1/25") } },
    ]);
    const index = host.kernel.link("m-dcos")?.index;
    const { desired } = reconcile(testCluster(2));
    expectInForce(host.kernel, desired);
    const bridge = host.kernel.link("m-dcos");
    expect(bridge).to.include({ index, mac: "0a:58:00:00:00:99", mtu: 1450, alias: "dcos-net overlay dcos" });
  });

  it("puts containers back onto their bridge when somebody deletes it or takes them off", () => {
    const cluster = testCluster(2);
    const { desired } = reconcile(cluster);
    for (const [dev, network, bridge] of CONTAINERS) {
      const peer = { name: `${dev}p` };
      const set = { alias: `dcos-net ${network} id eth0`, up: true, ...(bridge === null ? {} : { master: bridge }) };
      host.kernel.apply([
        { do: "link.add", link: { kind: "veth", name: dev, peer } },
        { do: "link.set", dev, set },
      ]);
    }
    expect(isEmpty(reconcile(cluster).plan), "with everything in place").to.equal(true);
    const harms: Operation[] = [
      { do: "link.delete", dev: "m-dcos" },
      { do: "link.set", dev: "c0", set: { master: null } },
    ];
    for (const harm of harms) {
      host.kernel.apply([harm]);
      reconcile(cluster);
      expectInForce(host.kernel, desired);
      expect(CONTAINERS.map(([dev]) => masterOf(host.kernel, dev))).to.deep.equal(
        CONTAINERS.map(([, , bridge]) => bridge ?? undefined),
      );
      expect(host.kernel.link("c0")?.bridgePort?.hairpin).to.equal(true);
      expect(isEmpty(reconcile(cluster).plan)).to.equal(true);
    }
  });

  it("leaves a container's link alone whose network is called overlay, whatever overlays there are", () => {
    host.kernel.apply([
      { do: "link.add", link: { kind: "veth", name: "c0", peer: { name: "c1" } } },
      { do: "link.set", dev: "c0", set: { alias: "dcos-net overlay id eth0" } },
    ]);
    reconcile(testCluster(2));
    reconcile(testCluster(2, { overlays: [] }));
    expect(host.kernel.link("c0")).not.to.equal(undefined);
  });

  it("keeps the MTU of a bridge when containers with other MTUs come", () => {
    const cluster = testCluster(2);
    const { desired } = reconcile(cluster);
    host.kernel.apply([
      { do: "link.add", link: { kind: "veth", name: "c0", mtu: 1500, peer: { name: "c1" } } },
      { do: "link.set", dev: "c0", set: { master: "m-dcos", up: true } },
    ]);
    expectInForce(host.kernel, desired);
    expect(isEmpty(reconcile(cluster).plan)).to.equal(true);
  });

  it("removes an overlay that has gone: files, rules, routes, then the bridge when it is empty", () => {
    reconcile(testCluster(2));
    host.kernel.apply([
      { do: "link.add", link: { kind: "veth", name: "c0", peer: { name: "c1" } } },
      { do: "link.set", dev: "c0", set: { master: "m-dcos" } },
    ]);
    const without = testCluster(2, { overlays: ISOLATED.slice(1) });
    const report = reconcile(without);
    expect(report.conflicts.join()).to.include("m-dcos stays");
    expect(report.filesRemoved.map((path) => path.split("/").at(-1)).sort()).to.deep.equal([
      "dcos.conf",
      "dcos.conflist",
    ]);
    expect(host.kernel.link("m-dcos")).not.to.equal(undefined);
    host.kernel.apply([{ do: "link.delete", dev: "c0" }]);
    expect(reconcile(without).conflicts).to.deep.equal([]);
    expect(host.kernel.link("m-dcos")).to.equal(undefined);
    expectInForce(host.kernel, report.desired);
  });

  it("leaves nothing behind when no overlay is left", () => {
    reconcile(testCluster(3));
    const none = testCluster(3, { overlays: [] });
    reconcile(none);
    expect(isEmpty(reconcile(none).plan)).to.equal(true);
    expect(
      host.kernel
        .links()
        .map(({ name }) => name)
        .sort(),
    ).to.deep.equal(["eth0", "eth1", "lo"]);
    expect(host.kernel.rules(4).filter(({ table }) => table === 42)).to.deep.equal([]);
    expect(host.kernel.routes({ table: 42 })).to.deep.equal([]);
    expect(host.kernel.routes().filter(({ protocol }) => protocol === 171)).to.deep.equal([]);
    expect(host.kernel.nftables.table("inet", "dcos_overlay")).to.equal(undefined);
    expect(readdirSync(host.cniDir)).to.deep.equal([]);
  });

  it("follows the MTU of the underlay link", () => {
    const cluster = testCluster(2);
    reconcile(cluster);
    host.kernel.apply([{ do: "link.set", dev: "eth0", set: { mtu: 1400 } }]);
    const { desired } = reconcile(cluster);
    expect(desired.mtu.reason).to.include("link MTU 1400");
    expect(host.kernel.link("vtep1024")?.mtu).to.equal(1350);
    expect(host.kernel.link("m-dcos")?.mtu).to.equal(1350);
  });

  it("refuses a name that the cluster doesn't have, and changes nothing", () => {
    expect(() => host.keeper.reconcile(testCluster(2), "stranger")).to.throw('find node "stranger"');
    expect(host.kernel.link("vtep1024")).to.equal(undefined);
    expect(host.metrics).to.include({ passes: 1, failedPasses: 1, changes: 0 });
  });
}

/** Host ends of containers: link, network, and the bridge that they are on; the last is on none and stays so. */
const CONTAINERS = [
  ["c0", "dcos", "m-dcos"],
  ["c1", "dcos", "m-dcos"],
  ["c2", "dcos6", "m-dcos6"],
  ["c3", "mine", null],
] as const;

function masterOf(kernel: Kernel, dev: string): string | undefined {
  const index = kernel.link(dev)?.master;
  return kernel.links().find((link) => link.index === index)?.name;
}

const NOTHING = { isolation: [], links: [], sysctls: [], local: [], peers: [] };

function prepare(kernel: Kernel): void {
  kernel.apply([
    { do: "link.set", dev: "lo", set: { up: true } },
    { do: "link.add", link: { kind: "veth", name: "eth0", up: true, peer: { name: "eth1" } } },
    { do: "link.set", dev: "eth1", set: { up: true } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.0.0.1/24") } },
  ]);
}

function newKeeper(kernel: Kernel, folder: string) {
  const metrics = newOverlayMetrics();
  const cni = { dir: join(folder, "net.d"), dataDir: undefined };
  return { metrics, keeper: overlayKeeper({ kernel, files: linuxFiles, metrics, cni }) };
}

/** Ways to harm each kind of object, one operation for each object of the table. */
const HARMS: readonly (readonly [string, (desired: Desired) => Operation[]])[] = [
  ["the tunnel device", ({ vtep }) => (vtep === undefined ? [] : [{ do: "link.delete", dev: vtep.name }])],
  ["a bridge", ({ bridges }) => bridges.map(({ name }) => ({ do: "link.delete", dev: name }))],
  [
    "the up state of a link",
    ({ vtep, bridges }) =>
      [...bridges, ...(vtep === undefined ? [] : [vtep])].map(({ name }) => ({
        do: "link.set",
        dev: name,
        set: { up: false },
      })),
  ],
  ["an address", ({ addresses }) => [...addresses.values()].map((address) => ({ do: "address.delete", address }))],
  ["a rule", ({ rules }) => [...rules.values()].map((rule) => ({ do: "rule.delete", rule }))],
  ["a route", ({ routes }) => [...routes.values()].map((route) => ({ do: "route.delete", route }))],
  ["a neighbour", ({ neighbors }) => [...neighbors.values()].map((neighbor) => ({ do: "neighbor.delete", neighbor }))],
  ["a forwarding entry", ({ fdb }) => [...fdb.values()].map((entry) => ({ do: "fdb.delete", entry }))],
];

/** Asserts that the kernel holds the whole table and nothing more on our links: the table computed against the kernel
 *  itself. */
function expectInForce(kernel: Kernel, desired: Desired): void {
  const { vtep } = desired;
  const links = kernel.links();
  for (const spec of [...desired.bridges, ...(vtep === undefined ? [] : [vtep])]) {
    const link = links.find(({ name }) => name === spec.name);
    expect(link, spec.name).to.include({ kind: spec.kind, mtu: spec.mtu, up: true, alias: spec.alias });
  }
  const text = (list: Iterable<unknown>) => [...list].map((each) => show(each)).sort();
  const devices = new Set([vtep?.name, ...desired.bridges.map(({ name }) => name)]);
  const addresses = kernel.addresses().filter(({ dev, scope }) => devices.has(dev) && scope === "global");
  expect(text(addresses.map(({ dev, address }) => ({ dev, address })))).to.deep.equal(
    text([...desired.addresses.values()].map(({ dev, address }) => ({ dev, address }))),
  );
  const routes = [...kernel.routes(), ...kernel.routes({ table: 42 })].filter(({ protocol }) => protocol === 171);
  const way = ({ dst, gateway, dev, table = 254 }: (typeof routes)[number]) => ({ dst, gateway, dev, table });
  expect(text(routes.map(way))).to.deep.equal(text([...desired.routes.values()].map(way)));
  const rules = [...kernel.rules(4), ...kernel.rules(6)].filter(({ table }) => table === 42);
  const meaning = ({ family, from, table }: (typeof rules)[number]) => ({ family, from, table });
  expect(text(rules.map(meaning))).to.deep.equal(text([...desired.rules.values()].map(meaning)));
  if (vtep === undefined) return;
  const neighbors = kernel.neighbors(vtep.name).filter(({ permanent }) => permanent);
  expect(text(neighbors)).to.deep.equal(text(desired.neighbors.values()));
  expect(text(kernel.fdb(vtep.name))).to.deep.equal(text(desired.fdb.values()));
}

/** Text with keys in one order; numbers beyond JSON as text. */
function show(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === "bigint") return each.toString(16);
    if (typeof each !== "object" || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** What an operator, a VPN and another network may have set up; the first makes the link that the others are on. */
const FOREIGN: readonly Operation[] = [
  { do: "link.add", link: { kind: "bridge", name: "m-foreign", up: true } },
  { do: "address.add", address: { dev: "m-foreign", address: parsePrefix("9.250.0.1/24") } },
  { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.0.0.200/24") } },
  { do: "route.add", route: { dst: parsePrefix("0.0.0.0/0"), gateway: parseIp("10.0.0.254"), dev: "eth0" } },
  { do: "route.add", route: { dst: parsePrefix("9.0.200.0/24"), gateway: parseIp("10.0.0.9"), dev: "eth0" } },
  { do: "route.add", route: { dst: parsePrefix("10.7.0.0/16"), gateway: parseIp("10.0.0.9"), dev: "eth0", table: 42 } },
  { do: "rule.add", rule: { family: 4, from: parsePrefix("9.0.0.0/8"), table: 99, priority: 77 } },
  { do: "rule.add", rule: { family: 4, from: parsePrefix("172.16.0.0/12"), table: 42, priority: 78 } },
];

function foreignState(kernel: Kernel): string[] {
  const gateways = new Set(["10.0.0.254", "10.0.0.9"].map((text) => parseIp(text).value));
  return [
    ...kernel.addresses("m-foreign").filter(({ scope }) => scope === "global"),
    ...kernel.addresses("eth0").filter(({ address }) => address.ip.value === parseIp("10.0.0.200").value),
    ...[...kernel.routes(), ...kernel.routes({ table: 42 })].filter(
      ({ gateway }) => gateway && gateways.has(gateway.value),
    ),
    ...kernel.rules(4).filter(({ priority }) => priority === 77 || priority === 78),
  ].map(show);
}
