import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { VipKeeper } from "../../l4lb/apply.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { newVipMetrics } from "../../l4lb/metric.ts";
import { serviceName } from "../../l4lb/service.ts";
import { systemClock } from "../../lib/clock.ts";
import { type Failure, failingKernel } from "../support/failing-kernel.ts";
import { Namespaces } from "../support/namespaces.ts";
import { needsRoot } from "../support/needs-root.ts";
import { keepsThrough } from "../support/vip-refusals.ts";
import { service } from "../support/vip-services.ts";

describe("the keeper of virtual IPs, when calls to this machine's kernel fail", function () {
  this.timeout(120_000);
  const folder = mkdtempSync(join(tmpdir(), "dcos-net-refusals-"));
  const machine = openLinux();
  let count = 0;
  before(needsRoot);
  after(() => {
    machine.close();
    rmSync(folder, { recursive: true });
  });

  function open() {
    const namespaces = new Namespaces(machine, folder);
    const { kernel } = namespaces.open(String(count++));
    kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
    return { kernel, close: () => namespaces.close() };
  }
  const planeOf = (kernel: Kernel) => openNftablesDataplane(kernel, systemClock);

  it("ends with what is wanted, on nftables", () => {
    const went = keepsThrough(open, planeOf, 40);
    expect(went.failures).to.be.greaterThan(40);
    expect(went.refusals).to.be.greaterThan(5);
    expect(went.failedPasses).to.be.greaterThan(5);
  });

  it("sees with the next pass what was made though its answer was lost, and the reading after it failed", () => {
    const { kernel, close } = open();
    const failures: Failure[] = [];
    const plane = planeOf(failingKernel(kernel, () => failures.shift()));
    const keeper = new VipKeeper({ dataplane: plane, metrics: newVipMetrics(), monotonic: () => 0 });
    try {
      keeper.reconcile(new Map(), true);
      failures.push({ errno: "ENOBUFS", isDone: true }, { errno: "ENOBUFS", isDone: false });
      const after = service("tcp [fd11::1]:1", []);
      expect(keeper.change([[serviceName(after), { before: undefined, after }]], true)).to.have.length(1);
      expect(planeOf(kernel).read().map(serviceName), "what was made").to.deep.equal([serviceName(after)]);
      keeper.reconcile(new Map(), true);
      expect(planeOf(kernel).read(), "after the pass").to.deep.equal([]);
    } finally {
      plane.close();
      close();
    }
  });
});
