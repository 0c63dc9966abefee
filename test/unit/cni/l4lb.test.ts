import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { l4lbPlugin } from "../../../cni/l4lb.ts";
import type { Plugin } from "../../../cni/protocol.ts";
import type { FakeKernel } from "../../../kernel/fake.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { callPlugin, cniMachine, errorOf, NETNS, recordingPlugin } from "../../support/cni-host.ts";

const PREVIOUS = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.5/16" }] };

describe("the l4lb plugin", () => {
  let directory = "";
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), "dcos-net-l4lb-")), "l4lb");
  });
  afterEach(() => rmSync(join(directory, ".."), { recursive: true }));

  const chained = (changes: object = {}) => ({
    name: "net",
    cniVersion: "1.0.0",
    type: "dcos-l4lb",
    minuteman: { path: directory },
    prevResult: PREVIOUS,
    ...changes,
  });

  function run(kernel: FakeKernel, verb: string, stdin: object, delegate?: Plugin, env = {}) {
    const plugin = l4lbPlugin((type) => (type === "recorder" ? delegate : undefined));
    return callPlugin(plugin, { kernel, stdin, files: linuxFiles, env: { CNI_COMMAND: verb, ...env } });
  }

  function container(kernel: FakeKernel): FakeKernel {
    const netns = kernel.openNetns(NETNS);
    if (netns === undefined) throw new Error("the machine has no container");
    return kernel.within(netns);
  }

  it("makes the device and the loopback ready, then names the namespace to the agent", () => {
    const kernel = cniMachine();
    for (let times = 0; times < 2; times++) {
      const outcome = run(kernel, "ADD", chained());
      expect(JSON.parse(outcome.stdout)).to.deep.equal(PREVIOUS);
    }
    expect(container(kernel).link("minuteman")).to.include({ up: true, kind: "dummy" });
    expect(container(kernel).link("lo")?.up).to.equal(true);
    expect(readFileSync(join(directory, "c1"), "utf8")).to.equal(NETNS);
    expect(readdirSync(directory)).to.deep.equal(["c1"]);
    expect(run(kernel, "CHECK", chained())).to.include({ exitCode: 0 });
  });

  it("DEL takes both away, any number of times, without a namespace too", () => {
    const kernel = cniMachine();
    run(kernel, "ADD", chained());
    for (let times = 0; times < 2; times++) {
      expect(run(kernel, "DEL", chained())).to.include({ exitCode: 0, stdout: "" });
      expect(container(kernel).link("minuteman")).to.equal(undefined);
      expect(existsSync(join(directory, "c1"))).to.equal(false);
    }
    expect(run(kernel, "DEL", chained(), undefined, { CNI_NETNS: "" })).to.include({ exitCode: 0 });
    expect(run(kernel, "DEL", chained({ spartan: true }))).to.include({ exitCode: 0 });
  });

  it("a delegate connects the container, with DC/OS' shape of the configuration", () => {
    const kernel = cniMachine();
    const { plugin, reached } = recordingPlugin();
    const stdin = {
      name: "net",
      cniVersion: "0.3.1",
      spartan: false,
      minuteman: { enable: true, path: directory },
      delegate: { type: "recorder" },
    };
    for (const verb of ["ADD", "DEL"]) expect(run(kernel, verb, stdin, plugin), verb).to.include({ exitCode: 0 });
    expect(reached).to.deep.equal(["ADD", "DEL"]);
    expect(existsSync(join(directory, "c1"))).to.equal(false);
  });

  it("a failed ADD takes back the delegate's and leaves nothing", () => {
    const kernel = cniMachine();
    const { plugin, reached } = recordingPlugin();
    for (const errno of ["EPERM", "EPERM"]) kernel.failNext(errno, "link.add");
    const stdin = { ...chained({ prevResult: undefined }), delegate: { type: "recorder" } };
    expect(errorOf(run(kernel, "ADD", stdin, plugin)).code).to.equal(116);
    expect(reached).to.deep.equal(["ADD", "DEL"]);
    expect(existsSync(join(directory, "c1"))).to.equal(false);
    expect(container(kernel).link("minuteman")).to.equal(undefined);
  });

  it("switched off it only passes on", () => {
    const kernel = cniMachine();
    const outcome = run(kernel, "ADD", chained({ minuteman: { enable: false, path: directory } }));
    expect(JSON.parse(outcome.stdout)).to.deep.equal(PREVIOUS);
    expect(existsSync(directory)).to.equal(false);
    expect(container(kernel).link("minuteman")).to.equal(undefined);
  });

  it("CHECK sees a registration or a device that is gone", () => {
    for (const harm of [
      () => rmSync(join(directory, "c1")),
      () => writeFileSync(join(directory, "c1"), "/run/netns/other"),
      (kernel: FakeKernel) => container(kernel).apply([{ do: "link.delete", dev: "minuteman" }]),
    ]) {
      const kernel = cniMachine();
      run(kernel, "ADD", chained());
      harm(kernel);
      expect(errorOf(run(kernel, "CHECK", chained())).code).to.equal(114);
    }
  });

  it("GC removes what names no namespace any more", () => {
    const kernel = cniMachine();
    run(kernel, "ADD", chained());
    writeFileSync(join(directory, "gone"), "/run/netns/gone");
    writeFileSync(join(directory, "empty"), "");
    const stdin = { ...chained({ cniVersion: "1.1.0", prevResult: undefined }), "cni.dev/valid-attachments": [] };
    expect(run(kernel, "GC", stdin)).to.include({ exitCode: 0 });
    expect(readdirSync(directory)).to.deep.equal(["c1"]);
  });

  it("refuses what it can't do and what makes no sense, before anything happens", () => {
    const wrong: readonly [object, number][] = [
      [chained({ spartan: true }), 2],
      [chained({ prevResult: undefined }), 7],
      [chained({ minuteman: { path: "relative" } }), 7],
      [chained({ minuteman: { enable: "yes" } }), 7],
    ];
    for (const [stdin, code] of wrong) {
      const kernel = cniMachine();
      expect(errorOf(run(kernel, "ADD", stdin)).code, JSON.stringify(stdin)).to.equal(code);
      expect(container(kernel).link("minuteman")).to.equal(undefined);
      expect(existsSync(directory)).to.equal(false);
    }
  });
});
