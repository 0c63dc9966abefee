import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Command } from "commander";
import { createApp } from "../../../bin/app.ts";
import { commandTree, runCommandLine } from "../../../bin/cli.ts";
import { VERSION } from "../../../bin/version.ts";

/** A command line's outcome. */
async function run(args: readonly string[], env: Record<string, string> = {}) {
  const lines: string[] = [];
  const notes: string[] = [];
  const out = { line: (text: string) => void lines.push(text), note: (text: string) => void notes.push(text) };
  const status = await runCommandLine(args, createApp(out, env));
  return { status, output: lines.join("\n"), notes: notes.join("\n") };
}

describe("the command line", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-cli-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  it("explains itself with examples and exit statuses", async () => {
    const { status, output } = await run(["--help"]);
    expect(status).to.equal(0);
    expect(output).to.include("Exit status: 0 good; 1 failed");
    expect(output).to.include("dcos-net lab up --nodes 3");
  });

  it("tells its version", async () => {
    expect(await run(["--version"])).to.deep.equal({ status: 0, output: VERSION, notes: "" });
  });

  it("suggests the command and the option that were probably meant", async () => {
    const command = await run(["statsu"]);
    expect(command.status).to.equal(2);
    expect(command.notes).to.include("(Did you mean status?)");
    const option = await run(["status", "--jsno"]);
    expect(option.status).to.equal(2);
    expect(option.notes).to.include("(Did you mean --json?)");
    const nested = await run(["lab", "dwon"]);
    expect(nested.status).to.equal(2);
    expect(nested.notes).to.include("(Did you mean down?)");
  });

  for (const [args, said] of [
    [[], "Usage: dcos-net"],
    [["lab"], "Usage: dcos-net lab"],
    [["lab", "run", "--node", "1", "--name", "a"], "missing required argument 'command'"],
    [["lab", "run", "--name", "a", "--", "true"], "required option '--node <host>' not specified"],
    [["lab", "up", "--nodes", "many"], "a whole number from 1 to 64 is needed"],
    [["lab", "up", "--nodes", "65"], "a whole number from 1 to 64 is needed"],
    [["lab", "down", "--lab", "A b"], "as the name of a lab"],
    [["lab", "stop", "--name", "../x"], "as the name of a container"],
    [["lab", "up", "--overlay", "x"], "dev=10.90.0.0/16"],
    [["lab", "run", "--publish", "80"], "8080:80"],
    [["lab", "serve", "--port", "65536"], "a whole number from 0 to 65535 is needed"],
    [["lab", "fetch", "ftp://x/"], "an http:// URL is needed"],
    [["lab", "exec", "--", "true"], "give either --name or --node"],
    [["completion", "fish"], "Allowed choices are bash, zsh"],
    [["cni", "config", "docker"], "Allowed choices are podman, containerd, mesos"],
    [["config", "explain"], "missing required argument 'key'"],
    [["ipam", "gc"], "required option '--network <name>' not specified"],
    [["overlay", "explain", "9.0.0"], "9.0.0"],
    [["cni", "config", "podman", "--subnet", "10.9.0.0"], "10.9.0.0"],
    [["cni", "config", "podman", "--name", "a b"], "a name is a letter or digit"],
    [["cni", "install", "--as", "brigde"], 'did you mean "bridge"?'],
    [["overlay", "explain"], "missing required argument 'address'"],
  ] as const) {
    it(`refuses \`${["dcos-net", ...args].join(" ")}\` as wrong usage`, async () => {
      const { status, notes } = await run(args);
      expect(status).to.equal(2);
      expect(notes).to.include(said);
    });
  }

  it("shows each command in use", () => {
    const silent = { line: () => {}, note: () => {} };
    const visit = (command: Command, path: string): void => {
      for (const child of command.commands) {
        const words = `${path} ${child.name()}`;
        const text: string[] = [];
        child.configureOutput({ writeOut: (part) => void text.push(part) }).outputHelp();
        expect(text.join(""), words).to.match(new RegExp(`\nExamples:\n  .*${words}`));
        visit(child, words);
      }
    };
    visit(commandTree(createApp(silent, {})), "dcos-net");
  });

  it("offers --json on every command that shows something", () => {
    const shows = commandTree(createApp({ line: () => {}, note: () => {} }, {}));
    const without = new Set(["agent", "completion", "up", "exec", "stop", "down", "serve", "mesos-dns", "linger"]);
    const leaves = shows.commands.flatMap((command) => (command.commands.length > 0 ? command.commands : [command]));
    for (const command of leaves.filter((each) => !without.has(each.name()))) {
      expect(
        command.options.map(({ long }) => long),
        command.name(),
      ).to.include("--json");
    }
  });

  it("shows settings with their origin, from the file that --config names", async () => {
    const file = join(directory, "config.json");
    writeFileSync(file, '{"run_dir": "/x"}');
    const { status, output } = await run(["--config", file, "config", "show", "--json"], { DCOS_NET_NODE: "me" });
    expect(status).to.equal(0);
    const settings = JSON.parse(output) as { key: string; value: unknown; origin: string }[];
    expect(settings.find(({ key }) => key === "run_dir")).to.include({ value: "/x", origin: file });
    expect(settings.find(({ key }) => key === "node")).to.include({ value: "me", origin: "DCOS_NET_NODE" });
  });

  it("explains a key, and names the nearest for one that doesn't exist", async () => {
    const known = await run(["config", "explain", "kernel_poll_ms"]);
    expect(known.output).to.include("whole number from 50 to 5000, in ms");
    const unknown = await run(["config", "explain", "kernel_pol_ms"]);
    expect(unknown.status).to.equal(1);
    expect(unknown.notes).to.include('did you mean "kernel_poll_ms"?');
  });

  it("fails with a sentence that says what to do, or as JSON where JSON was asked for", async () => {
    const missing = join(directory, "none.json");
    const plain = await run(["overlay", "show", "--nodes", missing, "--node", "a"]);
    expect(plain.status).to.equal(1);
    expect(plain.notes).to.equal(
      `dcos-net: cannot read nodes file ${missing}: there is no such file; write it, or name another with --nodes FILE`,
    );
    const json = await run(["overlay", "show", "--nodes", missing, "--node", "a", "--json"]);
    expect(json.status).to.equal(1);
    expect(JSON.parse(json.notes).error).to.include({ code: "not-found", said: "there is no such file" });
  });

  it("refuses a configuration file that was named and isn't there", async () => {
    const { status, notes } = await run(["--config", join(directory, "none.json"), "config", "show"]);
    expect(status).to.equal(1);
    expect(notes).to.include("there is no such file");
  });

  it("says that no agent has run, with exit status 1", async () => {
    const { status, output } = await run(["status", "--run-dir", directory]);
    expect(status).to.equal(1);
    expect(output).to.include("NOT HEALTHY");
    expect(output).to.include("no agent has run here");
  });

  it("prints sample CNI configurations that are JSON of the form each reader wants", async () => {
    const list = await run([
      "cni",
      "config",
      "podman",
      "--name",
      "web",
      "--subnet",
      "10.9.0.0/24",
      "--subnet",
      "fd00:9::/64",
    ]);
    expect(JSON.parse(list.output)).to.nested.include({ cniVersion: "1.0.0", name: "web", "plugins[0].type": "dcos" });
    expect(JSON.parse(list.output).plugins[0].ipam.ranges).to.have.lengthOf(2);
    const single = JSON.parse((await run(["cni", "config", "mesos"])).output);
    expect(single).to.include({ name: "mynet", type: "dcos" }).and.not.to.have.any.keys("plugins", "cniVersion");
  });

  it("shows leases by network, names orphans, and gives them back", async () => {
    const dataDir = join(directory, "leases");
    const network = join(dataDir, "web");
    const { linuxFiles } = await import("../../../kernel/file.ts");
    linuxFiles.makeDirectory(network);
    linuxFiles.write(join(network, "10.9.0.2"), "one\r\neth0");
    linuxFiles.write(join(network, "10.9.0.3"), "");
    const cniDir = join(directory, "net.d");
    linuxFiles.makeDirectory(cniDir);
    const ipam = { type: "host-local", dataDir, subnet: "10.9.0.0/29" };
    linuxFiles.write(join(cniDir, "web.conf"), JSON.stringify({ name: "web", type: "dcos", ipam }));
    const options = ["--data-dir", dataDir, "--json"];
    const shown = JSON.parse((await run(["ipam", "show", "--cni-dir", cniDir, ...options])).output);
    expect(shown[0].sets[0]).to.include({ used: 1, orphaned: 1, free: "3", size: "5" });
    const check = await run(["ipam", "check", "--cni-dir", cniDir, ...options]);
    expect(check.status).to.equal(1);
    expect(JSON.parse(check.output)).to.have.lengthOf(1);
    const dry = await run(["ipam", "gc", "--network", "web", "--dry-run", ...options]);
    expect(JSON.parse(dry.output).addresses).to.deep.equal(["10.9.0.3"]);
    expect(linuxFiles.list(network)).to.include("10.9.0.3");
    await run(["ipam", "gc", "--network", "web", ...options]);
    expect(linuxFiles.list(network)).to.include("10.9.0.2").and.not.to.include("10.9.0.3");
    const valid = join(directory, "valid.json");
    writeFileSync(valid, "[]");
    const all = await run(["ipam", "gc", "--network", "web", "--valid", valid, ...options]);
    expect(JSON.parse(all.output).addresses).to.deep.equal(["10.9.0.2"]);
    expect(linuxFiles.list(network)).to.not.include("10.9.0.2");
    expect((await run(["ipam", "show", "--network", "wbe", ...options])).notes).to.include("web");
  });
});
