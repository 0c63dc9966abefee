import { expect } from "chai";
import fc from "fast-check";
import { prefixName, widest } from "../../../cni/firewall-prefix.ts";
import {
  contains,
  formatPrefix,
  type Ip,
  networkOf,
  overlaps,
  type Prefix,
  parsePrefix,
} from "../../../lib/address.ts";

const IP: fc.Arbitrary<Ip> = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ family: 4, value }));
const PREFIX: fc.Arbitrary<Prefix> = fc
  .tuple(IP, fc.integer({ min: 0, max: 32 }))
  .map(([ip, length]) => networkOf({ ip, length }));

describe("prefixes in nft's language", () => {
  it("are named without colon and slash", () => {
    expect(prefixName(parsePrefix("10.1.0.0/16"))).to.equal("10.1.0.0-16");
    expect(prefixName(parsePrefix("fd01:b::/64"))).to.equal("fd01_b__-64");
  });

  it("are kept when no other covers them, once", () => {
    const prefixes = ["10.1.0.0/16", "fd01::/64", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "fd01::/64"];
    expect(widest(prefixes.map(parsePrefix)).map(formatPrefix)).to.deep.equal([
      "fd01::/64",
      "10.0.0.0/8",
      "192.0.2.0/24",
    ]);
  });

  it("cover the same addresses as before, without any overlap", () => {
    fc.assert(
      fc.property(fc.array(PREFIX, { minLength: 1, maxLength: 8 }), fc.array(IP), (prefixes, ips) => {
        const kept = widest(prefixes);
        for (const ip of [...ips, ...prefixes.map((prefix) => prefix.ip)]) {
          expect(kept.some((prefix) => contains(prefix, ip))).to.equal(prefixes.some((prefix) => contains(prefix, ip)));
        }
        for (const [index, prefix] of kept.entries()) {
          expect(kept.slice(index + 1).some((other) => overlaps(prefix, other))).to.equal(false);
        }
      }),
    );
  });
});
