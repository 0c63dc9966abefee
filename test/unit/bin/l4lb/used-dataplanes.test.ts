import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { UsedDataplanes } from "../../../../bin/l4lb/used-dataplanes.ts";
import { linuxFiles } from "../../../../kernel/file.ts";

describe("the data planes that a node has used", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-used-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("are remembered until they are removed", () => {
    const used = new UsedDataplanes(linuxFiles, directory);
    expect(used.others(undefined)).to.deep.equal([]);
    used.add("nftables");
    used.add("socket");
    const later = new UsedDataplanes(linuxFiles, directory);
    expect([later.others("socket"), later.others(undefined)]).to.deep.equal([["nftables"], ["nftables", "socket"]]);
    later.delete("nftables");
    expect(new UsedDataplanes(linuxFiles, directory).others(undefined)).to.deep.equal(["socket"]);
    expect(readFileSync(join(directory, "l4lb-dataplanes"), "utf8")).to.equal("socket\n");
  });

  it("are only those that there are", () => {
    writeFileSync(join(directory, "l4lb-dataplanes"), "carrier-pigeon\nipvs\n");
    expect(new UsedDataplanes(linuxFiles, directory).others(undefined)).to.deep.equal(["ipvs"]);
  });
});
