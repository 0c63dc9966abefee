import { expect } from "chai";
import fc from "fast-check";
import { splitNodeSubnet } from "../../../ipam/split.ts";
import { formatPrefix, lastOf, networkOf, parsePrefix, sizeOf } from "../../../lib/address.ts";
import { netErrorOf } from "../../support/ipam-scratch.ts";

describe("ipam/split", () => {
  for (const [subnet, mesos, docker] of [
    ["9.0.1.0/24", "9.0.1.0/25", "9.0.1.128/25"],
    ["10.0.0.0/31", "10.0.0.0/32", "10.0.0.1/32"],
    ["fd01:b:0:0:1::/80", "fd01:b:0:0:1::/81", "fd01:b::1:8000:0:0/81"],
  ] as const) {
    it(`gives Mesos ${mesos} and Docker ${docker} of ${subnet}`, () => {
      const halves = splitNodeSubnet(parsePrefix(subnet));
      expect(formatPrefix(halves.mesos)).to.equal(mesos);
      expect(formatPrefix(halves.docker)).to.equal(docker);
    });
  }

  it("covers every subnet exactly, in two equal parts", () => {
    const subnets = fc
      .tuple(fc.bigInt(0n, 2n ** 128n - 1n), fc.integer({ min: 0, max: 127 }))
      .map(([value, length]) => networkOf({ ip: { family: 6, value }, length }));
    fc.assert(
      fc.property(subnets, (subnet) => {
        const { mesos, docker } = splitNodeSubnet(subnet);
        expect(mesos.ip).to.deep.equal(subnet.ip);
        expect(docker.ip.value).to.equal(lastOf(mesos).value + 1n);
        expect(lastOf(docker)).to.deep.equal(lastOf(subnet));
        expect(sizeOf(mesos)).to.equal(sizeOf(docker));
      }),
    );
  });

  it("refuses a single address and a subnet with host bits", () => {
    expect(netErrorOf(() => splitNodeSubnet(parsePrefix("10.0.0.1/32"))).message).to.contain("single address");
    expect(netErrorOf(() => splitNodeSubnet(parsePrefix("10.0.0.1/24"))).message).to.contain("host bits");
  });
});
