import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { allocate, held, release } from "../../../ipam/allocate.ts";
import { openStore } from "../../../ipam/store.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";
import type { Files } from "../../../lib/files.ts";
import { addresses, makeScratch, NETWORK, netErrorOf, rangeSets, type Scratch } from "../../support/ipam-scratch.ts";

const sets = rangeSets(["10.0.0.0/24"]);
const eth0 = (id: string) => ({ id, ifname: "eth0" });

describe("ipam/store", () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = makeScratch();
  });
  afterEach(() => scratch.remove());

  const file = (name: string) => join(scratch.path, name);
  const take = (id: string) => addresses(allocate(scratch.store(), sets, eth0(id)));
  const give = (id: string) => release(scratch.store(), eth0(id)).map(formatIp);

  it("writes the files of the reference's layout and nothing else into the network's directory", () => {
    allocate(scratch.store(), rangeSets(["10.0.0.0/24"], ["fd01::/64"]), eth0("c1"));
    expect(readdirSync(scratch.path).sort()).to.deep.equal([
      "10.0.0.2",
      "fd01::2",
      "last_reserved_ip.0",
      "last_reserved_ip.1",
      "lock",
    ]);
    for (const name of ["10.0.0.2", "fd01::2"]) {
      expect(readFileSync(file(name), "utf8")).to.equal("c1\r\neth0");
      expect(statSync(file(name)).mode & 0o777).to.equal(0o600);
    }
    expect(readFileSync(file("last_reserved_ip.0"), "utf8")).to.equal("10.0.0.2");
    expect(readFileSync(file("last_reserved_ip.1"), "utf8")).to.equal("fd01::2");
    expect(readFileSync(file("lock"), "utf8")).to.equal("");
  });

  it("refuses a network name that is no plain file name", () => {
    for (const network of ["", ".dcos-net", "../x", "a/b", "a".repeat(256)]) {
      const options = { dataDir: scratch.dataDir, network, bootId: "boot-1", lockWaitMs: 0 };
      expect(netErrorOf(() => openStore(linuxFiles, options)).code).to.equal("invalid");
    }
  });

  it("says busy when another process keeps the lock", () => {
    take("a");
    const lock = linuxFiles.lock(file("lock"), 0);
    const options = { dataDir: scratch.dataDir, network: NETWORK, bootId: "boot-1", lockWaitMs: 5 };
    try {
      expect(netErrorOf(() => allocate(openStore(linuxFiles, options), sets, eth0("b"))).code).to.equal("busy");
    } finally {
      lock.release();
    }
    expect(take("b")).to.deep.equal(["10.0.0.3/24"]);
  });

  describe("takes over what others left", () => {
    beforeEach(() => mkdirSync(scratch.path));

    it("gives back the address of an empty file, which a crash between create and write leaves", () => {
      writeFileSync(file("10.0.0.2"), "");
      expect(take("a")).to.deep.equal(["10.0.0.2/24"]);
      expect(scratch.leases()).to.deep.equal({ "10.0.0.2": "a\r\neth0" });
    });

    for (const requested of [[], [parseIp("10.0.0.3")]]) {
      const how = requested.length > 0 ? " on request" : "";
      it(`gives back an empty file that appears while the index seems right${how}`, () => {
        take("a");
        const { mtimeNs } = statSync(scratch.path, { bigint: true });
        writeFileSync(file("10.0.0.3"), "");
        linuxFiles.touch(scratch.path, mtimeNs);
        expect(addresses(allocate(scratch.store(), sets, eth0("b"), requested))).to.deep.equal(["10.0.0.3/24"]);
      });
    }

    it("honours leases of the old format, which hold the container id only", () => {
      writeFileSync(file("10.0.0.2"), "old\n");
      expect(held(scratch.store(), eth0("old")).map(formatIp)).to.deep.equal(["10.0.0.2"]);
      expect(netErrorOf(() => take("old")).message).to.contain("10.0.0.2 has been allocated to old");
      expect(give("old")).to.deep.equal(["10.0.0.2"]);
      expect(scratch.leases()).to.deep.equal({});
    });

    it("releases an interface's own lease before one of the old format", () => {
      writeFileSync(file("10.0.0.2"), "mixed");
      writeFileSync(file("10.0.0.3"), "mixed\r\neth0");
      expect(give("mixed")).to.deep.equal(["10.0.0.3"]);
      expect(give("mixed")).to.deep.equal(["10.0.0.2"]);
    });

    it("lets an id that looks like an address harm nothing", () => {
      take("10.0.0.3");
      take("b");
      expect(readFileSync(file("last_reserved_ip.0"), "utf8")).to.equal("10.0.0.3");
      expect(held(scratch.store(), eth0("b")).map(formatIp)).to.deep.equal(["10.0.0.3"]);
      expect(give("10.0.0.3")).to.deep.equal(["10.0.0.2"]);
      expect(give("10.0.0.3")).to.deep.equal([]);
      expect(readFileSync(file("last_reserved_ip.0"), "utf8")).to.equal("10.0.0.3");
      expect(scratch.leases()).to.deep.equal({ "10.0.0.3": "b\r\neth0" });
    });

    it("leaves alone what has an address for a name but is no lease, and what has none", () => {
      mkdirSync(file("10.0.0.2"));
      writeFileSync(file("10.0.0.3"), "x".repeat(5000));
      writeFileSync(file("010.0.0.4"), "a\r\neth0");
      writeFileSync(file("notes"), "a\r\neth0");
      expect(take("a")).to.deep.equal(["10.0.0.4/24"]);
      expect(give("a")).to.deep.equal(["10.0.0.4"]);
      expect(readdirSync(scratch.path).sort()).to.deep.equal([
        "010.0.0.4",
        "10.0.0.2",
        "10.0.0.3",
        "last_reserved_ip.0",
        "lock",
        "notes",
      ]);
    });

    it("starts afresh after the directory was wiped", () => {
      take("a");
      rmSync(scratch.path, { recursive: true });
      expect(take("a")).to.deep.equal(["10.0.0.2/24"]);
    });
  });

  describe("sees changes that were made without it", () => {
    it("a lease file added by somebody else", () => {
      take("a");
      writeFileSync(file("10.0.0.3"), "x\r\neth0");
      expect(take("b")).to.deep.equal(["10.0.0.4/24"]);
      expect(give("x")).to.deep.equal(["10.0.0.3"]);
    });

    it("a lease file removed by somebody else", () => {
      take("a");
      rmSync(file("10.0.0.2"));
      expect(give("a")).to.deep.equal([]);
      expect(take("a")).to.deep.equal(["10.0.0.3/24"]);
    });

    it("a lease file given to somebody else: it is not released for its old holder", () => {
      take("a");
      writeFileSync(file("10.0.0.2"), "thief\r\neth0");
      expect(give("a")).to.deep.equal([]);
      expect(scratch.leases()).to.deep.equal({ "10.0.0.2": "thief\r\neth0" });
      expect(give("thief")).to.deep.equal(["10.0.0.2"]);
    });

    it("the last free address, freed so quickly that the directory's time did not move", () => {
      const pair = rangeSets(["10.0.0.0/31"]);
      allocate(scratch.store(), pair, eth0("a"));
      allocate(scratch.store(), pair, eth0("b"));
      const { mtimeNs } = statSync(scratch.path, { bigint: true });
      rmSync(file("10.0.0.0"));
      linuxFiles.touch(scratch.path, mtimeNs);
      expect(addresses(allocate(scratch.store(), pair, eth0("c")))).to.deep.equal(["10.0.0.0/31"]);
    });
  });

  describe("uses its index only while it is whole", () => {
    const damage: Readonly<Record<string, (path: string) => void>> = {
      "removed header": (path) => rmSync(join(path, "header")),
      "removed owners": (path) => each(path, "owners-", (name) => rmSync(name)),
      "removed pages": (path) => each(path, "used-", (name) => rmSync(name)),
      "emptied owners": (path) => each(path, "owners-", (name) => writeFileSync(name, "")),
      "truncated owners": (path) =>
        each(path, "owners-", (name) => writeFileSync(name, readFileSync(name).subarray(0, -3))),
      "changed owners": (path) =>
        each(path, "owners-", (name) => writeFileSync(name, readFileSync(name, "utf8").replace("eth0", "eth1"))),
      "truncated header": (path) =>
        each(path, "header", (name) => writeFileSync(name, readFileSync(name).subarray(0, 9))),
      "pages full of ones": (path) => each(path, "used-", (name) => writeFileSync(name, new Uint8Array(8192).fill(1))),
      "oversized pages": (path) => each(path, "used-", (name) => writeFileSync(name, new Uint8Array(9000).fill(1))),
      "header replaced by a directory": (path) => {
        rmSync(join(path, "header"), { recursive: true });
        mkdirSync(join(path, "header"));
      },
    };

    function each(path: string, prefix: string, action: (name: string) => void): void {
      for (const name of readdirSync(path)) if (name.startsWith(prefix)) action(join(path, name));
    }

    for (const [what, harm] of Object.entries(damage)) {
      it(`${what}: nothing is given twice and everything can be released`, () => {
        const small = rangeSets(["10.0.0.0/29"]);
        for (const id of ["a", "b", "c", "d"]) allocate(scratch.store(), small, eth0(id));
        harm(scratch.indexPath);
        expect(netErrorOf(() => allocate(scratch.store(), small, eth0("a"))).code).to.equal("conflict");
        expect(addresses(allocate(scratch.store(), small, eth0("e")))).to.deep.equal(["10.0.0.6/29"]);
        harm(scratch.indexPath);
        expect(netErrorOf(() => allocate(scratch.store(), small, eth0("f"))).code).to.equal("exhausted");
        harm(scratch.indexPath);
        for (const id of ["a", "b", "c", "d", "e"]) expect(give(id)).to.have.length(1);
        expect(scratch.leases()).to.deep.equal({});
      });
    }

    it("a lost index is made again, and a lease costs the same few file operations at 10 and at 400 leases", () => {
      const wide = rangeSets(["10.0.0.0/16"]);
      const costAt = (held: number): number => {
        for (let n = 0; n < held; n++) allocate(scratch.store(), wide, { id: `c${n}`, ifname: `eth${held}` });
        let calls = 0;
        const counting = countingFiles(() => calls++);
        allocate(scratch.store({ files: counting }), wide, eth0("one"));
        release(scratch.store({ files: counting }), eth0("one"));
        return calls;
      };
      const few = costAt(10);
      expect(few).to.be.lessThan(40);
      expect(costAt(400)).to.be.at.most(few + 2);
    }).timeout(60_000);
  });

  describe("after a reboot", () => {
    it("gives back the leases of the boot before at the first allocation", () => {
      take("a");
      take("b");
      const next = scratch.store({ bootId: "boot-2" });
      expect(addresses(allocate(next, sets, eth0("a")))).to.deep.equal(["10.0.0.4/24"]);
      expect(scratch.leases()).to.deep.equal({ "10.0.0.4": "a\r\neth0" });
    });

    it("keeps leases that the index never saw: they may be of this boot", () => {
      take("a");
      writeFileSync(file("10.0.0.9"), "reference\r\neth0");
      allocate(scratch.store({ bootId: "boot-2" }), sets, eth0("b"));
      expect(scratch.leases()).to.deep.equal({ "10.0.0.9": "reference\r\neth0", "10.0.0.3": "b\r\neth0" });
    });

    it("knows leases that somebody else wrote once an operation has seen them", () => {
      take("a");
      writeFileSync(file("10.0.0.9"), "reference\r\neth0");
      held(scratch.store(), eth0("a"));
      allocate(scratch.store({ bootId: "boot-2" }), sets, eth0("b"));
      expect(Object.keys(scratch.leases())).to.deep.equal(["10.0.0.3"]);
    });

    it("keeps a lease that was written again since, for the same container", () => {
      take("a");
      rmSync(file("10.0.0.2"));
      writeFileSync(file("10.0.0.2"), "a\r\neth0");
      const later = Date.now() / 1000 + 60;
      utimesSync(file("10.0.0.2"), later, later);
      expect(held(scratch.store({ bootId: "boot-2" }), eth0("a")).map(formatIp)).to.deep.equal(["10.0.0.2"]);
    });

    it("recognises each lease once: a second operation of the new boot finds its own leases in order", () => {
      take("a");
      const single = { bootId: "boot-2" };
      allocate(scratch.store(single), sets, eth0("a"));
      expect(held(scratch.store(single), eth0("a")).map(formatIp)).to.deep.equal(["10.0.0.3"]);
      expect(release(scratch.store(single), eth0("a")).map(formatIp)).to.deep.equal(["10.0.0.3"]);
    });

    it("does not hand out an address while the end of the earlier boot could not be recorded", () => {
      take("a");
      const fixed = rangeSets(["10.0.0.2/32"]);
      const readOnlyIndex: Files = {
        ...linuxFiles,
        write: (path, content, mode) => {
          if (path.startsWith(scratch.indexPath)) throw new Error("no space");
          linuxFiles.write(path, content, mode);
        },
      };
      const failing = scratch.store({ files: readOnlyIndex, bootId: "boot-2" });
      expect(() => allocate(failing, fixed, eth0("a"))).to.throw("no space");
      const next = scratch.store({ bootId: "boot-2" });
      expect(addresses(allocate(next, fixed, eth0("a")))).to.deep.equal(["10.0.0.2/32"]);
      expect(held(scratch.store({ bootId: "boot-2" }), eth0("a")).map(formatIp)).to.deep.equal(["10.0.0.2"]);
    });
  });
});

/** The machine's files, reporting each operation. */
function countingFiles(count: () => void): Files {
  const counted = <A extends readonly unknown[], R>(operation: (...args: A) => R) => {
    return (...args: A): R => {
      count();
      return operation(...args);
    };
  };
  return {
    read: counted(linuxFiles.read),
    write: counted(linuxFiles.write),
    create: counted(linuxFiles.create),
    replace: counted(linuxFiles.replace),
    rename: counted(linuxFiles.rename),
    append: counted(linuxFiles.append),
    remove: counted(linuxFiles.remove),
    removeDirectory: counted(linuxFiles.removeDirectory),
    list: counted(linuxFiles.list),
    makeDirectory: counted(linuxFiles.makeDirectory),
    stat: counted(linuxFiles.stat),
    touch: counted(linuxFiles.touch),
    lock: counted(linuxFiles.lock),
    lockByte: counted(linuxFiles.lockByte),
  };
}
