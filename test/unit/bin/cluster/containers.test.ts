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
    for (const network of ["dcos", "dcos.docker", "dcos.docker6"]) mkdirSync(join(folder, network));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const lease = (address: string, id: string, network = "dcos") =>
    writeFileSync(join(folder, network, address), encodeLease({ id, ifname: "eth0" }));

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

  it("counts Docker's containers too, with one family or with both", () => {
    const counter = new ContainerCounter(linuxFiles, folder);
    lease("9.0.0.2", "a");
    lease("9.0.0.130", "docker-1", "dcos.docker");
    lease("9.0.0.131", "docker-2", "dcos.docker");
    lease("fd01:b::8000:0:2", "docker-3", "dcos.docker6");
    expect(counter.count("dcos")).to.equal(3);
  });

  it("finds none in an overlay that never had any", () => {
    expect(new ContainerCounter(linuxFiles, folder).count("other")).to.equal(0);
  });
});
