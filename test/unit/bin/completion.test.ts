import { expect } from "chai";
import { createApp } from "../../../bin/app.ts";
import { commandTree } from "../../../bin/cli.ts";
import { bashCompletion, completionNodes, zshCompletion } from "../../../bin/completion.ts";

const tree = commandTree(createApp({ line: () => {}, note: () => {} }, {}));

/** What bash offers for a line whose last word is being typed. */
function offered(...words: string[]): string[] {
  const script = `${bashCompletion(tree)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dcos_net; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = Bun.spawnSync(["bash", "-c", script, "bash", "dcos-net", ...words]);
  expect(stderr.toString()).to.equal("");
  return stdout
    .toString()
    .split("\n")
    .filter((word) => word !== "");
}

describe("completion", () => {
  it("knows every command of the tree and its options", () => {
    const nodes = new Map(completionNodes(tree).map(({ path, words }) => [path, words.map(({ word }) => word)]));
    expect(nodes.get("")).to.include.members(["agent", "lab", "status", "--help", "--config"]);
    expect(nodes.get("lab up")).to.include.members(["--nodes", "--overlay", "--ipv4-only"]);
    expect(nodes.get("ipam gc")).to.include.members(["--network", "--dry-run"]);
  });

  it("offers in bash what can follow, by what is typed", () => {
    expect(offered("st")).to.deep.equal(["status"]);
    expect(offered("lab", "")).to.include.members(["up", "down", "run"]);
    expect(offered("lab", "up", "--no")).to.deep.equal(["--nodes"]);
    expect(offered("--config", "f", "overlay", "ex")).to.deep.equal(["explain"]);
  });

  it("leaves the words of a command after -- alone", () => {
    expect(offered("lab", "run", "--", "st")).to.deep.equal([]);
  });

  it("is a zsh script with the explanation of each word, quotes and colons escaped", () => {
    const script = zshCompletion(tree);
    expect(script).to.match(/^#compdef dcos-net/);
    expect(script).to.include("'status:how this node'\\''s agent is doing");
    expect(script).to.include("\\:");
  });
});
