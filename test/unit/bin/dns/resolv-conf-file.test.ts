import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ResolvConfFile } from "../../../../bin/dns/resolv-conf-file.ts";
import { parseResolvConf, renderResolvConf } from "../../../../dns/resolv-conf.ts";
import { parseIp } from "../../../../lib/address.ts";

const FOREIGN = "nameserver 10.0.0.53\nsearch corp.example\n";

describe("the host's resolv.conf", () => {
  let directory = "";
  let path = "";
  let file: ResolvConfFile;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-resolv-"));
    path = join(directory, "etc", "resolv.conf");
    mkdirSync(join(directory, "etc"));
    file = new ResolvConfFile({ path, backup: join(directory, "state", "before") });
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const ours = () => renderResolvConf({ servers: [parseIp("198.51.100.1")], search: [], before: file.before() });
  const content = () => readFileSync(path, "utf8");

  it("is ours after apply, with what was there before still known, and as before after restore", () => {
    writeFileSync(path, FOREIGN, { mode: 0o640 });
    chmodSync(path, 0o640);
    expect(file.apply(ours())).to.equal(true);
    expect(content()).to.include("nameserver 198.51.100.1").and.to.include("search corp.example");
    expect(file.before()).to.deep.equal(parseResolvConf(FOREIGN));
    expect(file.apply(ours()), "a second time").to.equal(false);
    expect(file.restore()).to.equal(true);
    expect(content()).to.equal(FOREIGN);
    expect(lstatSync(path).mode & 0o777).to.equal(0o640);
    expect(readdirSync(join(directory, "etc"))).to.deep.equal(["resolv.conf"]);
    expect(readdirSync(join(directory, "state"))).to.deep.equal([]);
  });

  it("takes what another program has written since as the new word of who is asked", () => {
    writeFileSync(path, FOREIGN);
    file.apply(ours());
    writeFileSync(path, "nameserver 10.0.0.99\n");
    expect(file.before().servers).to.deep.equal(["10.0.0.99"]);
    file.apply(ours());
    expect(file.before().servers).to.deep.equal(["10.0.0.99"]);
    file.restore();
    expect(content()).to.equal("nameserver 10.0.0.99\n");
  });

  it("leaves another program's file alone when it is told to restore", () => {
    writeFileSync(path, FOREIGN);
    file.apply(ours());
    writeFileSync(path, "nameserver 10.0.0.99\n");
    expect(file.restore()).to.equal(false);
    expect(content()).to.equal("nameserver 10.0.0.99\n");
  });

  it("keeps a link of the operator's own, and writes the file that it leads to", () => {
    const target = join(directory, "resolv.real");
    writeFileSync(target, FOREIGN);
    symlinkSync("../resolv.real", path);
    file.apply(ours());
    expect(readlinkSync(path)).to.equal("../resolv.real");
    expect(readFileSync(target, "utf8")).to.include("198.51.100.1");
    file.restore();
    expect(readlinkSync(path)).to.equal("../resolv.real");
    expect(readFileSync(target, "utf8")).to.equal(FOREIGN);
  });

  it("takes the place of a link to another program's file below /run, which stays as it is, and brings it back", () => {
    const runtime = mkdtempSync("/run/dcos-net-resolv-");
    try {
      const stub = join(runtime, "stub-resolv.conf");
      writeFileSync(stub, FOREIGN);
      symlinkSync(stub, path);
      file.apply(ours());
      expect(lstatSync(path).isSymbolicLink()).to.equal(false);
      expect(readFileSync(stub, "utf8")).to.equal(FOREIGN);
      // The program behind the link goes on writing its file, and is still the one to say who is asked.
      writeFileSync(stub, "nameserver 10.0.0.77\n");
      expect(file.before().servers).to.deep.equal(["10.0.0.77"]);
      file.restore();
      expect(readlinkSync(path)).to.equal(stub);
    } finally {
      rmSync(runtime, { recursive: true });
    }
  });

  it("takes the place of a link that leads nowhere, and brings it back", () => {
    symlinkSync("nowhere", path);
    file.apply(ours());
    expect(content()).to.include("198.51.100.1");
    file.restore();
    expect(readlinkSync(path)).to.equal("nowhere");
  });

  it("is made where there was none, and goes again", () => {
    expect(file.before().servers).to.deep.equal([]);
    file.apply(ours());
    expect(content()).to.include("198.51.100.1");
    file.restore();
    expect(existsSync(path)).to.equal(false);
  });

  it("isn't restored without its copy, and says what to do", () => {
    writeFileSync(path, FOREIGN);
    file.apply(ours());
    rmSync(join(directory, "state"), { recursive: true });
    expect(() => file.restore())
      .to.throw("is missing")
      .with.property("code", "not-found");
    expect(content()).to.include("198.51.100.1");
  });

  it("leaves everything as it was when it can't be written", () => {
    rmSync(join(directory, "etc"), { recursive: true });
    expect(() => file.apply(ours()))
      .to.throw("cannot write")
      .with.property("code", "io");
  });
});
