import { join } from "node:path";
import { expect } from "chai";
import { addFirewall, checkFirewall, gcFirewall, removeFirewall } from "../../cni/firewall.ts";
import type { FirewallEntry } from "../../cni/firewall-commands.ts";
import type { Owner } from "../../cni/firewall-owner.ts";
import { allowLoopback, forgetUdpFlows, openHostPorts } from "../../cni/host-ports.ts";
import { MAC_SPOOF, macSpoofEntry } from "../../cni/macspoof.ts";
import { MASQUERADE, masqueradeEntries } from "../../cni/masquerade.ts";
import { HOST_PORTS, type HostPortsRequest, hostPortsEntries } from "../../cni/portmap-rules.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { becomes, SOON_MS } from "../support/lab.ts";
import { needsRoot } from "../support/needs-root.ts";
import {
  askTcp,
  askUdp,
  type FirewallNetwork,
  openFirewallNetwork,
  ruleset,
  serve,
  udpClient,
} from "./firewall-network.ts";
import { listenSctp, sendSctpInit } from "./sctp.ts";

const WEB: Owner = { network: "dcos", containerId: "web-1", ifname: "eth0" };
const JOB: Owner = { network: "dcos", containerId: "job-1", ifname: "eth0" };
const WEB_ADDRESSES = ["10.77.0.5/24", "fd77::5/64"].map(parsePrefix);
const JOB_ADDRESSES = ["10.77.0.6/24", "fd77::6/64"].map(parsePrefix);
const TABLES = [MASQUERADE[4], MASQUERADE[6], HOST_PORTS[4], HOST_PORTS[6], MAC_SPOOF];

type Mapping = HostPortsRequest["mappings"][number];

function mapping(protocol: Mapping["protocol"], hostPort: number, containerPort: number, hostIp?: string): Mapping {
  return { protocol, hostPort, containerPort, ...(hostIp === undefined ? {} : { hostIp: parseIp(hostIp) }) };
}

function ports(owner: Owner, mappings: readonly Mapping[], changes: Partial<HostPortsRequest> = {}): FirewallEntry[] {
  const addresses = owner === WEB ? WEB_ADDRESSES : JOB_ADDRESSES;
  const conditions = { 4: undefined, 6: undefined };
  const entries = hostPortsEntries({
    owner,
    addresses,
    mappings,
    snat: true,
    masqAll: false,
    conditions,
    excludeDevices: [],
    ...changes,
  });
  if (entries.length === 0) throw new Error("no mapping applies");
  return entries;
}

function elementsOf(entries: readonly FirewallEntry[]) {
  return entries.flatMap(({ elements }) => elements);
}

function caught(action: () => unknown): NetError {
  try {
    action();
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("the firewall on this machine's kernel", function () {
  this.timeout(30_000);
  let net: FirewallNetwork;
  const servers: { close(): void }[] = [];
  const add = (...entries: (FirewallEntry | FirewallEntry[])[]) => addFirewall(net.host, net.files, entries.flat());
  const remove = (owner: Owner) => removeFirewall(net.host, net.files, TABLES, owner);
  const both = async (from: "outside" | "web" | "job" | "host", address: string, port: number) => [
    await askTcp(net[from], address, port),
    await askUdp(net[from], address, port),
  ];
  const nobody = ["no answer", "no answer"];

  before(needsRoot);
  beforeEach(async () => {
    net = openFirewallNetwork();
    servers.push(
      await serve(net.web, "web", 80),
      await serve(net.job, "job", 80),
      await serve(net.outside, "outside", 99),
    );
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    net.close();
  });

  it("masquerade gives the outside the host's address, but not the own subnet and not the exclusions", async () => {
    expect(await both("web", "192.0.2.2", 99), "no way back without").to.deep.equal(nobody);
    add(masqueradeEntries({ owner: WEB, addresses: WEB_ADDRESSES, excludes: [parsePrefix("198.51.100.0/24")] }));
    expect(await both("web", "192.0.2.2", 99)).to.deep.equal(["outside sees 192.0.2.1", "outside sees 192.0.2.1"]);
    expect(await both("web", "2001:db8::2", 99)).to.deep.equal([
      "outside sees 2001:db8::1",
      "outside sees 2001:db8::1",
    ]);
    expect(await both("web", "10.77.0.6", 80)).to.deep.equal(["job sees 10.77.0.5", "job sees 10.77.0.5"]);
    net.outside.apply([
      { do: "route.add", route: { dst: parsePrefix("10.77.0.0/24"), gateway: parseIp("192.0.2.1") } },
    ]);
    expect(await both("web", "198.51.100.9", 99)).to.deep.equal(["outside sees 10.77.0.5", "outside sees 10.77.0.5"]);
    expect(await both("job", "192.0.2.2", 99), "job has none").to.deep.equal([
      "outside sees 10.77.0.6",
      "outside sees 10.77.0.6",
    ]);
  });

  it("new exclusions hold for containers that run already", async () => {
    net.outside.apply([
      { do: "route.add", route: { dst: parsePrefix("10.77.0.0/24"), gateway: parseIp("192.0.2.1") } },
    ]);
    add(masqueradeEntries({ owner: WEB, addresses: WEB_ADDRESSES, excludes: [] }));
    expect(await askTcp(net.web, "198.51.100.9", 99)).to.equal("outside sees 192.0.2.1");
    add(masqueradeEntries({ owner: JOB, addresses: JOB_ADDRESSES, excludes: [parsePrefix("198.51.100.0/24")] }));
    expect(await askTcp(net.web, "198.51.100.9", 99)).to.equal("outside sees 10.77.0.5");
    remove(WEB);
    remove(JOB);
    expect(ruleset(net.host)).to.equal("");
  });

  it("a host port is reached from outside, the host, its loopback, the container and its neighbour", async () => {
    openHostPorts(net.host, net.files, ports(WEB, [mapping("tcp", 8080, 80), mapping("udp", 8080, 80)]));
    expect(await both("outside", "192.0.2.1", 8080)).to.deep.equal(["web sees 192.0.2.2", "web sees 192.0.2.2"]);
    expect(await both("outside", "2001:db8::1", 8080)).to.deep.equal(["web sees 2001:db8::2", "web sees 2001:db8::2"]);
    expect(await both("host", "192.0.2.1", 8080)).to.deep.equal(["web sees 192.0.2.1", "web sees 192.0.2.1"]);
    expect(await both("host", "2001:db8::1", 8080)).to.deep.equal(["web sees 2001:db8::1", "web sees 2001:db8::1"]);
    expect(await both("host", "127.0.0.1", 8080)).to.deep.equal(["web sees 10.77.0.1", "web sees 10.77.0.1"]);
    for (const container of ["web", "job"] as const) {
      for (const address of ["192.0.2.1", "10.77.0.1"]) {
        const seen = await both(container, address, 8080);
        expect(seen, `${container} to ${address}`).to.deep.equal(["web sees 10.77.0.1", "web sees 10.77.0.1"]);
      }
      expect(await both(container, "fd77::1", 8080)).to.deep.equal(["web sees fd77::1", "web sees fd77::1"]);
    }
    expect(await both("outside", "192.0.2.1", 8081)).to.deep.equal(nobody);
    expect(await both("job", "10.77.0.5", 80), "direct").to.deep.equal(["web sees 10.77.0.6", "web sees 10.77.0.6"]);
  });

  it("a host port may be one of SCTP", () => {
    const server = listenSctp(net.web);
    const gateway = net.host.link("out")?.mac ?? "";
    const send = (from: number) => sendSctpInit(net.outside, gateway, ["192.0.2.2", "192.0.2.1"], [from, 3868]);
    try {
      send(5000);
      expect(server.nextPort()).to.equal(undefined);
      add(ports(WEB, [mapping("sctp", 3868, 38680), mapping("tcp", 3868, 80)]));
      send(5001);
      expect(server.nextPort()).to.equal(38680);
    } finally {
      server.close();
    }
  });

  it("route_localnet doesn't let a container reach the host's loopback", async () => {
    servers.push(await serve(net.host, "host", 7000));
    add(ports(WEB, [mapping("tcp", 8080, 80)]));
    net.job.apply([{ do: "route.add", route: { dst: parsePrefix("127.0.0.2/32"), gateway: parseIp("10.77.0.1") } }]);
    net.job.setSysctl("net/ipv4/conf/eth0/route_localnet", "1");
    net.job.setSysctl("net/ipv4/conf/all/rp_filter", "0");
    net.job.apply([{ do: "address.delete", address: { dev: "lo", address: parsePrefix("127.0.0.1/8") } }]);
    allowLoopback(net.host, "br0");
    expect(await both("job", "127.0.0.2", 7000)).to.deep.equal(nobody);
    net.host.nftables.run(["flush chain ip dcos_host_ports guard"]);
    expect(await both("job", "127.0.0.2", 7000), "only the guard stood between").to.deep.equal([
      "host sees 10.77.0.6",
      "host sees 10.77.0.6",
    ]);
  });

  it("a port bound to one host address is reached there and nowhere else", async () => {
    add(ports(WEB, [mapping("tcp", 8080, 80, "192.0.2.1"), mapping("udp", 8080, 80, "2001:db8::1")]));
    expect(await both("outside", "192.0.2.1", 8080)).to.deep.equal(["web sees 192.0.2.2", "no answer"]);
    expect(await both("outside", "2001:db8::1", 8080)).to.deep.equal(["no answer", "web sees 2001:db8::2"]);
    expect(await both("job", "10.77.0.1", 8080)).to.deep.equal(nobody);
  });

  it("without snat the container sees real addresses and loops don't work; masqAll hides all addresses", async () => {
    add(ports(WEB, [mapping("tcp", 8080, 80)], { snat: false }));
    expect(await askTcp(net.outside, "192.0.2.1", 8080)).to.equal("web sees 192.0.2.2");
    expect(await askTcp(net.job, "192.0.2.1", 8080)).to.equal("no answer");
    add(ports(JOB, [mapping("tcp", 9090, 80)], { masqAll: true }));
    expect(await askTcp(net.outside, "192.0.2.1", 9090)).to.equal("job sees 10.77.0.1");
  });

  it("conditions limit a mapping of their own container only", async () => {
    add(ports(WEB, [mapping("tcp", 8080, 80)], { conditions: { 4: "ip saddr 192.0.2.0/24", 6: "iifname lo" } }));
    add(ports(JOB, [mapping("tcp", 9090, 80)]));
    expect(await askTcp(net.outside, "192.0.2.1", 8080)).to.equal("web sees 192.0.2.2");
    expect(await askTcp(net.outside, "2001:db8::1", 8080)).to.equal("no answer");
    expect(await askTcp(net.job, "192.0.2.1", 8080)).to.equal("no answer");
    expect(await askTcp(net.job, "192.0.2.1", 9090)).to.equal("job sees 10.77.0.1");
  });

  it("excluded devices lead nowhere but for the container itself", async () => {
    add(ports(WEB, [mapping("tcp", 8080, 80)], { excludeDevices: ["br0", "br1"] }));
    expect(await askTcp(net.outside, "192.0.2.1", 8080)).to.equal("web sees 192.0.2.2");
    expect(await askTcp(net.job, "192.0.2.1", 8080)).to.equal("no answer");
    expect(await askTcp(net.web, "192.0.2.1", 8080)).to.equal("web sees 10.77.0.1");
    expect(await askTcp(net.web, "fd77::1", 8080)).to.equal("web sees fd77::1");
    remove(WEB);
    expect(ruleset(net.host)).to.equal("");
  });

  it("a host port that another container holds is refused naming it, and nothing changes", async () => {
    add(ports(WEB, [mapping("tcp", 8080, 80)]));
    const before = ruleset(net.host);
    for (const hostIp of [undefined, "192.0.2.1"]) {
      const masquerade = masqueradeEntries({ owner: JOB, addresses: JOB_ADDRESSES, excludes: [] });
      const wanted = ports(JOB, [mapping("udp", 53, 80), mapping("tcp", 8080, 80, hostIp)]);
      const error = caught(() => add(masquerade, wanted));
      expect(error.code).to.equal("conflict");
      expect(error.message).to.include("host port 8080/tcp").and.include("container web-1 (eth0 on network dcos)");
      expect(ruleset(net.host)).to.equal(before);
    }
  });

  it("a port of all addresses and one of a single address exclude each other both ways, two single ones don't", () => {
    add(ports(WEB, [mapping("tcp", 8080, 80, "192.0.2.1")]));
    expect(caught(() => add(ports(JOB, [mapping("tcp", 8080, 80)]))).message).to.include("192.0.2.1:8080/tcp");
    add(ports(JOB, [mapping("tcp", 8080, 80, "10.77.0.1")]));
    expect(caught(() => add(ports(JOB, [mapping("tcp", 8080, 80, "192.0.2.1")]))).code).to.equal("conflict");
  });

  it("what a container left behind is replaced by its own next ADD and by the next holder of its address", async () => {
    add(ports(WEB, [mapping("tcp", 8080, 80), mapping("tcp", 8081, 80)]));
    add(
      masqueradeEntries({ owner: WEB, addresses: WEB_ADDRESSES, excludes: [] }),
      ports(WEB, [mapping("tcp", 8080, 80)]),
    );
    expect(net.host.nftables.elements("ip", "dcos_host_ports", "ports")).to.have.length(1);
    const heir = { ...WEB, containerId: "web-2" };
    add(
      masqueradeEntries({ owner: heir, addresses: WEB_ADDRESSES, excludes: [] }),
      ports(WEB, [mapping("tcp", 8080, 80)], { owner: heir }),
    );
    expect(await askTcp(net.outside, "192.0.2.1", 8080)).to.equal("web sees 192.0.2.2");
    expect(remove(WEB), "nothing of the former holder is left").to.deep.equal([]);
    remove(heir);
    expect(ruleset(net.host)).to.equal("");
  });

  it("a UDP client that never stops finds the next container behind the port", async () => {
    const client = await udpClient(net.outside, "192.0.2.1", 5353);
    try {
      const first = ports(WEB, [mapping("udp", 5353, 80)]);
      add(first);
      expect(await client.ask()).to.equal("web sees 192.0.2.2");
      const removed = remove(WEB);
      const second = ports(JOB, [mapping("udp", 5353, 80)]);
      add(second);
      expect(await client.ask(), "the old flow still holds").to.equal("web sees 192.0.2.2");
      forgetUdpFlows(net.host, removed);
      expect(await client.ask()).to.equal("job sees 192.0.2.2");
      forgetUdpFlows(net.host, remove(JOB));
      expect(await client.ask()).to.equal("no answer");
      add(first);
      forgetUdpFlows(net.host, elementsOf(first));
      expect(await client.ask(), "also a flow that began while nobody listened").to.equal("web sees 192.0.2.2");
    } finally {
      client.close();
    }
  });

  it("flows to the same port of other machines are not forgotten", async () => {
    net.outside.apply([
      { do: "route.add", route: { dst: parsePrefix("10.77.0.0/24"), gateway: parseIp("192.0.2.1") } },
    ]);
    add(masqueradeEntries({ owner: JOB, addresses: JOB_ADDRESSES, excludes: [] }));
    expect(await askUdp(net.job, "192.0.2.2", 99)).to.equal("outside sees 192.0.2.1");
    const flows = () => net.host.conntrack.list(4).filter(({ destinationPort }) => destinationPort === 99).length;
    expect(flows()).to.equal(1);
    forgetUdpFlows(net.host, elementsOf(ports(WEB, [mapping("udp", 99, 80)])));
    expect(flows()).to.equal(1);
  });

  it("a guarded bridge port sends with its own hardware address only", async () => {
    const mac = net.web.link("eth0")?.mac ?? "";
    add(macSpoofEntry(WEB, "vweb", mac));
    expect(await askTcp(net.web, "10.77.0.6", 80)).to.equal("job sees 10.77.0.5");
    servers.push(await serve(net.host, "host", 7000));
    net.web.apply([{ do: "link.set", dev: "eth0", set: { mac: "02:00:00:00:00:99" } }]);
    expect(await both("web", "10.77.0.1", 7000)).to.deep.equal(nobody);
    net.job.apply([{ do: "link.set", dev: "eth0", set: { mac: "02:00:00:00:00:98" } }]);
    expect(await askTcp(net.job, "10.77.0.1", 7000), "others are free").to.equal("host sees 10.77.0.6");
    remove(WEB);
    expect(ruleset(net.host)).to.equal("");
    // For some seconds its kernel fails connections to a neighbour that it has looked for in vain.
    await becomes(SOON_MS, () => askTcp(net.web, "10.77.0.1", 7000), "host sees 10.77.0.5");
  });

  it("sixteen processes that add and remove at once get no error and leave nothing", async () => {
    const worker = join(import.meta.dirname, "firewall-worker.ts");
    const children = Array.from({ length: 16 }, (_, index) =>
      net.host.enter(() =>
        Bun.spawn([process.execPath, worker, net.folder, String(index + 2), "10"], {
          stderr: "pipe",
          stdout: "ignore",
        }),
      ),
    );
    for (const child of children) {
      expect(await new Response(child.stderr).text()).to.equal("");
      expect(await child.exited).to.equal(0);
    }
    expect(ruleset(net.host)).to.equal("");
  });

  it("CHECK finds what is missing", () => {
    const entries = [
      ...masqueradeEntries({ owner: WEB, addresses: WEB_ADDRESSES, excludes: [] }),
      ...ports(WEB, [mapping("tcp", 8080, 80)]),
      macSpoofEntry(WEB, "vweb", "02:00:00:00:00:05"),
    ];
    expect(caught(() => checkFirewall(net.host, entries)).code).to.equal("not-found");
    add(...entries);
    checkFirewall(net.host, entries);
    net.host.nftables.run(["delete element ip6 dcos_host_ports ports { tcp . 8080 }"]);
    expect(caught(() => checkFirewall(net.host, entries)).message).to.include("host port 8080/tcp");
    add(ports(WEB, [mapping("tcp", 8080, 80)]));
    checkFirewall(net.host, entries);
  });

  it("GC removes what no valid attachment of that network owns, and nothing else", async () => {
    const other = { ...JOB, network: "dcos-2" };
    add(
      masqueradeEntries({ owner: WEB, addresses: WEB_ADDRESSES, excludes: [] }),
      ports(WEB, [mapping("udp", 8080, 80)]),
    );
    add(masqueradeEntries({ owner: JOB, addresses: JOB_ADDRESSES, excludes: [] }));
    add(ports(JOB, [mapping("tcp", 9090, 80)], { owner: other }));
    expect(gcFirewall(net.host, net.files, TABLES, "dcos", [WEB, JOB])).to.deep.equal([]);
    const removed = gcFirewall(net.host, net.files, TABLES, "dcos", [JOB]);
    expect(new Set(removed.map(({ comment }) => comment))).to.deep.equal(new Set(["dcos web-1 eth0"]));
    expect(await askTcp(net.outside, "192.0.2.1", 9090)).to.equal("job sees 192.0.2.2");
    expect(await askTcp(net.job, "192.0.2.2", 99)).to.equal("outside sees 192.0.2.1");
    gcFirewall(net.host, net.files, TABLES, "dcos", []);
    gcFirewall(net.host, net.files, TABLES, "dcos-2", []);
    expect(ruleset(net.host)).to.equal("");
  });

  it("rules of others are left alone", () => {
    net.host.nftables.run(["add table inet other", "add chain inet other c"]);
    add(ports(WEB, [mapping("tcp", 8080, 80)]));
    remove(WEB);
    expect(ruleset(net.host)).to.include("table inet other").and.not.include("dcos");
  });
});
