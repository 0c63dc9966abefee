import { expect } from "chai";
import { portmapPlugin } from "../../../cni/portmap.ts";
import type { FakeKernel } from "../../../kernel/fake.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { callPlugin, cniMachine, errorOf, NETNS } from "../../support/cni-host.ts";

const PLUGIN = portmapPlugin("portmap");
const LOCK = { makeDirectory: () => undefined, lock: () => ({ release: () => undefined }) };
const HTTP = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
const PREVIOUS = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01" },
    { name: "veth0", mac: "02:00:00:00:00:02" },
    { name: "eth0", mac: "02:00:00:00:00:03", sandbox: NETNS },
  ],
  ips: [{ interface: 2, address: "10.1.0.5/24", gateway: "10.1.0.1" }],
};

const config = (changes: object = {}, mappings: readonly object[] = [HTTP]) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "portmap",
  prevResult: PREVIOUS,
  runtimeConfig: { portMappings: mappings },
  ...changes,
});

function run(kernel: FakeKernel, verb: string, stdin: object, env: Record<string, string> = {}) {
  return callPlugin(PLUGIN, { kernel, stdin, files: LOCK, env: { CNI_COMMAND: verb, ...env } });
}

/** A machine with the bridge that the previous result speaks of. */
function machine(): FakeKernel {
  const kernel = cniMachine();
  kernel.apply([
    { do: "link.add", link: { kind: "bridge", name: "cni0", up: true } },
    { do: "address.add", address: { dev: "cni0", address: parsePrefix("10.1.0.1/24") } },
  ]);
  return kernel;
}

const ports = (kernel: FakeKernel) => kernel.nftables.elements("ip", "dcos_host_ports", "ports");

describe("the portmap plugin", () => {
  it("maps the ports, lets the host's loopback in, and echoes the previous result", () => {
    const kernel = machine();
    const outcome = run(kernel, "ADD", config());
    expect(outcome.exitCode, outcome.stdout).to.equal(0);
    expect(JSON.parse(outcome.stdout)).to.deep.equal({ ...PREVIOUS, cniVersion: "1.1.0" });
    expect(ports(kernel)).to.deep.equal([{ key: ["tcp", "8080"], data: ["10.1.0.5", "80"], comment: "net c1 eth0" }]);
    expect(kernel.sysctl("net/ipv4/conf/cni0/route_localnet")).to.equal("1");
  });

  it("leaves route_localnet alone without snat", () => {
    const kernel = machine();
    expect(run(kernel, "ADD", config({ snat: false })).exitCode).to.equal(0);
    expect(kernel.sysctl("net/ipv4/conf/cni0/route_localnet")).to.equal("0");
  });

  it("takes no address of another interface of the result, and one that names none", () => {
    const kernel = machine();
    const ips = [{ interface: 0, address: "10.9.0.1/24" }, { address: "10.1.0.7/24" }];
    run(kernel, "ADD", config({ prevResult: { ...PREVIOUS, ips } }));
    expect(ports(kernel)?.[0]?.data).to.deep.equal(["10.1.0.7", "80"]);
  });

  it("does nothing without mappings", () => {
    const kernel = machine();
    for (const stdin of [config({}, []), config({ runtimeConfig: undefined }), config({ runtimeConfig: {} })]) {
      expect(run(kernel, "ADD", stdin).exitCode).to.equal(0);
      expect(run(kernel, "CHECK", stdin).exitCode).to.equal(0);
    }
    expect(ports(kernel)).to.equal(undefined);
  });

  it("removes everything with neither mappings nor namespace nor previous result, as often as it is told", () => {
    const kernel = machine();
    run(kernel, "ADD", config({}, [HTTP, { ...HTTP, hostPort: 8081 }]));
    for (let times = 0; times < 2; times++) {
      const outcome = run(kernel, "DEL", { cniVersion: "1.1.0", name: "net" }, { CNI_NETNS: "" });
      expect(outcome.exitCode, outcome.stdout).to.equal(0);
      expect(outcome.stdout).to.equal("");
      expect(kernel.nftables.table("ip", "dcos_host_ports")).to.equal(undefined);
    }
  });

  it("removes even what its configuration would no longer allow", () => {
    const kernel = machine();
    run(kernel, "ADD", config());
    expect(run(kernel, "DEL", config({ snat: 5, conditionsV4: ["-s", "x"] })).exitCode).to.equal(0);
    expect(ports(kernel)).to.equal(undefined);
  });

  it("forgets UDP flows on ADD and on DEL", () => {
    const kernel = machine();
    const addFlow = () =>
      kernel.addFlow({
        protocol: 17,
        source: parseIp("192.0.2.9"),
        sourcePort: 40000,
        destination: parseIp("10.1.0.1"),
        destinationPort: 53,
        replySource: parseIp("10.1.0.9"),
        replySourcePort: 53,
      });
    for (const verb of ["ADD", "DEL"]) {
      addFlow();
      run(kernel, verb, config({}, [{ hostPort: 53, containerPort: 53, protocol: "UDP" }]));
      expect(kernel.conntrack.list(4), verb).to.deep.equal([]);
    }
  });

  it("finds missing rules with CHECK", () => {
    const kernel = machine();
    expect(errorOf(run(kernel, "CHECK", config())).code).to.equal(114);
    run(kernel, "ADD", config());
    expect(run(kernel, "CHECK", config()).exitCode).to.equal(0);
  });

  it("keeps with GC what the list names, and removes the rest of the network", () => {
    const kernel = machine();
    run(kernel, "ADD", config());
    const gc = (attachments: object[]) => run(kernel, "GC", { ...config(), "cni.dev/valid-attachments": attachments });
    expect(gc([{ containerID: "c1", ifname: "eth0" }]).exitCode).to.equal(0);
    expect(ports(kernel)).to.have.length(1);
    expect(gc([{ containerID: "c1", ifname: "eth1" }]).exitCode).to.equal(0);
    expect(ports(kernel)).to.equal(undefined);
  });

  it("refuses a port that another container has, with its name", () => {
    const kernel = machine();
    run(kernel, "ADD", config());
    const ips = [{ interface: 2, address: "10.1.0.6/24" }];
    const error = errorOf(run(kernel, "ADD", config({ prevResult: { ...PREVIOUS, ips } }), { CNI_CONTAINERID: "c2" }));
    expect(error.code).to.equal(112);
    expect(error.msg).to.include("host port 8080/tcp").and.include("container c1 (eth0 on network net) holds it");
    expect(ports(kernel)).to.have.length(1);
  });

  it("takes both back ends, mark bits, protocols in upper case and conditions of nftables", () => {
    for (const changes of [
      { backend: "iptables" },
      { backend: "nftables", markMasqBit: 5, masqAll: true },
      { conditionsV4: ["ip", "saddr", "!=", "10.0.0.0/8"], conditionsV6: [] },
    ]) {
      const outcome = run(machine(), "ADD", config(changes, [{ ...HTTP, protocol: "TCP" }]));
      expect(outcome.exitCode, outcome.stdout).to.equal(0);
    }
  });

  for (const [title, stdin, code, words] of [
    ["no previous result", config({ prevResult: undefined }), 7, "must be called as chained plugin"],
    ["a previous result of no form", config({ prevResult: 5 }), 7, "could not parse prevResult"],
    ["a host port of 0", config({}, [{ ...HTTP, hostPort: 0 }]), 7, "hostPort"],
    ["a container port of 70000", config({}, [{ ...HTTP, containerPort: 70000 }]), 7, "containerPort"],
    ["an unknown protocol", config({}, [{ ...HTTP, protocol: "icmp" }]), 7, "icmp"],
    ["a host address that is none", config({}, [{ ...HTTP, hostIP: "host" }]), 7, "hostIP"],
    ["one port twice", config({}, [HTTP, { ...HTTP, containerPort: 81 }]), 7, "host port 8080/tcp"],
    ["a mark bit of 32", config({ markMasqBit: 32 }), 7, "markMasqBit"],
    ["another back end", config({ backend: "pf" }), 7, "backend"],
    [
      "a chain of iptables",
      config({ externalSetMarkChain: "KUBE-MARK-MASQ" }),
      2,
      'externalSetMarkChain "KUBE-MARK-MASQ"',
    ],
    ["options of iptables", config({ conditionsV4: ["-s", "10.0.0.0/8"] }), 2, 'conditionsV4 ["-s","10.0.0.0/8"]'],
    ["a negation of iptables", config({ conditionsV6: ["!", "-s", "fd00::/8"] }), 2, "conditionsV6"],
    [
      "a second command",
      config({ conditionsV4: ["ip", "saddr", "10.0.0.0/8;", "flush", "ruleset"] }),
      7,
      "conditionsV4[2]",
    ],
    ["a line end", config({ conditionsV4: ["ip\nflush"] }), 7, "conditionsV4[0]"],
  ] as const) {
    it(`refuses ${title}, and changes nothing`, () => {
      const kernel = machine();
      const error = errorOf(run(kernel, "ADD", stdin));
      expect(error.code, error.msg).to.equal(code);
      expect(error.msg).to.include(words);
      expect(kernel.nftables.table("ip", "dcos_host_ports")).to.equal(undefined);
      expect(kernel.sysctl("net/ipv4/conf/cni0/route_localnet")).to.equal("0");
    });
  }
});
