import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { linuxFiles } from "../../../kernel/file.ts";
import { cniFileChanges, removeCniFiles, writeCniFiles } from "../../../overlay/cni-files.ts";

const OURS = '{"name":"a","dcosNet":{"managed":true}}\n';

describe("the folder of CNI configurations", () => {
  let base = "";
  let dir = "";

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "overlay-cni-"));
    dir = join(base, "net.d");
  });

  afterEach(() => rmSync(base, { recursive: true, force: true }));

  function sync(wanted: Record<string, string>) {
    const changes = cniFileChanges(linuxFiles, dir, new Map(Object.entries(wanted)));
    removeCniFiles(linuxFiles, changes);
    writeCniFiles(linuxFiles, dir, changes);
    return changes;
  }

  it("is made when it isn't there, and holds what is wanted", () => {
    sync({ "a.conf": OURS, "a.conflist": OURS });
    expect(readdirSync(dir).sort()).to.deep.equal(["a.conf", "a.conflist"]);
    expect(readFileSync(join(dir, "a.conf"), "utf8")).to.equal(OURS);
  });

  it("isn't made when nothing is wanted", () => {
    sync({});
    expect(readdirSync(base)).to.deep.equal([]);
  });

  it("is left alone when it is right", () => {
    sync({ "a.conf": OURS });
    expect(sync({ "a.conf": OURS })).to.deep.equal({ write: [], remove: [], conflicts: [] });
  });

  it("gets back a file of ours that was changed or removed", () => {
    sync({ "a.conf": OURS });
    writeFileSync(join(dir, "a.conf"), '{"dcosNet":{"managed":true},"mtu":9}');
    sync({ "a.conf": OURS });
    expect(readFileSync(join(dir, "a.conf"), "utf8")).to.equal(OURS);
    rmSync(join(dir, "a.conf"));
    sync({ "a.conf": OURS });
    expect(readFileSync(join(dir, "a.conf"), "utf8")).to.equal(OURS);
  });

  it("loses the files of overlays that are gone, and only those", () => {
    sync({ "a.conf": OURS, "b.conf": OURS, "b.conflist": OURS });
    writeFileSync(join(dir, "87-podman.conflist"), '{"name":"podman"}');
    writeFileSync(join(dir, "broken.conf"), '{"dcosNet":{"managed":true}');
    writeFileSync(join(dir, "logged.conf"), '{"name":"mine","dcosNet":{"logFile":"/var/log/mine.log"}}');
    writeFileSync(join(dir, "notes.txt"), OURS);
    expect([...sync({ "a.conf": OURS }).remove].sort()).to.deep.equal([join(dir, "b.conf"), join(dir, "b.conflist")]);
    expect(readdirSync(dir).sort()).to.deep.equal([
      "87-podman.conflist",
      "a.conf",
      "broken.conf",
      "logged.conf",
      "notes.txt",
    ]);
  });

  it("keeps somebody else's file that has a name of ours, and says so", () => {
    sync({ "a.conf": OURS });
    writeFileSync(join(dir, "b.conf"), '{"name":"b"}');
    const changes = sync({ "a.conf": OURS, "b.conf": OURS });
    expect(changes.conflicts.join()).to.include("b.conf");
    expect(readFileSync(join(dir, "b.conf"), "utf8")).to.equal('{"name":"b"}');
  });
});
