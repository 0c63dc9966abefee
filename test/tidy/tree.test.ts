import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { RULES } from "./rules.ts";
import type { SourceFile } from "./source.ts";

const ROOT = join(import.meta.dir, "../..");

/** Every text file of the tree that git knows or would know. */
function textFiles(): SourceFile[] {
  const { stdout, exitCode, stderr } = Bun.spawnSync(["git", "ls-files", "-z", "-co", "--exclude-standard"], {
    cwd: ROOT,
  });
  if (exitCode !== 0) throw new Error(`git ls-files: ${stderr.toString()}`);
  const paths = stdout
    .toString()
    .split("\0")
    .filter((path) => path !== "" && Bun.file(join(ROOT, path)).size > 0);
  return paths
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }))
    .filter(({ text }) => !text.includes("\0"));
}

describe("the tree", () => {
  const files = textFiles();
  for (const { name, check } of RULES) {
    it(`keeps the rule: ${name}`, () => {
      expect(check(files)).to.deep.equal([]);
    });
  }
});
