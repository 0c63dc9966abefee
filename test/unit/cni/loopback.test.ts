import { expect } from "chai";
import { loopback } from "../../../cni/loopback.ts";
import type { FakeKernel } from "../../../kernel/fake.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { type CallInput, callPlugin, cniMachine, errorOf, NETNS } from "../../support/cni-host.ts";

const CONFIG = { name: "lo", type: "loopback", cniVersion: "1.0.0" };
const run = (kernel: FakeKernel, verb: string, input: CallInput = {}) =>
  callPlugin(loopback, { kernel, stdin: CONFIG, ...input, env: { CNI_COMMAND: verb, CNI_IFNAME: "lo", ...input.env } });

function container(kernel: FakeKernel): FakeKernel {
  const netns = kernel.openNetns(NETNS);
  if (netns === undefined) throw new Error("the fake has no container");
  return kernel.within(netns);
}

describe("the loopback plugin", () => {
  it("brings lo up, once and again, and reports its addresses", () => {
    const kernel = cniMachine();
    for (let times = 0; times < 2; times++) {
      const outcome = run(kernel, "ADD");
      expect(JSON.parse(outcome.stdout)).to.deep.equal({
        cniVersion: "1.0.0",
        interfaces: [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: NETNS }],
        ips: [
          { interface: 0, address: "127.0.0.1/8" },
          { interface: 0, address: "::1/128" },
        ],
      });
      expect(container(kernel).link("lo")?.up).to.equal(true);
    }
    expect(kernel.link("lo")?.up).to.equal(false);
  });

  it("answers Mesos in the shape that it parses", () => {
    const outcome = run(cniMachine(), "ADD", { stdin: { name: "lo" } });
    expect(JSON.parse(outcome.stdout)).to.deep.equal({
      cniVersion: "0.1.0",
      ip4: { ip: "127.0.0.1/8" },
      ip6: { ip: "::1/128" },
      dns: {},
    });
  });

  it("does not report addresses of others on lo", () => {
    const kernel = cniMachine();
    container(kernel).apply([{ do: "address.add", address: { dev: "lo", address: parsePrefix("10.9.9.9/32") } }]);
    expect(JSON.parse(run(kernel, "ADD").stdout).ips).to.have.length(2);
  });

  it("passes the previous result on in a chain", () => {
    const kernel = cniMachine();
    const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.5/16" }] };
    expect(JSON.parse(run(kernel, "ADD", { stdin: { ...CONFIG, prevResult } }).stdout)).to.deep.equal(prevResult);
    expect(container(kernel).link("lo")?.up).to.equal(true);
  });

  it("touches nothing when the previous result is bad or has no form in the configuration's version", () => {
    for (const stdin of [
      { ...CONFIG, prevResult: 5 },
      { name: "n", cniVersion: "0.2.0", prevResult: {} },
    ]) {
      const kernel = cniMachine();
      expect(errorOf(run(kernel, "ADD", { stdin })).code).to.equal(7);
      expect(container(kernel).link("lo")?.up).to.equal(false);
    }
  });

  it("sets lo down again on DEL, any number of times", () => {
    const kernel = cniMachine();
    run(kernel, "ADD");
    for (let times = 0; times < 2; times++) {
      expect(run(kernel, "DEL")).to.include({ exitCode: 0, stdout: "" });
      expect(container(kernel).link("lo")?.up).to.equal(false);
    }
  });

  it("succeeds on DEL without a namespace and with one that is gone", () => {
    for (const path of ["", "/run/netns/gone"]) {
      expect(run(cniMachine(), "DEL", { env: { CNI_NETNS: path } })).to.include({ exitCode: 0, stdout: "" });
    }
  });

  it("fails ADD and CHECK with code 8 when CNI_NETNS is no namespace", () => {
    for (const verb of ["ADD", "CHECK"]) {
      const error = errorOf(run(cniMachine(), verb, { env: { CNI_NETNS: "/run/netns/gone" } }));
      expect(error).to.include({ code: 8, msg: 'CNI_NETNS "/run/netns/gone" is not a network namespace' });
    }
  });

  it("checks that lo is up", () => {
    const kernel = cniMachine();
    expect(errorOf(run(kernel, "CHECK"))).to.include({ code: 114, msg: "loopback interface is down" });
    run(kernel, "ADD");
    expect(run(kernel, "CHECK")).to.include({ exitCode: 0, stdout: "" });
  });

  it("reports what the kernel refuses", () => {
    const kernel = cniMachine();
    kernel.failNext("EPERM", "link.set");
    expect(errorOf(run(kernel, "ADD")).msg).to.contain("EPERM");
  });
});
