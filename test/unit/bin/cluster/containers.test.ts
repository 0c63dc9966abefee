import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ContainerCounter } from "../../../../bin/cluster/containers.ts";
import { encodeLease } from "../../../../ipam/lease.ts";
import { linuxFiles } from "../../../../kernel/file.ts";

describe("the count of containers", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-containers-"));
    mkdirSync(join(folder, "dcos"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const lease = (address: string, id: string) =>
    writeFileSync(join(folder, "dcos", address), encodeLease({ id, ifname: "eth0" }));

  it("counts a container once, whatever addresses it has, and sees containers come and go", () => {
    const counter = new ContainerCounter(linuxFiles, folder);
    expect(counter.count("dcos")).to.equal(0);
    lease("9.0.0.2", "a");
    lease("fd01:b::2", "a");
    lease("9.0.0.3", "b");
    expect(counter.count("dcos")).to.equal(2);
    rmSync(join(folder, "dcos", "9.0.0.3"));
    expect(counter.count("dcos")).to.equal(1);
  });

  it("finds none in an overlay that never had any", () => {
    expect(new ContainerCounter(linuxFiles, folder).count("other")).to.equal(0);
  });
});
