import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readKeys } from "../../../../bin/cluster/secret.ts";
import { linuxFiles } from "../../../../kernel/file.ts";

const SECRET = "sixteen bytes or more of it";

describe("the cluster secret", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-secret-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function write(name: string, content: string, mode = 0o600): string {
    const path = join(folder, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }
  const keys = (secret: string, former = "", identity = "") => readKeys(linuxFiles, { secret, former, identity });

  it("is the same with and without a newline at its end, and another with another identity", () => {
    const plain = keys(write("a", SECRET)).primary.fingerprint;
    expect(keys(write("b", `${SECRET}\n`)).primary.fingerprint).to.deep.equal(plain);
    expect(keys(write("c", SECRET), "", "east").primary.fingerprint).to.not.deep.equal(plain);
  });

  it("may have a second one beside it, whose file need not be there", () => {
    const secret = write("a", SECRET);
    expect(keys(secret, write("b", `another ${SECRET}`)).others).to.have.length(1);
    expect(keys(secret, join(folder, "none")).others).to.have.length(0);
  });

  for (const mode of [0o640, 0o604, 0o644, 0o620]) {
    it(`is refused with mode ${mode.toString(8)}, because others could read or change it`, () => {
      const path = write("a", SECRET, mode);
      expect(() => keys(path)).to.throw(`chmod 600 ${path}`);
    });
  }

  it("is refused when it is short, also when white space makes it longer, and no message shows it", () => {
    const read = () => keys(write("a", `short${" ".repeat(20)}\n`));
    expect(read).to.throw("16 are the least").with.property("message").that.does.not.include("short ");
  });

  it("is told how to be made when it isn't there", () => {
    expect(() => keys(join(folder, "none"))).to.throw("head -c 32 /dev/urandom");
  });
});
