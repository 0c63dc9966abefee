import { expect } from "chai";
import { additionCommands, type FirewallEntry } from "../../../cni/firewall-commands.ts";
import { HOST_PORTS, type HostPortsRequest, hostPortsEntries } from "../../../cni/portmap-rules.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { NetError } from "../../../lib/error.ts";

type Mapping = HostPortsRequest["mappings"][number];
const HTTP: Mapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

function entries(mappings: readonly Mapping[], changes: Partial<HostPortsRequest> = {}): FirewallEntry[] {
  return hostPortsEntries({
    owner: { network: "dcos", containerId: "web-1", ifname: "eth0" },
    addresses: [parsePrefix("9.0.1.5/25")],
    mappings,
    snat: true,
    masqAll: false,
    conditions: { 4: undefined, 6: undefined },
    excludeDevices: [],
    ...changes,
  });
}

/** The commands for one more container, without the tables' own and their names. */
function commands(mappings: readonly Mapping[], changes: Partial<HostPortsRequest> = {}): string[] {
  return entries(mappings, changes)
    .flatMap((entry) => additionCommands(entry, []))
    .map((line) => line.replace(" dcos_host_ports", "").replace(/^(\w+ \w+) ip /, "$1 "));
}

const COMMENT = 'comment "dcos web-1 eth0"';

describe("the host port commands", () => {
  it("make the whole table with its first element", () => {
    const [made] = entries([HTTP]);
    const all = made === undefined ? [] : additionCommands(made, undefined);
    const table = all.slice(0, all.length - commands([HTTP]).length);
    expect(table.map((line) => line.replace("ip dcos_host_ports", "@"))).to.deep.equal([
      "add table @",
      "add map @ ports { type inet_proto . inet_service : ipv4_addr . inet_service; }",
      "add map @ bound { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
      "add map @ hairpins { type ipv4_addr . inet_proto . inet_service : verdict; }",
      "add map @ conditions { type inet_proto . inet_service : verdict; }",
      "add map @ bound_conditions { type ipv4_addr . inet_proto . inet_service : verdict; }",
      "add set @ own { type ipv4_addr . inet_proto . inet_service; }",
      "add chain @ translate",
      "add rule @ translate dnat ip to ip daddr . meta l4proto . th dport map @bound",
      "add rule @ translate dnat ip to meta l4proto . th dport map @ports",
      "add chain @ host_ports",
      "add rule @ host_ports ip daddr . meta l4proto . th dport vmap @bound_conditions",
      "add rule @ host_ports meta l4proto . th dport vmap @conditions",
      "add rule @ host_ports goto translate",
      "add chain @ prerouting { type nat hook prerouting priority -100; }",
      "add rule @ prerouting fib daddr type local goto host_ports",
      "add chain @ output { type nat hook output priority -100; }",
      "add rule @ output fib daddr type local goto host_ports",
      "add chain @ postrouting { type nat hook postrouting priority 99; }",
      "add rule @ postrouting ct status dnat ip daddr . meta l4proto . th dport vmap @hairpins",
      "add chain @ guard { type filter hook prerouting priority -300; }",
      'add rule @ guard iifname != "lo" ip daddr 127.0.0.0/8 drop',
    ]);
    expect(HOST_PORTS[6].chains.map(({ name }) => name)).to.not.include("guard");
  });

  it("map a port of all addresses in the family of the container's address", () => {
    expect(commands([HTTP])).to.deep.equal([
      "add chain hairpin_9.0.1.0-25",
      "flush chain hairpin_9.0.1.0-25",
      "add rule hairpin_9.0.1.0-25 ip saddr 127.0.0.0/8 masquerade",
      "add rule hairpin_9.0.1.0-25 ip saddr 9.0.1.0/25 masquerade",
      `create element ports { tcp . 8080 ${COMMENT} : 9.0.1.5 . 80 }`,
      `create element hairpins { 9.0.1.5 . tcp . 80 ${COMMENT} : goto hairpin_9.0.1.0-25 }`,
    ]);
  });

  it("map to the first address of each family", () => {
    const addresses = ["9.0.1.5/25", "fd01::5/64", "9.0.1.6/25"].map(parsePrefix);
    const made = commands([{ hostPort: 53, containerPort: 5353, protocol: "udp" }], { addresses, snat: false });
    expect(made).to.deep.equal([
      `create element ports { udp . 53 ${COMMENT} : 9.0.1.5 . 5353 }`,
      `create element ip6 ports { udp . 53 ${COMMENT} : fd01::5 . 5353 }`,
    ]);
  });

  it("bind a port to a host address, where the unspecified one is all of its family; skip the other family's", () => {
    const at = (hostIp: string) => commands([{ ...HTTP, hostIp: parseIp(hostIp) }], { snat: false });
    expect(at("192.0.2.1")).to.deep.equal([
      `create element bound { 192.0.2.1 . tcp . 8080 ${COMMENT} : 9.0.1.5 . 80 }`,
    ]);
    expect(at("0.0.0.0")).to.deep.equal([`create element ports { tcp . 8080 ${COMMENT} : 9.0.1.5 . 80 }`]);
    expect(at("::")).to.deep.equal([]);
    expect(at("2001:db8::1")).to.deep.equal([]);
  });

  it("are none without mappings or without addresses", () => {
    expect(entries([])).to.deep.equal([]);
    expect(entries([HTTP], { addresses: [] })).to.deep.equal([]);
  });

  it("name two ports of one container port once in the hairpin map, and a repeated mapping once altogether", () => {
    const made = commands([HTTP, { ...HTTP, hostPort: 8081 }, HTTP]);
    expect(made.filter((line) => line.includes("element ports"))).to.have.length(2);
    expect(made.filter((line) => line.includes("element hairpins"))).to.have.length(1);
  });

  it("refuse one host port for two container ports, naming all three", () => {
    const twice = () => entries([HTTP, { ...HTTP, containerPort: 81 }]);
    expect(twice).to.throw(NetError, /host port 8080\/tcp.*container port 80 and for 81/);
    expect(commands([HTTP, { ...HTTP, protocol: "udp", containerPort: 81 }])).to.not.deep.equal([]);
  });

  it("masquerade every sender with masqAll, and nobody without snat", () => {
    expect(commands([HTTP], { masqAll: true })).to.include("add rule hairpin_all-0 masquerade");
    expect(commands([HTTP], { snat: false, masqAll: true }).join()).to.not.include("masquerade");
  });

  it("put conditions into a chain that the mapping's own packets pass first", () => {
    const made = commands([HTTP], { snat: false, conditions: { 4: "ip saddr 10.0.0.0/8", 6: undefined } });
    const chain = /^add chain (only-[0-9a-f]{16})$/.exec(made[0] ?? "")?.[1];
    expect(made).to.deep.equal([
      `add chain ${chain}`,
      `flush chain ${chain}`,
      `add rule ${chain} ip saddr 10.0.0.0/8 goto translate`,
      `create element ports { tcp . 8080 ${COMMENT} : 9.0.1.5 . 80 }`,
      `create element conditions { tcp . 8080 ${COMMENT} : goto ${chain} }`,
    ]);
    const bound = commands([{ ...HTTP, hostIp: parseIp("192.0.2.1") }], {
      conditions: { 4: "tcp flags syn", 6: undefined },
    });
    expect(bound.join("\n")).to.include("element bound_conditions { 192.0.2.1 . tcp . 8080 ");
  });

  it("turn packets of all excluded devices away unless the container itself has sent them", () => {
    const made = commands([HTTP], { excludeDevices: ["m-dcos", "m-other"] });
    expect(made).to.include(`create element own { 9.0.1.5 . tcp . 8080 ${COMMENT} }`);
    expect(made.filter((line) => line.includes("iifname")).map((line) => line.replace(/-\w+/, "-x"))).to.deep.equal([
      'add rule only-x iifname "m-dcos" ip saddr . meta l4proto . th dport != @own return',
      'add rule only-x iifname "m-other" ip saddr . meta l4proto . th dport != @own return',
    ]);
  });

  it("name the rivals of a mapping: the same port in the other kind of map", () => {
    expect(entries([HTTP])[0]?.rivals).to.deep.equal([{ set: "bound", suffix: ["tcp", "8080"] }]);
    const [bound] = entries([{ ...HTTP, hostIp: parseIp("192.0.2.1") }]);
    expect(bound?.rivals).to.deep.equal([{ set: "ports", suffix: ["tcp", "8080"] }]);
  });

  it("describe elements to an operator", () => {
    const tell = (set: string, ...key: string[]) => HOST_PORTS[4].describe({ set, key, data: [] });
    expect(tell("ports", "tcp", "80")).to.equal("host port 80/tcp");
    expect(tell("bound", "192.0.2.1", "udp", "53")).to.equal("host port 192.0.2.1:53/udp");
    expect(tell("bound", "fd01::1", "udp", "53")).to.equal("host port [fd01::1]:53/udp");
  });
});
