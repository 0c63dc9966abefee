import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { allocate, held, release } from "../../../ipam/allocate.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";
import { addresses, makeScratch, netErrorOf, rangeSets, type Scratch } from "../../support/ipam-scratch.ts";

const eth0 = (id: string) => ({ id, ifname: "eth0" });

describe("ipam/allocate", () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = makeScratch();
  });
  afterEach(() => scratch.remove());

  /** A directory as others left it: taken addresses and the marker of range set 0. */
  function given(taken: readonly string[], last: string): void {
    mkdirSync(scratch.path, { recursive: true });
    for (const address of taken) writeFileSync(join(scratch.path, address), "other\r\neth0");
    if (last !== "") writeFileSync(join(scratch.path, "last_reserved_ip.0"), last);
  }

  describe("hands out the address that the reference would", () => {
    for (const { subnets, taken, last, next } of [
      { subnets: ["10.0.0.0/29"], taken: [], last: "", next: "10.0.0.2/29" },
      { subnets: ["2001:db8:1::/64"], taken: [], last: "", next: "2001:db8:1::2/64" },
      { subnets: ["10.0.0.0/30"], taken: [], last: "", next: "10.0.0.2/30" },
      { subnets: ["10.0.0.0/29"], taken: ["10.0.0.2"], last: "", next: "10.0.0.3/29" },
      { subnets: ["10.0.0.0/29"], taken: [], last: "10.0.0.5", next: "10.0.0.6/29" },
      { subnets: ["10.0.0.0/29"], taken: ["10.0.0.4", "10.0.0.5"], last: "10.0.0.3", next: "10.0.0.6/29" },
      { subnets: ["10.0.0.0/29"], taken: ["10.0.0.6"], last: "10.0.0.5", next: "10.0.0.2/29" },
      { subnets: ["10.0.0.0/29"], taken: ["10.0.0.2"], last: "10.0.0.128", next: "10.0.0.3/29" },
      {
        subnets: ["10.0.0.0/29"],
        taken: ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"],
        last: "10.0.0.3",
        next: "10.0.0.3/29",
      },
      { subnets: ["10.0.0.0/29"], taken: [], last: "not an address", next: "10.0.0.2/29" },
      { subnets: ["10.0.0.0/30", "10.0.1.0/30"], taken: ["10.0.0.2"], last: "", next: "10.0.1.2/30" },
      { subnets: ["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], taken: [], last: "10.0.1.2", next: "10.0.2.2/30" },
      { subnets: ["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], taken: [], last: "10.0.2.2", next: "10.0.0.2/30" },
      { subnets: ["10.0.0.0/29 via 10.0.0.3"], taken: [], last: "10.0.0.2", next: "10.0.0.4/29" },
      { subnets: ["10.0.0.0/31"], taken: [], last: "", next: "10.0.0.0/31" },
      { subnets: ["10.0.0.0/31"], taken: ["10.0.0.0"], last: "10.0.0.0", next: "10.0.0.1/31" },
      { subnets: ["10.0.0.9/32"], taken: [], last: "", next: "10.0.0.9/32" },
      { subnets: ["fd01::8/127"], taken: ["fd01::8"], last: "", next: "fd01::9/127" },
    ]) {
      it(`of ${subnets.join(", ")} after ${last || "nothing"} with ${taken.join(", ") || "none"} taken: ${next}`, () => {
        given(taken, last);
        expect(addresses(allocate(scratch.store(), rangeSets(subnets), eth0("a")))).to.deep.equal([next]);
      });
    }
  });

  it("never hands out the broadcast address and reuses a released address only after a full lap", () => {
    const sets = rangeSets(["10.0.0.0/29"]);
    const order: string[] = [];
    for (let turn = 0; turn < 10; turn++) {
      order.push(...addresses(allocate(scratch.store(), sets, eth0("a"))));
      release(scratch.store(), eth0("a"));
    }
    const lap = ["10.0.0.2/29", "10.0.0.3/29", "10.0.0.4/29", "10.0.0.5/29", "10.0.0.6/29"];
    expect(order).to.deep.equal([...lap, ...lap]);
  });

  it("skips a gateway that lies in another range of the set", () => {
    const sets = rangeSets(["10.0.0.0/24 10.0.0.10-10.0.0.10 via 10.0.0.20", "10.0.0.0/24 10.0.0.20-10.0.0.21"]);
    expect(addresses(allocate(scratch.store(), sets, eth0("a")))).to.deep.equal(["10.0.0.10/24"]);
    expect(addresses(allocate(scratch.store(), sets, eth0("b")))).to.deep.equal(["10.0.0.21/24"]);
  });

  it("gives one address of each range set, with prefix length, gateway and place", () => {
    const leases = allocate(scratch.store(), rangeSets(["10.0.0.0/24"], ["fd01::/64 via fd01::ffff"]), eth0("a"));
    expect(addresses(leases)).to.deep.equal(["10.0.0.2/24", "fd01::1/64"]);
    expect(leases.map(({ gateway }) => gateway && formatIp(gateway))).to.deep.equal(["10.0.0.1", "fd01::ffff"]);
    expect(leases.map(({ set }) => set)).to.deep.equal([0, 1]);
    expect(held(scratch.store(), eth0("a")).map(formatIp)).to.deep.equal(["10.0.0.2", "fd01::1"]);
  });

  it("gives nothing at all when one range set has no address left, and leaves the markers where they were", () => {
    const sets = rangeSets(["10.0.0.0/24"], ["fd01::1/128"]);
    allocate(scratch.store(), sets, eth0("a"));
    const before = scratch.leases();
    expect(netErrorOf(() => allocate(scratch.store(), sets, eth0("b"))).code).to.equal("exhausted");
    expect(scratch.leases()).to.deep.equal(before);
    expect(readFileSync(join(scratch.path, "last_reserved_ip.0"), "utf8")).to.equal("10.0.0.2");
  });

  it("keeps the interfaces of one container apart", () => {
    const sets = rangeSets(["10.0.0.0/24"]);
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    allocate(scratch.store(), sets, { id: "a", ifname: "eth1" });
    expect(release(scratch.store(), { id: "a", ifname: "eth0" }).map(formatIp)).to.deep.equal(["10.0.0.2"]);
    expect(held(scratch.store(), { id: "a", ifname: "eth1" }).map(formatIp)).to.deep.equal(["10.0.0.3"]);
  });

  it("releases all interfaces of a container when none is named", () => {
    const sets = rangeSets(["10.0.0.0/24"]);
    allocate(scratch.store(), sets, { id: "a", ifname: "eth0" });
    allocate(scratch.store(), sets, { id: "a", ifname: "eth1" });
    allocate(scratch.store(), sets, eth0("b"));
    expect(release(scratch.store(), { id: "a", ifname: undefined }).map(formatIp)).to.deep.equal([
      "10.0.0.2",
      "10.0.0.3",
    ]);
    expect(Object.keys(scratch.leases())).to.deep.equal(["10.0.0.4"]);
  });

  it("releases an unknown container, and one of a network never used, without a trace", () => {
    expect(release(scratch.store(), eth0("a"))).to.deep.equal([]);
    expect(held(scratch.store(), eth0("a"))).to.deep.equal([]);
    expect(() => readFileSync(join(scratch.path, "lock"))).to.throw("ENOENT");
    allocate(scratch.store(), rangeSets(["10.0.0.0/24"]), eth0("b"));
    expect(release(scratch.store(), eth0("a"))).to.deep.equal([]);
  });

  it("refuses a second address for the same interface with the reference's words", () => {
    const sets = rangeSets(["10.0.0.0/24"]);
    allocate(scratch.store(), sets, eth0("a"));
    for (const requested of [[], [parseIp("10.0.0.77")]]) {
      const error = netErrorOf(() => allocate(scratch.store(), sets, eth0("a"), requested));
      expect(error.code).to.equal("conflict");
      expect(error.said).to.equal(
        "failed to allocate for range 0: 10.0.0.2 has been allocated to a, duplicate allocation is not allowed",
      );
    }
    expect(Object.keys(scratch.leases())).to.deep.equal(["10.0.0.2"]);
  });

  it("refuses an owner that a lease file could not tell apart", () => {
    for (const owner of [
      { id: "", ifname: "eth0" },
      { id: "a\r\nb", ifname: "eth0" },
      { id: "a", ifname: "" },
      { id: "a".repeat(5000), ifname: "eth0" },
    ]) {
      expect(netErrorOf(() => allocate(scratch.store(), rangeSets(["10.0.0.0/24"]), owner)).code).to.equal("invalid");
      expect(scratch.leases()).to.deep.equal({});
    }
  });

  describe("with requested addresses", () => {
    const sets = rangeSets(["10.0.0.0/24 10.0.0.1-10.0.0.99"], ["fd01::/64"]);

    it("gives each range set the first request that lies in it", () => {
      const leases = allocate(scratch.store(), sets, eth0("a"), [parseIp("fd01::55"), parseIp("10.0.0.44")]);
      expect(addresses(leases)).to.deep.equal(["10.0.0.44/24", "fd01::55/64"]);
    });

    it("goes on in round-robin order after the requested address", () => {
      allocate(scratch.store(), sets, eth0("a"), [parseIp("10.0.0.44")]);
      expect(addresses(allocate(scratch.store(), sets, eth0("b")))).to.deep.equal(["10.0.0.45/24", "fd01::3/64"]);
    });

    it("counts an address that is asked for twice once", () => {
      const twice = [parseIp("10.0.0.44"), parseIp("10.0.0.44")];
      expect(addresses(allocate(scratch.store(), sets, eth0("a"), twice))[0]).to.equal("10.0.0.44/24");
    });

    for (const [why, owner, requested, code, said] of [
      [
        "a gateway",
        "a",
        ["10.0.0.1"],
        "invalid",
        "failed to allocate for range 0: requested ip 10.0.0.1 is subnet's gateway",
      ],
      [
        "a taken address",
        "a",
        ["10.0.0.9"],
        "conflict",
        "failed to allocate for range 0: requested IP address 10.0.0.9 is not available in range set 10.0.0.1-10.0.0.99",
      ],
      [
        "its own address again",
        "z",
        ["fd01::9"],
        "conflict",
        "failed to allocate for range 1: requested IP address fd01::9 is not available in range set fd01::1-fd01::ffff:ffff:ffff:ffff",
      ],
      ["one outside", "a", ["10.0.0.100"], "invalid", "failed to allocate all requested IPs: 10.0.0.100"],
      [
        "more than one a set",
        "a",
        ["10.0.0.5", "10.0.0.6"],
        "invalid",
        "failed to allocate all requested IPs: 10.0.0.6",
      ],
      ["one of another family than any", "a", ["::ffff:10.0.0.5"], "invalid", "failed to allocate all requested IPs"],
    ] as const) {
      it(`refuses ${why} and gives nothing`, () => {
        given(["10.0.0.9"], "");
        writeFileSync(join(scratch.path, "fd01::9"), "z\r\neth0");
        const before = scratch.leases();
        const error = netErrorOf(() => allocate(scratch.store(), sets, eth0(owner), requested.map(parseIp)));
        expect(error.code).to.equal(code);
        expect(error.said).to.contain(said);
        expect(scratch.leases()).to.deep.equal(before);
      });
    }
  });

  describe("when a pool is exhausted", () => {
    it("names the pool, its size and its three largest holders", () => {
      const sets = rangeSets(["10.0.0.0/28"]);
      const counts = { busy: 5, small: 1, middle: 3, other: 4 };
      for (const [id, count] of Object.entries(counts)) {
        for (let index = 0; index < count; index++) allocate(scratch.store(), sets, { id, ifname: `eth${index}` });
      }
      const error = netErrorOf(() => allocate(scratch.store(), sets, eth0("late")));
      expect(error.code).to.equal("exhausted");
      expect(error.said).to.equal(
        "failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.14 " +
          "(network net, 13 addresses; largest holders: busy (5 addresses), other (4 addresses), middle (3 addresses))",
      );
      expect(error.remedy).to.contain("dcos-net ipam show");
    });

    it("names the three oldest where each container holds one", () => {
      const sets = rangeSets(["10.0.0.0/29"]);
      for (const id of ["e", "d", "c", "b", "a"]) {
        allocate(scratch.store(), sets, eth0(id));
        Bun.sleepSync(6);
      }
      const { said } = netErrorOf(() => allocate(scratch.store(), sets, eth0("late")));
      expect(said).to.contain("(network net, 5 addresses; each container holds one, the oldest: e, d, c)");
    });

    it("has an address again as soon as one is released", () => {
      const sets = rangeSets(["10.0.0.0/30"]);
      allocate(scratch.store(), sets, eth0("a"));
      netErrorOf(() => allocate(scratch.store(), sets, eth0("b")));
      release(scratch.store(), eth0("a"));
      expect(addresses(allocate(scratch.store(), sets, eth0("b")))).to.deep.equal(["10.0.0.2/30"]);
    });
  });
});
