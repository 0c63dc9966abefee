import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ownId } from "../../../../bin/cluster/identity.ts";
import { linuxFiles } from "../../../../kernel/file.ts";

describe("the id of a node", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-id-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const id = (name: string) => ownId(linuxFiles, folder, name, (count) => new Uint8Array(count).fill(0xab));

  it("begins with the host's name, made fit for an id, and stays when the name changes", () => {
    expect(id("-web 01.example")).to.equal("web-01.example-abababababab");
    expect(readFileSync(join(folder, "node-id"), "utf8")).to.equal("web-01.example-abababababab\n");
    expect(id("other")).to.equal("web-01.example-abababababab");
  });

  for (const [name, wanted] of [
    ["", "node-abababababab"],
    ["äöü", "node-abababababab"],
    ["x".repeat(300), `${"x".repeat(60)}-abababababab`],
  ] as const) {
    it(`can be made from the name ${JSON.stringify(name.slice(0, 10))}`, () => {
      expect(id(name)).to.equal(wanted);
    });
  }
});
