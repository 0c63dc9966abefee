import { expect } from "chai";
import fc from "fast-check";
import { isUnder, nameBytes, parentOf, parseName, readName } from "../../../dns/name.ts";

describe("a name", () => {
  it("is the same after it was written and read, whatever bytes its labels have", () => {
    const label = fc.uint8Array({ minLength: 1, maxLength: 63 });
    fc.assert(
      fc.property(fc.array(label, { maxLength: 3 }), (labels) => {
        const wire = Uint8Array.from([...labels.flatMap((each) => [each.length, ...each]), 0]);
        const read = readName(wire, 0);
        const again = nameBytes(read?.name ?? "?");
        expect(read?.end).to.equal(wire.length);
        expect(readName(again ?? new Uint8Array(0), 0)?.name).to.equal(read?.name);
      }),
    );
  });

  it("is read in lower case, with dots inside labels escaped", () => {
    const wire = Uint8Array.from([3, 0x41, 0x2e, 0x5a, 1, 0x62, 0]);
    expect(readName(wire, 0)).to.deep.equal({ name: "a\\046z.b", end: 7 });
  });

  it("follows pointers backwards only", () => {
    expect(readName(Uint8Array.from([1, 0x61, 0, 0xc0, 0]), 3)).to.deep.equal({ name: "a", end: 5 });
    expect(readName(Uint8Array.from([0xc0, 0]), 0)).to.equal(undefined);
    expect(readName(Uint8Array.from([1, 0x61, 0xc0, 0]), 2)).to.equal(undefined);
  });

  it("has labels of 63 and 255 bytes at most", () => {
    const label = "a".repeat(63);
    expect(nameBytes(label)?.length).to.equal(65);
    expect(nameBytes(`${label}a`)).to.equal(undefined);
    expect(nameBytes([label, label, label, "a".repeat(61)].join("."))?.length).to.equal(255);
    expect(nameBytes([label, label, label, "a".repeat(62)].join("."))).to.equal(undefined);
    expect(nameBytes("a..b")).to.equal(undefined);
  });

  it("is under a zone only at a dot", () => {
    expect(isUnder("a.mesos", "mesos")).to.equal(true);
    expect(isUnder("mesos", "mesos")).to.equal(true);
    expect(isUnder("amesos", "mesos")).to.equal(false);
    expect(parentOf("a.b.c")).to.equal("b.c");
    expect(parseName("A.Mesos.")).to.equal("a.mesos");
  });
});
