import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { allocate } from "../../../ipam/allocate.ts";
import { networks, usage } from "../../../ipam/usage.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { makeScratch, rangeSets, type Scratch } from "../../support/ipam-scratch.ts";

const sets = rangeSets(["10.0.0.0/24"], ["10.1.0.0/31"]);

describe("ipam/usage", () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = makeScratch();
  });
  afterEach(() => scratch.remove());

  it("counts used, orphaned and free addresses of each range set, and names the largest holders", () => {
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    allocate(scratch.store(), rangeSets(["10.0.0.0/24"]), { id: "b", ifname: "eth0" });
    writeFileSync(join(scratch.path, "10.0.0.9"), "");
    writeFileSync(join(scratch.path, "192.0.2.1"), "elsewhere\r\neth0");
    expect(usage(scratch.store(), sets)).to.deep.equal({
      network: "net",
      used: 4,
      orphaned: 1,
      holders: [
        { id: "a", addresses: 2 },
        { id: "b", addresses: 1 },
        { id: "elsewhere", addresses: 1 },
      ],
      sets: [
        {
          ranges: "10.0.0.1-10.0.0.254",
          size: 253n,
          used: 2,
          orphaned: 1,
          free: 250n,
          holders: [
            { id: "a", addresses: 1 },
            { id: "b", addresses: 1 },
          ],
        },
        {
          ranges: "10.1.0.0-10.1.0.1",
          size: 2n,
          used: 1,
          orphaned: 0,
          free: 1n,
          holders: [{ id: "a", addresses: 1 }],
        },
      ],
    });
  });

  it("counts leases of an earlier boot as orphaned, and removes none", () => {
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    const before = scratch.leases();
    const { used, orphaned } = usage(scratch.store({ bootId: "boot-2" }));
    expect({ used, orphaned }).to.deep.equal({ used: 0, orphaned: 2 });
    expect(scratch.leases()).to.deep.equal(before);
  });

  it("changes nothing on disk, not even for a network that was never used", () => {
    expect(usage(scratch.store(), sets).sets.map(({ free }) => free)).to.deep.equal([253n, 2n]);
    expect(readdirSync(scratch.dataDir)).to.deep.equal([]);
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    const time = () => statSync(scratch.path, { bigint: true }).mtimeNs;
    const before = time();
    usage(scratch.store(), sets);
    expect(time()).to.equal(before);
  });

  it("leaves a gateway that somebody leased out of the count, as it is out of the size", () => {
    mkdirSync(scratch.path);
    for (const address of ["10.2.0.1", "10.2.0.2"]) writeFileSync(join(scratch.path, address), `${address}\r\neth0`);
    const [only] = usage(scratch.store(), rangeSets(["10.2.0.0/30"])).sets;
    expect(only?.free).to.equal(0n);
  });

  it("lists the networks that are there, without the index's own directory or stray files", () => {
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    mkdirSync(join(scratch.dataDir, "another"));
    writeFileSync(join(scratch.dataDir, "stray"), "");
    expect(networks(linuxFiles, scratch.dataDir)).to.deep.equal(["another", "net"]);
    expect(networks(linuxFiles, join(scratch.dataDir, "missing"))).to.deep.equal([]);
  });
});
