import { expect } from "chai";
import { readConfig } from "../../../../bin/config.ts";
import { vipSettings } from "../../../../bin/l4lb/settings.ts";
import { formatIp } from "../../../../lib/address.ts";

function settings(given: Readonly<Record<string, string>>) {
  const { config } = readConfig({ text: JSON.stringify(given), file: "test", env: {} });
  return vipSettings(config);
}

describe("the settings of virtual IPs", () => {
  it("have the pools of DC/OS by default", () => {
    const { pools, drainMs } = settings({});
    const ends = [pools[4], pools[6]].map((pool) => pool && `${formatIp(pool.min)}-${formatIp(pool.max)}`);
    expect(ends).to.deep.equal(["11.0.0.0-11.255.255.255", "fd01:c::-fd01:c::ffff:ffff:ffff:ffff"]);
    expect(drainMs).to.equal(300_000);
  });

  it("can leave a family out", () => {
    const { pools } = settings({ l4lb_pool6: "" });
    expect([pools[4] === undefined, pools[6]]).to.deep.equal([false, undefined]);
  });

  for (const pool of ["11.0.0.0", "11.0.0.9-11.0.0.1", "fd01::1-fd01::2", "11.0.0.0-11.0.0.1-11.0.0.2", "a-b"]) {
    it(`refuse the pool ${pool}`, () => {
      expect(() => settings({ l4lb_pool: pool })).to.throw(/l4lb_pool.*no range of IPv4 addresses/);
    });
  }
});
