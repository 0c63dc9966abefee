import { expect } from "chai";
import fc from "fast-check";
import { contains, formatPrefix, overlaps, parseIp, parsePrefix } from "../../../lib/address.ts";
import {
  blockCount,
  bridgeName,
  nthBlock,
  overlapProblems,
  overlayNameProblem,
  rangeProblems,
  unusableProblem,
  vtepMac,
} from "../../../overlay/subnet.ts";

describe("node subnets", () => {
  const vectors: readonly (readonly [string, number, number, string])[] = [
    ["9.0.0.0/8", 24, 0, "9.0.0.0/24"],
    ["9.0.0.0/8", 24, 1, "9.0.1.0/24"],
    ["9.0.0.0/8", 24, 256, "9.1.0.0/24"],
    ["9.0.0.0/8", 24, 65_535, "9.255.255.0/24"],
    ["192.168.0.0/16", 20, 3, "192.168.48.0/20"],
    ["fd01:b::/64", 80, 1, "fd01:b:0:0:1::/80"],
    // The reference gives fd01:b:0:0:1ff:: here: its successor doesn't carry from one byte into the next.
    ["fd01:b::/64", 80, 256, "fd01:b:0:0:100::/80"],
    ["fd01:b::/64", 80, 65_535, "fd01:b:0:0:ffff::/80"],
    ["fd01:b::/61", 67, 63, "fd01:b:0:7:e000::/67"],
  ];
  for (const [subnet, length, index, expected] of vectors) {
    it(`number ${index} of ${subnet} in /${length} is ${expected}`, () => {
      const block = nthBlock(parsePrefix(subnet), length, index);
      expect(block === undefined ? undefined : formatPrefix(block)).to.equal(expected);
    });
  }

  it("lie inside the overlay and don't overlap", () => {
    const cases = fc.record({
      subnet: fc.constantFrom("9.0.0.0/8", "fd01:b::/61"),
      step: fc.integer({ min: 1, max: 16 }),
    });
    fc.assert(
      fc.property(cases, fc.nat(1 << 17), fc.nat(1 << 17), ({ subnet, step }, a, b) => {
        const space = parsePrefix(subnet);
        const length = space.length + step;
        const [left, right] = [nthBlock(space, length, a), nthBlock(space, length, b)];
        expect(left !== undefined).to.equal(BigInt(a) < blockCount(space, length));
        if (left === undefined || right === undefined) return;
        expect(contains(space, left.ip)).to.equal(true);
        expect(overlaps(left, right)).to.equal(a === b);
      }),
    );
  });
});

describe("the hardware address of a tunnel endpoint", () => {
  it("is the vendor prefix and the low 24 bits of its address", () => {
    expect(vtepMac("70:b3:d5", parseIp("44.128.0.1"))).to.equal("70:b3:d5:80:00:01");
    expect(vtepMac("70:b3:d5", parseIp("44.128.15.254"))).to.equal("70:b3:d5:80:0f:fe");
  });
});

describe("overlay names", () => {
  for (const name of ["dcos", "dcos6", "a", "0", "Prod_net.2-b", "x".repeat(63)]) {
    it(`may be ${name}`, () => expect(overlayNameProblem(name)).to.equal(undefined));
  }
  for (const name of [
    "host",
    "bridge",
    "default",
    "none",
    "",
    "-a",
    ".",
    "..",
    "a/b",
    "a b",
    "a;reboot",
    "ü",
    "x".repeat(64),
  ]) {
    it(`may not be ${JSON.stringify(name)}`, () => expect(overlayNameProblem(name)).to.be.a("string"));
  }

  it("of 13 characters or fewer stand in the device name as they are", () => {
    expect(bridgeName("m", "dcos")).to.equal("m-dcos");
    expect(bridgeName("d", "thirteen-char")).to.equal("d-thirteen-char");
  });

  it("that are longer are shortened to the same device name for ever", () => {
    // Written down: another value would orphan the bridges of running clusters.
    expect(bridgeName("m", "production-eu-west")).to.equal("m-produ-04zsggl");
  });

  it("always give a device name that fits, and different ones for different names", () => {
    const names = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/);
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(bridgeName("m", a).length).to.be.at.most(15);
        if (a !== b) expect(bridgeName("m", a)).not.to.equal(bridgeName("m", b));
      }),
    );
  });
});

describe("address ranges", () => {
  const refused: readonly (readonly [string, number, string])[] = [
    ["9.0.0.0/8", 7, "wider than the overlay"],
    ["9.0.0.0/8", 30, "at most /29"],
    ["fd01:b::/64", 126, "at most /125"],
    ["127.1.0.0/16", 24, "loopback"],
    ["224.0.0.0/8", 24, "multicast"],
    ["0.0.0.0/0", 24, "this network"],
    ["fe80::/64", 80, "link-local"],
  ];
  for (const [subnet, nodeLength, reason] of refused) {
    it(`of ${subnet} in /${nodeLength} are refused`, () => {
      expect(rangeProblems({ subnet: parsePrefix(subnet), nodeLength }).join()).to.include(reason);
    });
  }

  it("as DC/OS has them are fine", () => {
    expect(rangeProblems({ subnet: parsePrefix("9.0.0.0/8"), nodeLength: 24 })).to.deep.equal([]);
    expect(rangeProblems({ subnet: parsePrefix("fd01:b::/64"), nodeLength: 80 })).to.deep.equal([]);
    expect(unusableProblem(parsePrefix("44.128.0.0/20"))).to.equal(undefined);
  });
});

describe("overlapping address spaces", () => {
  it("are found in every pair-wise overlap, and only there", () => {
    const space = fc
      .tuple(fc.nat(15), fc.integer({ min: 24, max: 32 }))
      .map(([block, length]) => `10.0.${block}.0/${length}`);
    fc.assert(
      fc.property(fc.array(space, { maxLength: 8 }), (texts) => {
        const spaces = texts.map((text, index) => ({ key: `k${index}`, prefix: parsePrefix(text) }));
        const expected = spaces.some((a) => spaces.some((b) => a !== b && overlaps(a.prefix, b.prefix)));
        expect(overlapProblems(spaces).length > 0).to.equal(expected);
      }),
    );
  });

  it("are named with both keys, also when one holds two others", () => {
    const space = (key: string, text: string) => ({ key, prefix: parsePrefix(text) });
    const problems = overlapProblems([
      space("b", "9.1.0.0/16"),
      space("a", "9.0.0.0/8"),
      space("c", "9.200.0.0/16"),
      space("d", "10.0.0.0/8"),
    ]);
    expect(problems).to.have.length(2);
    expect(problems[0]).to.include("b 9.1.0.0/16 overlaps a 9.0.0.0/8");
    expect(problems[1]).to.include("c 9.200.0.0/16 overlaps a 9.0.0.0/8");
  });
});
