import { expect } from "chai";
import { formatIp, formatPrefix, parseIp, parsePrefix } from "../../../lib/address.ts";
import { parseNodesFile } from "../../../overlay/nodes-file.ts";
import { type Desired, gatewayOf, type TableInput, tableOf } from "../../../overlay/table.ts";

const NODES = [
  { name: "n1", address: "10.0.0.1" },
  { name: "n2", address: "10.0.0.2", address6: "fd00::2" },
];
const UNDERLAY = { dev: "eth0", linkMtu: 1500, pathMtu: undefined };

function tableFor(file: object = {}, input: Partial<TableInput> = {}): Desired {
  const cluster = parseNodesFile(JSON.stringify({ nodes: NODES, ...file }));
  const self = cluster.nodes[0];
  if (self === undefined) throw new Error("the file has nodes");
  return tableOf({ cluster, self, underlay: UNDERLAY, ipv6: true, ...input });
}

/** The table's objects as the `ip` and `bridge` commands print them. */
function shown(desired: Desired): string[] {
  return [
    ...[...desired.addresses.values()].map(({ dev, address }) => `address ${formatPrefix(address)} dev ${dev}`),
    ...[...desired.rules.values()].map(({ from, table }) => `rule from ${from && formatPrefix(from)} lookup ${table}`),
    ...[...desired.neighbors.values()].map(({ dev, ip, mac }) => `neighbor ${formatIp(ip)} lladdr ${mac} dev ${dev}`),
    ...[...desired.fdb.values()].map(({ dev, mac, remote }) => `fdb ${mac} dev ${dev} dst ${formatIp(remote)}`),
    ...[...desired.routes.values()].map(
      ({ dst, gateway, dev, table, protocol, onlink }) =>
        `route ${formatPrefix(dst)} via ${gateway && formatIp(gateway)} dev ${dev} table ${table ?? "main"} ` +
        `proto ${protocol}${onlink ? " onlink" : ""}`,
    ),
  ];
}

describe("the overlay table", () => {
  it("holds for DC/OS' own overlays what the reference programs, and the IPv6 parts that it lacks", () => {
    expect(shown(tableFor())).to.deep.equal([
      "address 44.128.0.1/20 dev vtep1024",
      "address fd01:a::1/64 dev vtep1024",
      "address 9.0.0.1/25 dev m-dcos",
      "address fd01:b::1/81 dev m-dcos6",
      "rule from 9.0.0.0/8 lookup 42",
      "rule from fd01:b::/64 lookup 42",
      "neighbor 44.128.0.2 lladdr 70:b3:d5:80:00:02 dev vtep1024",
      "neighbor fd01:a::2 lladdr 70:b3:d5:80:00:02 dev vtep1024",
      "fdb 70:b3:d5:80:00:02 dev vtep1024 dst 10.0.0.2",
      "route 10.0.0.2/32 via 44.128.0.2 dev vtep1024 table 42 proto 171 onlink",
      "route fd00::2/128 via fd01:a::2 dev vtep1024 table 42 proto 171 onlink",
      "route 9.0.1.0/24 via 44.128.0.2 dev vtep1024 table main proto 171 onlink",
      "route fd01:b:0:0:1::/80 via fd01:a::2 dev vtep1024 table main proto 171 onlink",
    ]);
  });

  it("has the tunnel device of the reference, and a bridge for each overlay", () => {
    const { vtep, bridges } = tableFor();
    expect(vtep).to.include({
      name: "vtep1024",
      vni: 1024,
      port: 64_000,
      mac: "70:b3:d5:80:00:01",
      mtu: 1450,
      up: true,
    });
    expect(bridges.map(({ name, mtu, mac }) => ({ name, mtu, mac }))).to.deep.equal([
      { name: "m-dcos", mtu: 1450, mac: "0a:58:09:00:00:01" },
      { name: "m-dcos6", mtu: 1450, mac: "0a:58:00:00:00:01" },
    ]);
  });

  it("has routes into an overlay that the node has no part of, and nothing to attach containers to", () => {
    const cluster = parseNodesFile(JSON.stringify({ nodes: NODES }));
    const master = cluster.nodes.map((node) => (node.name === "n1" ? { ...node, subnets: new Map() } : node));
    const [self] = master;
    const desired = tableFor({}, { cluster: { ...cluster, nodes: master }, ...(self && { self }) });
    expect(desired.bridges).to.deep.equal([]);
    expect(desired.networks).to.deep.equal([]);
    expect(desired.sysctls.map(({ path }) => path)).to.not.include("net/ipv6/conf/m-dcos6/disable_ipv6");
    expect(shown(desired)).to.include.members([
      "address 44.128.0.1/20 dev vtep1024",
      "route 9.0.1.0/24 via 44.128.0.2 dev vtep1024 table main proto 171 onlink",
    ]);
  });

  it("keeps the bridge of a disabled overlay, but lets no container be attached any more", () => {
    const cluster = parseNodesFile(JSON.stringify({ nodes: NODES }));
    const overlays = cluster.overlays.map((overlay) => ({ ...overlay, enabled: overlay.name !== "dcos" }));
    const desired = tableFor({}, { cluster: { ...cluster, overlays } });
    expect(desired.bridges.map(({ name }) => name)).to.deep.equal(["m-dcos", "m-dcos6"]);
    expect(desired.networks.map(({ name }) => name)).to.deep.equal(["dcos6"]);
  });

  it("has forwarding entries for an overlay of IPv6 alone", () => {
    const desired = tableFor({ overlays: [{ name: "six", subnet6: "fd01:b::/64", prefix6: 80 }] });
    expect(desired.fdb.size).to.equal(1);
    expect([...desired.rules.values()].map(({ family }) => family)).to.deep.equal([6]);
    expect(shown(desired)).to.include("route fd01:b:0:0:1::/80 via fd01:a::2 dev vtep1024 table main proto 171 onlink");
  });

  it("has nothing of IPv6 when no overlay has it", () => {
    const desired = tableFor({ overlays: [{ name: "four", subnet: "9.0.0.0/8", prefix: 24 }] });
    expect(shown(desired).join()).not.to.include("fd0");
    expect(desired.sysctls.map(({ path }) => path)).to.deep.equal([
      "net/ipv4/ip_forward",
      "net/ipv4/conf/vtep1024/rp_filter",
    ]);
  });

  it("does without IPv6 where the kernel has none, and says so", () => {
    const desired = tableFor({}, { ipv6: false });
    expect(shown(desired).join()).not.to.include("fd0");
    expect(desired.networks.map(({ name }) => name)).to.deep.equal(["dcos"]);
    expect(desired.omitted.join()).to.include("dcos6").and.include("without IPv6");
  });

  it("does without IPv6 where packets would be too small for it, and says so", () => {
    for (const file of [{ overlay_mtu: 1200 }, { vtep_mtu: 1279 }]) {
      const desired = tableFor(file);
      expect(shown(desired).join()).not.to.include("fd0");
      expect(desired.omitted.join()).to.include("below 1280");
    }
  });

  it("lets a bridge use its link-local address at once, for the first container waits for it", () => {
    expect(tableFor().sysctls).to.deep.include({
      path: "net/ipv6/conf/m-dcos6/accept_dad",
      value: "0",
      dev: "m-dcos6",
    });
  });

  it("gives tunnel and overlay the MTUs that the operator sets", () => {
    const desired = tableFor({ overlay_mtu: 1420, vtep_mtu: 1500 });
    expect(desired.vtep?.mtu).to.equal(1500);
    expect(desired.bridges.map(({ mtu }) => mtu)).to.deep.equal([1420, 1420]);
    expect(desired.networks.map(({ mtu }) => mtu)).to.deep.equal([1420, 1420]);
  });

  it("is empty without overlays", () => {
    const desired = tableFor({ overlays: [] });
    expect(shown(desired)).to.deep.equal([]);
    expect(desired).to.deep.include({ vtep: undefined, bridges: [], sysctls: [], isolation: [], networks: [] });
  });

  it("describes each network for containers: lower half, gateway, and what keeps its source address", () => {
    const network = tableFor().networks[0];
    expect(network?.ranges.map(({ subnet, gateway }) => [formatPrefix(subnet), formatIp(gateway)])).to.deep.equal([
      ["9.0.0.0/25", "9.0.0.1"],
    ]);
    expect(network?.inside.map(formatPrefix)).to.deep.equal(["9.0.0.0/8", "fd01:b::/64"]);
  });

  it("puts the gateway on the first address of the lower half", () => {
    expect(gatewayOf(parsePrefix("9.0.1.0/24"))).to.deep.equal({ ip: parseIp("9.0.1.1"), length: 25 });
    expect(gatewayOf(parsePrefix("fd01:b:0:0:1::/80"))).to.deep.equal({ ip: parseIp("fd01:b:0:0:1::1"), length: 81 });
  });
});
