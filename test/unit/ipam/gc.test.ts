import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { allocate } from "../../../ipam/allocate.ts";
import { collectGarbage } from "../../../ipam/gc.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { formatIp } from "../../../lib/address.ts";
import { makeScratch, rangeSets, type Scratch } from "../../support/ipam-scratch.ts";

const sets = rangeSets(["10.0.0.0/24"], ["fd01::/64"]);

describe("ipam/gc", () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = makeScratch();
  });
  afterEach(() => scratch.remove());

  it("releases exactly the leases of attachments that are not listed, all their addresses", () => {
    for (const [id, ifname] of [
      ["a", "eth0"],
      ["a", "eth1"],
      ["b", "eth0"],
    ] as const) {
      allocate(scratch.store(), sets, { id, ifname });
    }
    const { released, failures } = collectGarbage(scratch.store(), [{ id: "a", ifname: "eth1" }]);
    expect(released.map(formatIp).sort()).to.deep.equal(["10.0.0.2", "10.0.0.4", "fd01::2", "fd01::4"]);
    expect(failures).to.deep.equal([]);
    expect(scratch.leases()).to.deep.equal({ "10.0.0.3": "a\r\neth1", "fd01::3": "a\r\neth1" });
    expect(readFileSync(join(scratch.path, "last_reserved_ip.0"), "utf8")).to.equal("10.0.0.4");
  });

  it("keeps a lease of the old format as long as its container has any valid attachment", () => {
    mkdirSync(scratch.path);
    writeFileSync(join(scratch.path, "10.0.0.2"), "a");
    writeFileSync(join(scratch.path, "10.0.0.3"), "b");
    writeFileSync(join(scratch.path, "10.0.0.4"), "");
    collectGarbage(scratch.store(), [{ id: "a", ifname: "eth7" }]);
    expect(scratch.leases()).to.deep.equal({ "10.0.0.2": "a" });
  });

  it("releases everything for an empty list, and does nothing in a network never used", () => {
    expect(collectGarbage(scratch.store(), [])).to.deep.equal({ released: [], failures: [] });
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    expect(collectGarbage(scratch.store(), []).released).to.have.length(2);
    expect(scratch.leases()).to.deep.equal({});
  });

  it("goes on after a lease that can't be removed and reports it", () => {
    for (const id of ["a", "b", "c"]) allocate(scratch.store(), sets, { id, ifname: "eth0" });
    const broken = new Error("input/output error");
    const files = {
      ...linuxFiles,
      remove: (path: string) => {
        if (path.endsWith("/10.0.0.3")) throw broken;
        return linuxFiles.remove(path);
      },
    };
    const { released, failures } = collectGarbage(scratch.store({ files }), []);
    expect(released).to.have.length(5);
    expect(failures).to.deep.equal([broken]);
    expect(scratch.leases()).to.deep.equal({ "10.0.0.3": "b\r\neth0" });
    expect(collectGarbage(scratch.store(), []).released.map(formatIp)).to.deep.equal(["10.0.0.3"]);
  });
});
