import { expect } from "chai";
import type { PluginName } from "../../cni/names.ts";
import { pluginFor } from "../../cni/plugins.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type CallInput, callPlugin, errorOf } from "../support/cni-host.ts";
import { needsRoot } from "../support/needs-root.ts";
import { askTcp, askUdp, type FirewallNetwork, openFirewallNetwork, ruleset, serve } from "./firewall-network.ts";

/** The plugins that map ports, called in this process, on a host of its own with bridge `br0` (see
 *  firewall-network.ts). */
describe("the port plugins on this machine's kernel", function () {
  this.timeout(30_000);
  let net: FirewallNetwork;
  let undo: (() => void)[] = [];

  before(needsRoot);
  beforeEach(() => {
    net = openFirewallNetwork();
    undo = [() => net.close()];
  });
  afterEach(() => {
    for (const step of undo.reverse()) step();
  });

  function container(name: string): { readonly kernel: Kernel; readonly path: string } {
    const path = `${net.folder}/${name}`;
    net.host.createNetns(path);
    undo.push(() => net.host.deleteNetns(path));
    const netns = net.host.openNetns(path);
    if (netns === undefined) throw new Error(`no namespace at ${path}`);
    const kernel = net.host.within(netns);
    kernel.setSysctl("net/ipv6/conf/default/accept_dad", "0");
    undo.push(() => {
      kernel.close();
      netns.close();
    });
    return { kernel, path };
  }

  function call(plugin: PluginName, verb: string, stdin: object, env: CallInput["env"] = {}) {
    const files = { ...net.files, append: () => undefined };
    return callPlugin(pluginFor(plugin), { kernel: net.host, files, stdin, env: { CNI_COMMAND: verb, ...env } });
  }

  /** What Mesos puts on standard input. */
  const mesos = (hostPort: number) => ({
    name: "dcos",
    type: "mesos-cni-port-mapper",
    chain: "M-DCOS",
    excludeDevices: ["br0"],
    delegate: {
      type: "bridge",
      bridge: "br0",
      isGateway: true,
      hairpinMode: true,
      ipam: {
        type: "host-local",
        dataDir: `${net.folder}/leases`,
        ranges: [
          [{ subnet: "10.77.0.0/24", rangeStart: "10.77.0.50" }],
          [{ subnet: "fd77::/64", rangeStart: "fd77::50" }],
        ],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      },
      cniVersion: "0.3.1",
    },
    args: {
      "org.apache.mesos": {
        network_info: {
          name: "dcos",
          port_mappings: ["tcp", "udp"].map((protocol) => ({ host_port: hostPort, container_port: 80, protocol })),
        },
      },
    },
  });

  it("connect a Mesos task, lead its host ports to it, and free everything without a namespace", async () => {
    const links = net.host.links().length;
    const task = container("task");
    const outcome = call("mesos-cni-port-mapper", "ADD", mesos(31300), { CNI_NETNS: task.path });
    expect(outcome.exitCode, outcome.stdout).to.equal(0);
    const result = JSON.parse(outcome.stdout);
    expect([result.ip4.ip, result.ip6.ip]).to.deep.equal(["10.77.0.50/24", "fd77::50/64"]);
    const server = await serve(task.kernel, "task", 80);
    undo.push(() => server.close());
    expect(await askTcp(net.outside, "192.0.2.1", 31300)).to.equal("task sees 192.0.2.2");
    expect(await askUdp(net.outside, "2001:db8::1", 31300)).to.equal("task sees 2001:db8::2");
    expect(await askTcp(net.host, "127.0.0.1", 31300)).to.equal("task sees 10.77.0.1");
    expect(await askTcp(task.kernel, "192.0.2.1", 31300), "itself, though br0 is excluded").to.equal(
      "task sees 10.77.0.1",
    );
    expect(await askTcp(net.job, "192.0.2.1", 31300), "a neighbour on br0").to.equal("no answer");
    for (let times = 0; times < 2; times++) {
      const deleted = call("mesos-cni-port-mapper", "DEL", mesos(31300), { CNI_NETNS: undefined });
      expect(deleted.exitCode, deleted.stdout).to.equal(0);
    }
    expect(ruleset(net.host)).to.equal("");
    expect(net.host.links()).to.have.length(links);
    expect(leases()).to.deep.equal([]);
  });

  it("take back everything when the port is another task's", () => {
    call("mesos-cni-port-mapper", "ADD", mesos(31300), { CNI_NETNS: container("task").path });
    const before = [ruleset(net.host), net.host.links().length, leases().length];
    const refused = call("mesos-cni-port-mapper", "ADD", mesos(31300), {
      CNI_NETNS: container("late").path,
      CNI_CONTAINERID: "late",
    });
    expect(errorOf(refused).code).to.equal(103);
    expect(errorOf(refused).msg).to.include("container c1 (eth0 on network dcos) holds it");
    expect([ruleset(net.host), net.host.links().length, leases().length]).to.deep.equal(before);
  });

  it("serve as portmap behind a bridge plugin", async () => {
    const server = await serve(net.web, "web", 80);
    undo.push(() => server.close());
    const config = {
      cniVersion: "1.0.0",
      name: "podman",
      type: "portmap",
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" }] },
      prevResult: {
        cniVersion: "1.0.0",
        interfaces: [{ name: "br0" }, { name: "eth0", sandbox: `${net.folder}/web` }],
        ips: [
          { interface: 1, address: "10.77.0.5/24" },
          { interface: 1, address: "fd77::5/64" },
        ],
      },
    };
    const env = { CNI_NETNS: `${net.folder}/web` };
    const outcome = call("portmap", "ADD", config, env);
    expect(outcome.exitCode, outcome.stdout).to.equal(0);
    expect(JSON.parse(outcome.stdout)).to.deep.equal(config.prevResult);
    expect(await askTcp(net.outside, "192.0.2.1", 8080)).to.equal("web sees 192.0.2.2");
    expect(await askTcp(net.host, "127.0.0.1", 8080)).to.equal("web sees 10.77.0.1");
    expect(await askTcp(net.job, "fd77::1", 8080)).to.equal("web sees fd77::1");
    expect(call("portmap", "CHECK", config, env).exitCode).to.equal(0);
    expect(call("portmap", "DEL", { cniVersion: "1.0.0", name: "podman" }).exitCode).to.equal(0);
    expect(ruleset(net.host)).to.equal("");
  });

  it("refuse conditions that nft doesn't understand, in its own words, and change nothing", () => {
    const config = {
      cniVersion: "1.0.0",
      name: "podman",
      conditionsV4: ["ip", "nonsense", "5"],
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
      prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.77.0.5/24" }] },
    };
    const error = errorOf(call("portmap", "ADD", config, { CNI_NETNS: `${net.folder}/web` }));
    expect(error.code).to.equal(7);
    expect(error.msg).to.include("syntax error");
    expect(ruleset(net.host)).to.equal("");
  });

  /** Names of the leases of network `dcos`. */
  function leases(): string[] {
    return net.files.list(`${net.folder}/leases/dcos`).filter((name) => /^(10\.77|fd77)/.test(name));
  }
});
