import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { BpfAssembler } from "../../kernel/bpf-assembler.ts";
import { CgroupLink } from "../../kernel/bpf-link.ts";
import { BpfMap, type MapSpec } from "../../kernel/bpf-map.ts";
import { attachTypeOf, closeProgram, loadProgram, programInfo, programInfoById } from "../../kernel/bpf-program.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { closeFolder, openFolder } from "../../kernel/folder.ts";
import { cgroupRoot, mountBpfFilesystem, mounts } from "../../kernel/mounts.ts";
import { NetError } from "../../lib/error.ts";
import {
  openSocketPlace,
  programsOf,
  type SocketPlace,
  socketPlaceUnavailable,
  testCgroups,
  withPlainProgram,
} from "../support/socket-place.ts";

const HASH: MapSpec = { name: "test_hash", type: "hash", keyBytes: 4, valueBytes: 8, capacity: 20_000 };

function key(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer);
}

function value(number: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(number)).buffer);
}

function elements(from: number, count: number) {
  const keys = new Uint8Array(Uint32Array.from({ length: count }, (_, index) => from + index).buffer);
  const values = new Uint8Array(BigUint64Array.from({ length: count }, (_, index) => BigInt(from + index) * 3n).buffer);
  return { keys, values, count };
}

function nothingRefused(index: number, error: Error): never {
  throw new Error(`element ${index}`, { cause: error });
}

function refused(action: () => unknown): NetError {
  try {
    action();
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
  throw new Error("it wasn't refused");
}

describe("eBPF of the kernel", function () {
  this.timeout(20_000);
  let place: SocketPlace;
  const undo: (() => void)[] = [];
  const create = (spec: MapSpec): BpfMap => {
    const map = BpfMap.create(spec);
    undo.push(() => map.close());
    return map;
  };

  before(function () {
    const reason = socketPlaceUnavailable();
    if (reason === undefined) return;
    console.log(`      skipped: ${reason}`);
    this.skip();
  });
  beforeEach(() => {
    place = openSocketPlace();
    undo.push(() => place.close());
    linuxFiles.makeDirectory(place.pins);
  });
  afterEach(() => {
    for (const step of undo.splice(0).reverse()) step();
  });

  it("a map keeps what is set until it is deleted", () => {
    const map = create(HASH);
    expect(map.get(key(1))).to.equal(undefined);
    map.set(key(1), value(5));
    map.set(key(2), value(6));
    map.set(key(1), value(7));
    expect(map.get(key(1))).to.deep.equal(value(7));
    expect(map.delete(key(1))).to.equal(true);
    expect(map.delete(key(1))).to.equal(false);
    expect(map.get(key(1))).to.equal(undefined);
    expect(map.get(key(2))).to.deep.equal(value(6));
  });

  it("thousands of elements are set, read and deleted in few calls", () => {
    const map = create(HASH);
    map.setMany(elements(0, 15_000), nothingRefused);
    const { keys, values, count } = map.dump();
    expect(count).to.equal(15_000);
    const numbers = new Uint32Array(keys.buffer);
    const found = new BigUint64Array(values.buffer);
    expect(new Set(numbers).size).to.equal(15_000);
    expect(numbers.every((number, index) => found[index] === BigInt(number) * 3n)).to.equal(true);
    map.deleteMany(elements(5_000, 10_000).keys, 10_000);
    expect(map.dump().count).to.equal(5_000);
    map.deleteMany(elements(0, 8_000).keys, 8_000);
    expect(map.dump().count, "elements that are gone already are passed over").to.equal(0);
  });

  it("an empty map and one of a single element are read whole", () => {
    const map = create({ ...HASH, capacity: 1 });
    expect(map.dump().count).to.equal(0);
    map.set(key(9), value(1));
    expect(map.dump()).to.deep.equal({ keys: key(9), values: value(1), count: 1 });
  });

  it("a full map refuses by name, element by element, and takes what it still can", () => {
    const map = create({ ...HASH, capacity: 10 });
    const indexes: number[] = [];
    map.set(key(11), value(1));
    map.setMany(elements(0, 12), (index, error) => {
      indexes.push(index);
      expect(error.message).to.match(/test_hash.*full with 10/);
    });
    expect(indexes, "the last one is there already").to.deep.equal([9, 10]);
    expect(map.get(key(11))).to.deep.equal(value(33));
    expect(refused(() => map.set(key(50), value(1))).errno).to.equal("E2BIG");
  });

  it("an LRU map makes room by itself", () => {
    const map = create({ ...HASH, name: "test_lru", type: "lru-hash", capacity: 1000 });
    map.setMany(elements(0, 5000), nothingRefused);
    expect(map.dump().count).to.be.within(1, 1000);
  });

  it("an array holds all its elements from the start", () => {
    const map = create({ ...HASH, name: "test_array", type: "array", capacity: 3 });
    expect(map.dump().count).to.equal(3);
    map.set(key(2), value(4));
    expect(map.get(key(2))).to.deep.equal(value(4));
  });

  it("a pinned map outlives its descriptor and is taken up again if it fits", () => {
    const path = `${place.pins}/map`;
    expect(BpfMap.pinned(path, HASH)).to.equal(undefined);
    const map = BpfMap.create(HASH);
    map.pin(path);
    map.set(key(1), value(2));
    const { id } = map;
    map.close();
    for (const other of [{ name: "other" }, { valueBytes: 16 }, { capacity: 5 }, { type: "lru-hash" as const }]) {
      expect(BpfMap.pinned(path, { ...HASH, ...other })).to.equal(undefined);
    }
    const again = BpfMap.pinned(path, HASH);
    expect(again?.id).to.equal(id);
    expect(again?.get(key(1))).to.deep.equal(value(2));
    expect(refused(() => again?.pin(path)).errno).to.equal("EEXIST");
    again?.close();
  });

  it("a program that isn't safe is refused with the verifier's words", () => {
    const instructions = new BpfAssembler().load(8, "r0", "r2", 0).exit().finish();
    const error = refused(() => loadProgram({ name: "unsafe", hook: "connect4", instructions }));
    expect(error.errno).to.equal("EACCES");
    expect(error.message).to.include("load BPF program unsafe for connect4").and.include("R2 !read_ok");
  });

  it("a program tells its name and maps", () => {
    const [first, second] = [create(HASH), create({ ...HASH, name: "second" })];
    const assembler = new BpfAssembler();
    for (const map of [first, second]) {
      assembler.store(4, "r10", -4, 1).move("r2", "r10").compute("add", "r2", -4);
      assembler.map("r1", map.descriptor).call("map_lookup_elem");
    }
    const instructions = assembler.move("r0", 1).exit().finish();
    const program = loadProgram({ name: "reader", hook: "connect6", instructions });
    const info = programInfo(program);
    closeProgram(program);
    expect(info.name).to.equal("reader");
    expect(info.maps).to.have.members([first.id, second.id]);
  });

  it("a link is attached, replaced in place, found again by its pin, and detached", () => {
    const folder = openFolder(place.cgroup);
    undo.push(() => closeFolder(folder));
    const link = withPlainProgram("connect4", (program) => CgroupLink.attach(program, folder, "connect4"));
    undo.push(() => link.close());
    const first = link.info();
    expect(first?.attachType).to.equal(attachTypeOf("connect4"));
    expect(first?.cgroup).to.equal(linuxFiles.stat(place.cgroup)?.inode);
    expect(programsOf(place.cgroup, "connect4")).to.deep.equal([first?.program]);
    expect(programInfoById(first?.program ?? 0)?.name).to.equal("plain");
    link.pin(`${place.pins}/link`);
    withPlainProgram("connect4", (program) => link.update(program));
    const again = CgroupLink.pinned(`${place.pins}/link`);
    const second = again?.info();
    expect(second?.id).to.equal(first?.id);
    expect(second?.program).to.not.equal(first?.program);
    expect(programsOf(place.cgroup, "connect4")).to.deep.equal([second?.program]);
    again?.detach();
    again?.close();
    expect(link.info()?.cgroup).to.equal(0n);
    expect(programsOf(place.cgroup, "connect4")).to.deep.equal([]);
    expect(CgroupLink.pinned(`${place.pins}/nothing`)).to.equal(undefined);
  });

  it("what isn't a control group can't be attached to", () => {
    const folder = openFolder("/proc");
    const error = refused(() =>
      withPlainProgram("connect4", (program) => CgroupLink.attach(program, folder, "connect4")),
    );
    closeFolder(folder);
    expect(error.message).to.include("attach a BPF program to connect4");
  });

  it("finds the control groups among the mounts, and mounts them where no one has", () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-cgroup-"));
    undo.push(() => rmdirSync(folder));
    expect(cgroupRoot(folder)).to.equal(testCgroups());
    const program = `
      import { cgroupRoot } from "${join(import.meta.dir, "../../kernel/mounts.ts")}";
      console.log(cgroupRoot("${folder}"));`;
    const script = 'for at in $(findmnt -rno TARGET -t cgroup2 | tac); do umount -l "$at"; done; "$@"; ls "$0"';
    const command = ["unshare", "--mount", "sh", "-c", script, folder, process.execPath, "-e", program];
    const { stdout, stderr } = Bun.spawnSync(command);
    expect(stderr.toString()).to.equal("");
    expect(stdout.toString())
      .to.match(new RegExp(`^${folder}\n`))
      .and.include("cgroup.procs");
  });

  it("mounts the BPF file system once, and says where it can't", () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-bpf-"));
    undo.push(() => rmdirSync(folder));
    mountBpfFilesystem(folder);
    undo.push(() => Bun.spawnSync(["umount", folder]));
    mountBpfFilesystem(folder);
    expect(mounts().filter(({ path }) => path === folder)).to.deep.equal([{ path: folder, type: "bpf" }]);
    const error = refused(() => mountBpfFilesystem(`${folder}-missing`));
    expect(error.errno).to.equal("ENOENT");
    expect(error.message).to.include(`${folder}-missing`);
  });
});
