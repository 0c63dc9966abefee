import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { linuxFiles } from "../../../../kernel/file.ts";
import { nodeId } from "../../../../overlay/leader/node-id.ts";
import { refusalOf } from "./fixture.ts";

describe("a node's id", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-node-id-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("is made once and stays", () => {
    const path = join(directory, "deep/node-id");
    const first = nodeId(linuxFiles, path, () => crypto.randomUUID());
    expect(first).to.match(/^[0-9a-f-]{36}$/);
    expect(nodeId(linuxFiles, path, () => crypto.randomUUID())).to.equal(first);
  });

  for (const content of ["", "\n", "a b", "../x", "x".repeat(129)]) {
    it(`is not made anew over a file with ${JSON.stringify(content.slice(0, 10))}`, () => {
      const path = join(directory, "node-id");
      writeFileSync(path, content);
      expect(refusalOf(() => nodeId(linuxFiles, path, () => "new")).code).to.equal("invalid");
    });
  }
});
