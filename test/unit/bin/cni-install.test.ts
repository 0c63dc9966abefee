import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { installPlugins, uninstallPlugins } from "../../../bin/cni-install.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import type { Files } from "../../../lib/files.ts";

describe("installing the CNI plugins", () => {
  let directory: string;
  let dir: string;
  let executable: string;
  const install = (names: readonly string[], files: Files = linuxFiles) =>
    installPlugins(files, executable, dir, names);
  const content = (name: string) => readFileSync(join(dir, name), "utf8");

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-install-"));
    dir = join(directory, "bin");
    executable = join(directory, "program");
    writeFileSync(executable, "one");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("puts one executable file under all names, and nothing else that a runtime could see", () => {
    install(["dcos", "loopback"]);
    expect(
      readdirSync(dir)
        .filter((name) => !name.startsWith("."))
        .sort(),
    ).to.deep.equal(["dcos", "loopback"]);
    expect(statSync(join(dir, "dcos")).ino).to.equal(statSync(join(dir, "loopback")).ino);
    expect(statSync(join(dir, "dcos")).mode & 0o777).to.equal(0o755);
  });

  it("is undone exactly: originals come back as they were, the rest goes", () => {
    linuxFiles.makeDirectory(dir);
    linuxFiles.write(join(dir, "bridge"), "original", 0o750);
    linuxFiles.write(join(dir, "other"), "untouched");
    const inode = statSync(join(dir, "bridge")).ino;
    expect(install(["dcos", "bridge"])).to.deep.equal([
      { name: "dcos", did: "installed" },
      { name: "bridge", did: "installed, original saved" },
    ]);
    expect(content("bridge")).to.equal("one");
    uninstallPlugins(dir);
    expect(readdirSync(dir).sort()).to.deep.equal(["bridge", "other"]);
    expect(content("bridge")).to.equal("original");
    expect(statSync(join(dir, "bridge")).ino).to.equal(inode);
  });

  it("keeps the original over a second installation of a newer program", () => {
    linuxFiles.makeDirectory(dir);
    writeFileSync(join(dir, "bridge"), "original");
    install(["dcos", "bridge"]);
    writeFileSync(executable, "two");
    install(["dcos"]);
    expect([content("dcos"), content("bridge")]).to.deep.equal(["two", "two"]);
    uninstallPlugins(dir);
    expect(readdirSync(dir)).to.deep.equal(["bridge"]);
    expect(content("bridge")).to.equal("original");
  });

  it("leaves a plugin alone that somebody has put in the place of ours", () => {
    linuxFiles.makeDirectory(dir);
    writeFileSync(join(dir, "bridge"), "original");
    install(["bridge"]);
    linuxFiles.replace(join(dir, "bridge"), "newer package");
    expect(uninstallPlugins(dir)).to.deep.equal([{ name: "bridge", did: "left alone" }]);
    expect(readdirSync(dir)).to.deep.equal(["bridge"]);
    expect(content("bridge")).to.equal("newer package");
  });

  it("can be undone when it was broken off after the list was written and before any name had changed", () => {
    linuxFiles.makeDirectory(dir);
    writeFileSync(join(dir, "bridge"), "original");
    const breaking: Files = {
      ...linuxFiles,
      replace(path, text, mode) {
        linuxFiles.replace(path, text, mode);
        throw new Error("broken off");
      },
    };
    expect(() => install(["dcos", "bridge"], breaking)).to.throw("broken off");
    expect(content("bridge")).to.equal("original");
    uninstallPlugins(dir);
    expect(readdirSync(dir)).to.deep.equal(["bridge"]);
    expect(content("bridge")).to.equal("original");
  });

  it("refuses to undo where nothing was installed", () => {
    linuxFiles.makeDirectory(dir);
    expect(() => uninstallPlugins(dir)).to.throw("there is no .dcos-net.json");
    expect(existsSync(dir)).to.equal(true);
  });
});
