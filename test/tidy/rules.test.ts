import { expect } from "chai";
import { RULES } from "./rules.ts";
import { importsOf, type SourceFile, withoutComments } from "./source.ts";

/** A tree in memory: path to text. */
type Tree = Readonly<Record<string, string>>;

interface Case {
  readonly rule: string;
  /** Breaks the rule once. */
  readonly bad: Tree;
  /** Nearly the same, and keeps it. */
  readonly good: Tree;
}

const use = (specifier: string): string => `import { x } from "${specifier}";\n`;
const useType = (specifier: string): string => `import type { X } from "${specifier}";\n`;
const lines = (count: number): string => "x\n".repeat(count);

const CASES: readonly Case[] = [
  {
    rule: "rooms import only the rooms they may",
    bad: { "lib/a.ts": use("../kernel/b.ts") },
    good: { "kernel/b.ts": use("../lib/a.ts") },
  },
  {
    rule: "rooms import only the rooms they may",
    bad: { "overlay/plan.ts": use("../kernel/kernel.ts") },
    good: { "overlay/plan.ts": useType("../kernel/kernel.ts"), "overlay/apply.ts": use("../kernel/linux.ts") },
  },
  {
    rule: "rooms import only the rooms they may",
    bad: { "cni/bridge.ts": use("../test/support/x.ts") },
    good: { "test/support/x.ts": use("../../cni/bridge.ts") },
  },
  {
    rule: "rooms import only the rooms they may",
    bad: { "ipam/a.ts": use("../bin/config.ts") },
    good: { "bin/config.ts": use("../ipam/a.ts") },
  },
  {
    rule: "outside bin, shipped files import only the node and npm modules that they are named for",
    bad: { "overlay/apply.ts": use("node:fs") },
    good: { "bin/agent.ts": use("node:fs"), "test/unit/a.ts": use("chai") },
  },
  {
    rule: "the way into a plugin loads no node or npm module",
    bad: { "bin/dcos-net.ts": use("./name.ts"), "bin/name.ts": use("commander") },
    good: { "bin/dcos-net.ts": `await import("./cli.ts");\n`, "bin/cli.ts": use("commander") },
  },
  {
    rule: "only kernel/ffi.ts imports bun:ffi",
    bad: { "kernel/link.ts": use("bun:ffi") },
    good: { "kernel/ffi.ts": use("bun:ffi") },
  },
  {
    rule: "no file imports itself in a circle",
    bad: { "lib/a.ts": use("./b.ts"), "lib/b.ts": use("./c.ts"), "lib/c.ts": use("./a.ts") },
    good: { "lib/a.ts": use("./b.ts") + use("./c.ts"), "lib/b.ts": use("./c.ts"), "lib/c.ts": "" },
  },
  {
    rule: "no file imports itself in a circle",
    bad: { "lib/a.ts": use("./b.ts"), "lib/b.ts": 'export { x } from "./a.ts";\n' },
    good: { "lib/a.ts": use("./b.ts"), "lib/b.ts": useType("./a.ts") },
  },
  {
    rule: "every shipped file is imported",
    bad: { "lib/a.ts": "export const a = 1;\n", "test/a.ts": use("../lib/a.ts") },
    good: { "lib/a.ts": "export const a = 1;\n", "bin/dcos-net.ts": `await import("../lib/a.ts");\n` },
  },
  {
    rule: "only bin and cni/protocol.ts read environment and arguments",
    bad: { "ipam/a.ts": `const a = process.env["A"];\n` },
    good: { "cni/protocol.ts": "const a = process.argv;\n", "ipam/a.ts": "// not from process.env\n" },
  },
  {
    rule: "only bin, lib/clock.ts and cni/protocol.ts read a clock",
    bad: { "overlay/a.ts": "const a = new Date();\n" },
    good: { "lib/clock.ts": "const a = Date.now();\n", "overlay/a.ts": "const a = new Date(ms);\n" },
  },
  {
    rule: "only bin and cni/delegate.ts start processes",
    bad: { "kernel/a.ts": `Bun.spawnSync(["ip"]);\n` },
    good: { "cni/delegate.ts": "Bun.spawnSync([path]);\n" },
  },
  {
    rule: "nothing is printed outside bin",
    bad: { "cni/a.ts": `console.log("here");\n` },
    good: { "bin/a.ts": `console.log("here");\n`, "test/a.ts": `console.log("here");\n` },
  },
  {
    rule: "no default exports",
    bad: { "lib/a.ts": "export default 1;\n" },
    good: { "lib/a.ts": "export const a = 1;\n" },
  },
  {
    rule: "no leftovers",
    bad: { "README.md": `${"TO"}${"DO"}: say more\n` },
    good: { "README.md": "mktemp name.XXXXXX\n" },
  },
  {
    rule: "no test runs alone",
    bad: { "test/a.test.ts": `it.${"only"}("x", () => {});\n` },
    good: { "test/a.test.ts": `it("x", () => {});\n` },
  },
  {
    rule: "no path of a developer's machine",
    bad: { "a.sh": `cd /${"work"}/main\n` },
    good: { "a.sh": "cd /var/lib/mesos/work/slaves\n" },
  },
  {
    rule: "no registry's host name",
    bad: { "a.sh": `curl registry.${"npmjs"}.org\n` },
    good: { "a.sh": "npm ci\n" },
  },
  { rule: "no file over 600 lines", bad: { "lib/a.ts": lines(601) }, good: { "lib/a.ts": lines(600) } },
  {
    rule: "no line of TypeScript over 120 columns",
    bad: { "lib/a.ts": `${"x".repeat(121)}\n` },
    good: {
      "lib/a.ts": `${"x".repeat(120)}\nconst a = "${"x".repeat(121)}";\n`,
      "README.md": `${"x".repeat(121)}\n`,
    },
  },
  { rule: "files end in one newline", bad: { "a.md": "x" }, good: { "a.md": "x\n" } },
  { rule: "files end in one newline", bad: { "a.md": "x\n\n" }, good: { "a.md": "x\n" } },
  {
    rule: "unit tests mirror a source file",
    bad: { "test/unit/ipam/range.test.ts": "" },
    good: {
      "test/unit/ipam/range.test.ts": "",
      "test/unit/ipam/range-order.test.ts": "",
      "ipam/range.ts": "",
    },
  },
  {
    rule: "links between documents lead to a file, or folder, of the tree",
    bad: { "docs/a.md": "see [b](../b.md#part)\n" },
    good: {
      "docs/a.md": "see [b](../b.md#part), [itself](#part), [docs](../docs), [the site](https://example.org/)\n",
      "b.md": "# b\n",
    },
  },
  {
    rule: "systemd units clear the variables that load code into Bun",
    bad: { "packaging/a.service": "[Service]\nExecStart=/usr/bin/dcos-net agent\n" },
    good: { "packaging/a.service": "[Service]\nUnsetEnvironment=BUN_BE_BUN BUN_OPTIONS\n" },
  },
];

function treeOf(tree: Tree): SourceFile[] {
  return Object.entries(tree).map(([path, text]) => ({ path, text }));
}

describe("the rules of the tree", () => {
  for (const { rule, bad, good } of CASES) {
    const check = RULES.find(({ name }) => name === rule)?.check;
    it(`"${rule}" refuses ${Object.keys(bad).join(", ")}`, () => {
      expect(check?.(treeOf(bad))).to.have.length(1);
    });
    it(`"${rule}" accepts ${Object.keys(good).join(", ")}`, () => {
      expect(check?.(treeOf(good))).to.deep.equal([]);
    });
  }

  it("have each a sample here that breaks them", () => {
    const shown = new Set(CASES.map(({ rule }) => rule));
    expect(RULES.map(({ name }) => name).filter((name) => !shown.has(name))).to.deep.equal([]);
  });
});

describe("importsOf", () => {
  it("sees static, type, bare, re-exporting and dynamic imports, over several lines", () => {
    const text = [
      'import { a } from "./a.ts";',
      'import type { B } from "../lib/b.ts";',
      'import "./c.ts";',
      "export {",
      "  d,",
      '} from "./d.ts";',
      'const e = await import("./e.ts");',
      '// import { f } from "./f.ts";',
    ].join("\n");
    const found = importsOf({ path: "kernel/x.ts", text });
    expect(found.map(({ target, typeOnly, dynamic }) => [target, typeOnly, dynamic])).to.deep.equal([
      ["kernel/a.ts", false, false],
      ["lib/b.ts", true, false],
      ["kernel/d.ts", false, false],
      ["kernel/c.ts", false, false],
      ["kernel/e.ts", false, true],
    ]);
  });
});

describe("withoutComments", () => {
  it("keeps strings that look like comments", () => {
    expect(withoutComments('const a = "http://x"; // gone\n/* gone\n too */ b')).to.equal(
      'const a = "http://x";  \n  b',
    );
  });
});
