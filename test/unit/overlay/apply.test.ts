import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openFake } from "../../../kernel/fake.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { NetError } from "../../../lib/error.ts";
import { overlayKeeper } from "../../../overlay/apply.ts";
import { newOverlayMetrics } from "../../../overlay/metric.ts";
import { isEmpty } from "../../../overlay/plan.ts";
import { overlaySuite, testCluster } from "../../support/overlay-suite.ts";

describe("the overlay's keeper on a kernel in memory", () => {
  overlaySuite(() => ({ kernel: openFake(), close: () => {} }));
});

describe("the overlay's keeper when the kernel refuses", () => {
  let folder = "";

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "overlay-refusals-"));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function setUp() {
    const kernel = openFake();
    const metrics = newOverlayMetrics();
    const dir = join(folder, "net.d");
    const keeper = overlayKeeper({ kernel, files: linuxFiles, metrics, cni: { dir, dataDir: undefined } });
    return { kernel, metrics, keeper, dir };
  }

  const points = [
    "link.add",
    "address.replace",
    "address.add",
    "rule.add",
    "neighbor.replace",
    "fdb.replace",
    "route.replace",
    "sysctl",
    "nftables",
  ] as const;
  for (const point of points) {
    it(`does the rest, throws, and makes up for a refused ${point} in the next pass`, () => {
      const { kernel, metrics, keeper } = setUp();
      const cluster = testCluster(3);
      if (point === "address.replace") keeper.reconcile(cluster, "n1");
      if (point === "address.replace") kernel.apply([{ do: "link.set", dev: "vtep1024", set: { up: false } }]);
      kernel.failNext("ENOBUFS", point);
      let refusal: unknown;
      try {
        keeper.reconcile(cluster, "n1");
      } catch (error) {
        refusal = error;
      }
      expect(refusal).to.be.instanceOf(NetError);
      expect(metrics.failedPasses).to.equal(1);
      expect(metrics.refusals).to.be.at.least(1);
      expect(kernel.link("vtep1024") !== undefined || point === "link.add").to.equal(true);
      keeper.reconcile(cluster, "n1");
      expect(isEmpty(keeper.reconcile(cluster, "n1").plan)).to.equal(true);
    });
  }

  it("writes no CNI configuration before this node's own part stands", () => {
    const { kernel, keeper, dir } = setUp();
    kernel.failNext("ENOBUFS", "address.add");
    expect(() => keeper.reconcile(testCluster(3), "n1")).to.throw(NetError, "ENOBUFS");
    expect(existsSync(dir)).to.equal(false);
    keeper.reconcile(testCluster(3), "n1");
    expect(existsSync(join(dir, "dcos.conf"))).to.equal(true);
  });

  it("writes it when only the way to another node is refused", () => {
    const { kernel, keeper, dir } = setUp();
    kernel.failNext("ENOBUFS", "route.replace");
    expect(() => keeper.reconcile(testCluster(3), "n1")).to.throw(NetError, "ENOBUFS");
    expect(existsSync(join(dir, "dcos.conf"))).to.equal(true);
  });

  it("takes nothing away for a cluster that may be known in part only, and makes up for it afterwards", () => {
    const { keeper, dir } = setUp();
    keeper.reconcile(testCluster(3), "n1");
    const part = { ...testCluster(2), overlays: [] };
    const kept = keeper.reconcile(part, "n1", false);
    expect(isEmpty(kept.plan)).to.equal(true);
    expect(kept.filesRemoved).to.deep.equal([]);
    expect(existsSync(join(dir, "dcos.conf"))).to.equal(true);
    const whole = keeper.reconcile(part, "n1");
    expect(whole.plan.links.map((operation) => operation.do)).to.include("link.delete");
    expect(existsSync(join(dir, "dcos.conf"))).to.equal(false);
  });

  it("counts a removal as done when the object is gone already", () => {
    const { kernel, metrics, keeper } = setUp();
    keeper.reconcile(testCluster(3), "n1");
    kernel.failNext("ESRCH", "route.delete");
    keeper.reconcile(testCluster(2), "n1");
    expect(metrics.refusals).to.equal(0);
  });
});
