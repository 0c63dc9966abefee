import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openLinux } from "../../kernel/linux.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { systemClock } from "../../lib/clock.ts";
import { Namespaces } from "../support/namespaces.ts";
import { needsRoot } from "../support/needs-root.ts";
import { keepsThrough } from "../support/vip-refusals.ts";

describe("the keeper of virtual IPs, when calls to this machine's kernel fail", function () {
  this.timeout(120_000);
  before(needsRoot);

  it("ends with what is wanted, on nftables", () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-refusals-"));
    const machine = openLinux();
    let count = 0;
    const open = () => {
      const namespaces = new Namespaces(machine, folder);
      const { kernel } = namespaces.open(String(count++));
      kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
      return { kernel, close: () => namespaces.close() };
    };
    try {
      const went = keepsThrough(open, (kernel) => openNftablesDataplane(kernel, systemClock), 40);
      expect(went.failures).to.be.greaterThan(40);
      expect(went.refusals).to.be.greaterThan(5);
      expect(went.failedPasses).to.be.greaterThan(5);
    } finally {
      machine.close();
      rmSync(folder, { recursive: true });
    }
  });
});
