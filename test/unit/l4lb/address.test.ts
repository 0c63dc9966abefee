import { readFileSync } from "node:fs";
import { expect } from "chai";
import { firstAddress, nextAddress, poolHas, poolSize, type VipPool } from "../../../l4lb/address.ts";
import { lookup2 } from "../../../l4lb/hash.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";

const pool = (min: string, max: string): VipPool => ({ min: parseIp(min), max: parseIp(max) });
const POOL = pool("11.0.0.0", "11.0.0.254");
const FIXTURES = process.env["DCOS_NET_FIXTURES"];

interface Vector {
  readonly name: string;
  readonly phash2_full: number;
  readonly upstream_test_pool: string;
  readonly app_default_pool: string;
  readonly dcos_default_pool: string;
  readonly v6_default_pool: string;
}

describe("the first address of a name", () => {
  it("is where the reference looks first", () => {
    expect(lookup2("foo.bar")).to.equal(1_166_686_807);
    expect(lookup2("")).to.equal(147_926_629);
    expect(formatIp(firstAddress("foo.bar", POOL))).to.equal("11.0.0.37");
    const whole = pool("11.0.0.0", "11.255.255.255");
    expect(formatIp(firstAddress("app.marathon", whole))).to.equal("11.171.172.79");
    const v6 = pool("fd01:c::", "fd01:c::ffff:ffff:ffff:ffff");
    expect(formatIp(firstAddress("qux.ipv6", v6))).to.equal("fd01:c::6d6d:9c64:fd19:f251");
  });

  it(`is that of the recorded vectors${FIXTURES === undefined ? " (DCOS_NET_FIXTURES is not set)" : ""}`, function () {
    if (FIXTURES === undefined) return this.skip();
    const vectors = JSON.parse(readFileSync(`${FIXTURES}/l4lb/vip-hash-vectors.json`, "utf8")) as Vector[];
    expect(vectors).not.to.deep.equal([]);
    for (const vector of vectors) {
      const at = (min: string, max: string) => formatIp(firstAddress(vector.name, pool(min, max)));
      expect({
        name: vector.name,
        phash2_full: lookup2(vector.name),
        upstream_test_pool: at("11.0.0.0", "11.0.0.254"),
        app_default_pool: at("11.0.0.0", "11.255.255.254"),
        dcos_default_pool: at("11.0.0.0", "11.255.255.255"),
        v6_default_pool: at("fd01:c::", "fd01:c::ffff:ffff:ffff:ffff"),
      }).to.deep.equal(vector);
    }
  });

  it("is the only one of a pool of one", () => {
    expect(formatIp(firstAddress("foo.bar", pool("11.0.0.7", "11.0.0.7")))).to.equal("11.0.0.7");
  });
});

describe("a pool", () => {
  it("goes on with its first address after its last", () => {
    expect(formatIp(nextAddress(POOL.max, POOL))).to.equal("11.0.0.0");
    expect(formatIp(nextAddress(POOL.min, POOL))).to.equal("11.0.0.1");
  });

  it("has its ends and what is between them", () => {
    expect(poolSize(POOL)).to.equal(255n);
    const inside = ["11.0.0.0", "11.0.0.254", "11.0.0.255", "10.255.255.255", "::"].map((ip) =>
      poolHas(POOL, parseIp(ip)),
    );
    expect(inside).to.deep.equal([true, true, false, false, false]);
  });
});
