import { expect } from "chai";
import { CniError } from "../../../cni/error.ts";
import { portMapperPlugin } from "../../../cni/port-mapper.ts";
import type { Call, Plugin } from "../../../cni/protocol.ts";
import type { Result } from "../../../cni/result.ts";
import { type FakeKernel, openFake } from "../../../kernel/fake.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { callPlugin, cniMachine, errorOf } from "../../support/cni-host.ts";

const LOCK = { makeDirectory: () => undefined, lock: () => ({ release: () => undefined }) };
const RESULT: Result = { interfaces: [], ips: [{ address: parsePrefix("9.0.3.2/25") }], routes: [], dns: {} };
const MAPPINGS = [
  { container_port: 80, host_port: 31300, protocol: "tcp" },
  { container_port: 53, host_port: 31300, protocol: "UDP" },
];
const info = (mappings: readonly object[] = MAPPINGS) => ({
  "org.apache.mesos": { network_info: { name: "dcos-pm", port_mappings: mappings } },
});
const config = (changes: object = {}) => ({
  name: "dcos-pm",
  type: "mesos-cni-port-mapper",
  chain: "M-DCOS-PM",
  excludeDevices: ["m-dcos-pm", "m-other"],
  delegate: { type: "bridge", bridge: "m-dcos-pm", ipam: { type: "host-local", subnet: "9.0.3.0/25" } },
  args: info(),
  ...changes,
});

/** A delegate that notes its calls, and the mapper that uses it. */
function mapper(overrides: Partial<Plugin> = {}, kernel = cniMachine()) {
  const calls: Call[] = [];
  const note = (call: Call) => void calls.push(call);
  const plugin: Plugin = {
    name: "bridge",
    about: "",
    add: (call) => {
      note(call);
      return RESULT;
    },
    del: note,
    check: note,
    gc: note,
    status: note,
    ...overrides,
  };
  const types: string[] = [];
  const outer = portMapperPlugin((type) => {
    types.push(type);
    return plugin;
  });
  const run = (verb: string, stdin: object, env: Record<string, string> = {}) =>
    callPlugin(outer, { kernel, stdin, files: LOCK, env: { CNI_COMMAND: verb, ...env } });
  return { run, calls, types, kernel };
}

/** A delegate that gives this address. */
const giving = (address: string): Partial<Plugin> => ({
  add: () => ({ ...RESULT, ips: [{ address: parsePrefix(address) }] }),
});

const ports = (kernel: FakeKernel) => kernel.nftables.elements("ip", "dcos_host_ports", "ports");

describe("the port mapper of Mesos", () => {
  it("connects by the delegate, maps the ports and answers in the shape that Mesos parses", () => {
    const { run, calls, types, kernel } = mapper();
    const outcome = run("ADD", config());
    expect(JSON.parse(outcome.stdout)).to.deep.equal({ cniVersion: "0.1.0", ip4: { ip: "9.0.3.2/25" }, dns: {} });
    expect(types).to.deep.equal(["bridge"]);
    expect(calls[0]?.config.fields).to.deep.equal({ ...config().delegate, name: "dcos-pm", args: info() });
    expect(JSON.parse(calls[0]?.stdin ?? "")).to.deep.equal(calls[0]?.config.fields);
    expect(ports(kernel)?.map(({ key, data }) => [...key, ...data])).to.deep.equal([
      ["tcp", "31300", "9.0.3.2", "80"],
      ["udp", "31300", "9.0.3.2", "53"],
    ]);
    const table = kernel.nftables.table("ip", "dcos_host_ports");
    expect(table).to.include('iifname "m-other"');
    // Senders from elsewhere are seen by their own addresses.
    expect(table).to.include("ip saddr 9.0.3.0/25 masquerade").and.not.include("hairpin_all");
  });

  it("connects and maps nothing when there are no mappings or no args", () => {
    for (const changes of [{ args: info([]) }, { args: undefined }]) {
      const { run, calls, kernel } = mapper();
      expect(run("ADD", config(changes)).exitCode).to.equal(0);
      expect(calls).to.have.length(1);
      expect(ports(kernel)).to.equal(undefined);
    }
  });

  it("maps IPv6 addresses, and results without any IPv4 address", () => {
    const { run, kernel } = mapper(giving("fd01::5/64"));
    expect(run("ADD", config()).exitCode).to.equal(0);
    expect(kernel.nftables.elements("ip6", "dcos_host_ports", "ports")?.[0]?.data).to.deep.equal(["fd01::5", "80"]);
  });

  it("undoes the delegate when a port is taken, and says by whom", () => {
    const { run, kernel } = mapper();
    run("ADD", config());
    const other = mapper(giving("9.0.3.3/25"), kernel);
    const error = errorOf(other.run("ADD", config(), { CNI_CONTAINERID: "c2" }));
    expect(error.code).to.equal(103);
    expect(error.msg).to.include("container c1 (eth0 on network dcos-pm) holds it");
    expect(
      other.calls.map(({ containerId }) => containerId),
      "its DEL",
    ).to.deep.equal(["c2"]);
    expect(ports(kernel)).to.have.length(2);
  });

  it("deletes without a namespace, without a prior ADD and again", () => {
    const { run, calls, kernel } = mapper();
    run("ADD", config());
    for (let times = 0; times < 2; times++) {
      expect(run("DEL", config(), { CNI_NETNS: "" }).exitCode).to.equal(0);
      expect(kernel.nftables.table("ip", "dcos_host_ports")).to.equal(undefined);
    }
    expect(calls).to.have.length(3);
  });

  it("removes the rules of exactly this container, not of one whose id begins alike", () => {
    const { run, kernel } = mapper();
    run("ADD", config({ args: info([{ host_port: 1, container_port: 1 }]) }), { CNI_CONTAINERID: "id" });
    const nested = mapper(giving("9.0.3.4/25"), kernel);
    const stdin = config({ args: info([{ host_port: 2, container_port: 1 }]) });
    nested.run("ADD", stdin, { CNI_CONTAINERID: "id.child" });
    run("DEL", config(), { CNI_CONTAINERID: "id" });
    expect(ports(kernel)?.map(({ comment }) => comment)).to.deep.equal(["dcos-pm id.child eth0"]);
  });

  it("still runs the delegate's DEL when its own part fails", () => {
    const { run, calls, kernel } = mapper();
    run("ADD", config());
    kernel.failNext("EPERM", "nftables");
    expect(errorOf(run("DEL", config())).code).to.equal(103);
    expect(calls).to.have.length(2);
  });

  it("passes CHECK, GC and STATUS on, with what they need", () => {
    const { run, calls } = mapper();
    const newer = (changes: object) => config({ cniVersion: "1.1.0", ...changes });
    run("ADD", newer({}));
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "9.0.3.2/25" }] };
    const valid = [{ containerID: "c1", ifname: "eth0" }];
    expect(run("CHECK", newer({ prevResult })).exitCode).to.equal(0);
    expect(run("GC", newer({ "cni.dev/valid-attachments": valid })).exitCode).to.equal(0);
    expect(run("STATUS", newer({})).exitCode).to.equal(0);
    expect(calls.map(({ verb }) => verb)).to.deep.equal(["ADD", "CHECK", "GC", "STATUS"]);
    expect(calls[1]?.config.fields["prevResult"]).to.deep.equal(prevResult);
    expect(calls[2]?.config.fields["cni.dev/valid-attachments"]).to.deep.equal(valid);
    expect(errorOf(run("CHECK", newer({ prevResult: { ips: [{ address: "9.0.3.9/25" }] } }))).code).to.equal(114);
  });

  it("gives the delegate's own failure code 102 and its words", () => {
    const failing = mapper({
      add: () => {
        throw new CniError(111, "the pool is empty", "add a range");
      },
    });
    const error = errorOf(failing.run("ADD", config()));
    expect([error.code, error.msg, error.details]).to.deep.equal([102, "the pool is empty", "add a range"]);
  });

  it("looks for a delegate that can't run here in CNI_PATH", () => {
    const outer = portMapperPlugin(() => undefined);
    const stdin = config({ delegate: { type: "weave" } });
    const error = errorOf(callPlugin(outer, { kernel: openFake(), stdin, files: { ...LOCK, stat: () => undefined } }));
    expect(error.code).to.equal(102);
    expect(error.msg).to.include('failed to find plugin "weave" in path [/opt/cni/bin]');
  });

  for (const [title, changes, words] of [
    ["no chain", { chain: undefined }, "chain"],
    ["no delegate", { delegate: undefined }, "delegate"],
    ["a delegate without type", { delegate: {} }, "delegate.type"],
    ["devices that are no list", { excludeDevices: "m-dcos" }, "excludeDevices"],
    ["a device with a quote", { excludeDevices: ['a"b'] }, "excludeDevices[0]"],
    ["a device with a slash", { excludeDevices: ["a/b"] }, "interface name"],
    ["args of another kind", { args: { cni: {} } }, "org.apache.mesos.network_info"],
    ["a port of 0", { args: info([{ host_port: 0, container_port: 1 }]) }, "host_port"],
  ] as const) {
    it(`refuses ${title} with code 101 before the delegate is called`, () => {
      const { run, calls } = mapper();
      const error = errorOf(run("ADD", config(changes)));
      expect(error.code, error.msg).to.equal(101);
      expect(`${error.msg}; ${error.details}`).to.include(words);
      expect(calls).to.deep.equal([]);
    });
  }
});
