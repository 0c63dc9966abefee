import { expect } from "chai";
import { DnsKeeper } from "../../../dns/apply.ts";
import { NOTRACK_TABLE } from "../../../dns/notrack.ts";
import { openFake } from "../../../kernel/fake.ts";
import { parseIp } from "../../../lib/address.ts";
import { dnsKeeperSuite } from "../../support/dns-keeper-suite.ts";

const ADDRESSES = ["198.51.100.1", "fd01:d::c633:6401"].map(parseIp);

describe("the DNS server's keeper on a kernel in memory", () => {
  dnsKeeperSuite(() => ({ kernel: openFake(), close: () => {} }));
});

describe("the DNS server's keeper on other kernels", () => {
  const parts = { device: "spartan", addresses: ADDRESSES, untracked: ADDRESSES, port: 53 };

  for (const [dummy, kind] of [
    [true, "dummy"],
    [false, "bridge"],
  ] as const) {
    it(`makes a ${kind} where the kernel ${dummy ? "has" : "lacks"} dummy devices`, () => {
      const kernel = openFake({ dummy });
      const keeper = new DnsKeeper({ kernel, ...parts });
      keeper.pass();
      expect([keeper.kind, kernel.link("spartan")?.kind]).to.deep.equal([kind, kind]);
    });
  }

  for (const point of ["link.add", "address.add", "nftables"] as const) {
    it(`does the rest, throws, and makes up for a refused ${point} in the next pass`, () => {
      const kernel = openFake();
      const keeper = new DnsKeeper({ kernel, ...parts });
      kernel.failNext("EPERM", point);
      expect(() => keeper.pass()).to.throw("EPERM");
      const isLater = point !== "nftables";
      expect(kernel.nftables.table("inet", NOTRACK_TABLE) !== undefined).to.equal(isLater);
      keeper.pass();
      expect(kernel.addresses("spartan").filter(({ scope }) => scope === "global")).to.have.length(2);
      expect(kernel.nftables.table("inet", NOTRACK_TABLE)).to.include("notrack");
      expect(keeper.pass()).to.deep.equal([]);
    });
  }
});
