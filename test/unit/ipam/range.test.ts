import { expect } from "chai";
import fc from "fast-check";
import { completeRangeSets, formatSet, type RangeSet, rangeFor, sizeOfSet, spansAfter } from "../../../ipam/range.ts";
import { formatIp, parseIp, parsePrefix } from "../../../lib/address.ts";
import { netErrorOf, rangeSets } from "../../support/ipam-scratch.ts";

function only(...ranges: string[]): RangeSet {
  const [set] = rangeSets(ranges);
  if (set === undefined) throw new Error("no set");
  return set;
}

describe("ipam/range", () => {
  describe("fills in the defaults of the reference", () => {
    for (const [subnet, text, gateway, size] of [
      ["10.1.0.0/24", "10.1.0.1-10.1.0.254", "10.1.0.1", 253n],
      ["10.1.0.0/30", "10.1.0.1-10.1.0.2", "10.1.0.1", 1n],
      ["fd01::/64", "fd01::1-fd01::ffff:ffff:ffff:ffff", "fd01::1", 2n ** 64n - 2n],
      ["fd01::/126", "fd01::1-fd01::3", "fd01::1", 2n],
    ] as const) {
      it(`${subnet}: ${text} behind ${gateway}`, () => {
        const set = only(subnet);
        expect(formatSet(set)).to.equal(text);
        expect(set[0].gateway && formatIp(set[0].gateway)).to.equal(gateway);
        expect(sizeOfSet(set)).to.equal(size);
      });
    }
  });

  describe("uses every address of the smallest subnets, without a gateway", () => {
    for (const [subnet, text, size] of [
      ["10.1.0.4/31", "10.1.0.4-10.1.0.5", 2n],
      ["10.1.0.5/32", "10.1.0.5-10.1.0.5", 1n],
      ["fd01::4/127", "fd01::4-fd01::5", 2n],
      ["fd01::5/128", "fd01::5-fd01::5", 1n],
    ] as const) {
      it(`${subnet}: ${text}`, () => {
        const set = only(subnet);
        expect(formatSet(set)).to.equal(text);
        expect(set[0].gateway).to.equal(undefined);
        expect(sizeOfSet(set)).to.equal(size);
      });
    }

    it("leaves out a gateway that is given", () => {
      expect(sizeOfSet(only("10.1.0.4/31 via 10.1.0.4"))).to.equal(1n);
    });
  });

  describe("refuses with the reference's words", () => {
    for (const [sets, words] of [
      [[], "no IP ranges specified"],
      [[[]], "invalid range set 0: empty range set"],
      [[["10.1.0.5/24"]], "Network has host bits set. For a subnet mask of length 24 the network address is 10.1.0.0"],
      [[["10.1.0.0/24 10.2.0.5-10.1.0.9"]], "RangeStart 10.2.0.5 not in network 10.1.0.0/24"],
      [[["10.1.0.0/24 10.1.0.5-10.2.0.9"]], "RangeEnd 10.2.0.9 not in network 10.1.0.0/24"],
      [[["10.1.0.0/24 10.1.0.9-10.1.0.5"]], "RangeEnd 10.1.0.5 is before RangeStart 10.1.0.9"],
      [[["10.1.0.0/24 fd01::1-10.1.0.5"]], "RangeStart fd01::1 not in network 10.1.0.0/24"],
      [[["10.1.0.0/24 via fd01::1"]], "mixed address families"],
      [[["10.1.0.0/24", "fd01::/64"]], "mixed address families"],
      [
        [["10.1.0.0/24", "10.1.0.0/16"]],
        "invalid range set 0: subnets 10.1.0.1-10.1.0.254 and 10.1.0.1-10.1.255.254 overlap",
      ],
      [[["10.1.0.0/24"], ["10.2.0.0/24"], ["10.1.0.128/25"]], "range set 0 overlaps with 2"],
    ] as const) {
      it(`${JSON.stringify(sets)}: ${words}`, () => {
        const error = netErrorOf(() => rangeSets(...sets));
        expect(error.code).to.equal("invalid");
        expect(error.message).to.contain(words);
      });
    }
  });

  it("accepts ranges of one subnet that share no address", () => {
    expect(formatSet(only("10.1.0.0/24 10.1.0.10-10.1.0.20", "10.1.0.0/24 10.1.0.30-10.1.0.40"))).to.equal(
      "10.1.0.10-10.1.0.20,10.1.0.30-10.1.0.40",
    );
  });

  it("counts a gateway once that lies in another range of the set", () => {
    const set = only("10.1.0.0/24 10.1.0.10-10.1.0.19 via 10.1.0.35", "10.1.0.0/24 10.1.0.30-10.1.0.39 via 10.1.0.35");
    expect(sizeOfSet(set)).to.equal(19n);
  });

  describe("goes round robin", () => {
    const set = only("10.0.0.0/30 10.0.0.1-10.0.0.2", "10.0.1.0/30 10.0.1.1-10.0.1.2");
    for (const [last, spans] of [
      [undefined, "10.0.0.1-10.0.0.2 10.0.1.1-10.0.1.2"],
      ["10.9.9.9", "10.0.0.1-10.0.0.2 10.0.1.1-10.0.1.2"],
      ["10.0.0.1", "10.0.0.2-10.0.0.2 10.0.1.1-10.0.1.2 10.0.0.1-10.0.0.1"],
      ["10.0.0.2", "10.0.1.1-10.0.1.2 10.0.0.1-10.0.0.2"],
      ["10.0.1.2", "10.0.0.1-10.0.0.2 10.0.1.1-10.0.1.2"],
    ] as const) {
      it(`after ${last ?? "nothing"}: ${spans}`, () => {
        const order = spansAfter(set, last === undefined ? undefined : parseIp(last));
        expect(order.map(({ from, to }) => `${formatIp(from)}-${formatIp(to)}`).join(" ")).to.equal(spans);
      });
    }

    it("names every address exactly once, the last one at the end, whatever the ranges", () => {
      const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(lengths, fc.integer({ min: 0, max: 40 }), (sizes, lastByte) => {
          const [ranges] = completeRangeSets([
            sizes.map((size, index) => ({
              subnet: parsePrefix("10.0.0.0/24"),
              rangeStart: parseIp(`10.0.0.${index * 10 + 1}`),
              rangeEnd: parseIp(`10.0.0.${index * 10 + size}`),
            })),
          ]);
          if (ranges === undefined) throw new Error("no set");
          const last = parseIp(`10.0.0.${lastByte}`);
          const order = spansAfter(ranges, last).flatMap(({ from, to }) =>
            Array.from({ length: Number(to.value - from.value) + 1 }, (_, step) => from.value + BigInt(step)),
          );
          expect(new Set(order).size).to.equal(order.length);
          expect(order.length).to.equal(sizes.reduce((sum, size) => sum + size, 0));
          if (rangeFor(ranges, last) !== undefined) expect(order.at(-1)).to.equal(last.value);
        }),
      );
    });
  });

  it("holds an IPv6 space up to its very last address", () => {
    const set = only("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126");
    const order = spansAfter(set, parseIp("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    expect(order).to.have.length(1);
  });
});
