import { expect } from "chai";
import { openFake } from "../../kernel/fake.ts";
import { parseIp } from "../../lib/address.ts";
import { hasErrno } from "../../lib/error.ts";
import { type Fixture, openFixture } from "./fixture.ts";
import { add, address, bridge, set, up, veth } from "./operations.ts";
import { kernelSuite } from "./suite.ts";
import { ipvsCases } from "./suite-ipvs.ts";

describe("the kernel in memory", () => {
  kernelSuite(() => {
    const machine = openFake();
    return openFixture(machine, "/run/netns", (kernel, port) => {
      const local = parseIp("127.0.0.1");
      const ports = { sourcePort: 40000 + (port % 1000), destinationPort: port, replySourcePort: port };
      kernel.addFlow({ protocol: 17, source: local, destination: local, replySource: local, ...ports });
    });
  });

  describe("IPVS", () => {
    let fixture: Fixture | undefined;
    beforeEach(() => {
      fixture = openFixture(openFake(), "/run/netns", () => undefined);
    });
    ipvsCases(() => {
      if (fixture === undefined) throw new Error("no namespace outside a test");
      return fixture;
    });

    it("a kernel without it says so, and one with few modules too", () => {
      const { ipvs } = openFake({ schedulers: [] });
      expect(() => ipvs.services()).to.throw("none");
      const few = openFake({ schedulers: ["wlc"] });
      const key = { protocol: 6, ip: parseIp("11.0.0.1"), port: 80 };
      const settings = { persistence: 0, onePacket: false, schedulerFlags: 0 };
      const outcome = few.ipvs.attempt([
        { do: "service.add", service: { ...key, ...settings, scheduler: "mh" } },
        { do: "service.add", service: { ...key, ...settings, scheduler: "wlc" } },
      ]);
      expect(outcome.map((error) => hasErrno(error, "ENOENT"))).to.deep.equal([true, false]);
    });
  });

  describe("what only a test may do", () => {
    it("the next operation of a kind fails as told, once, and does nothing", () => {
      const kernel = openFake();
      kernel.failNext("ENOMEM", "address.add");
      const outcome = kernel.attempt([
        bridge("br0"),
        address("add", "br0", "10.1.0.1/24"),
        address("add", "br0", "10.1.0.2/24"),
      ]);
      expect(outcome.map((error) => hasErrno(error, "ENOMEM"))).to.deep.equal([false, true, false]);
      expect(kernel.addresses("br0")).to.have.lengthOf(1);
    });

    it("failures line up, reach other namespaces, and every way to change something", () => {
      const kernel = openFake();
      kernel.createNetns("/run/netns/a");
      const netns = kernel.openNetns("/run/netns/a");
      if (netns === undefined) throw new Error("it was just made");
      const inner = kernel.within(netns);
      kernel.failNext("EPERM");
      kernel.failNext("EBUSY");
      expect(hasErrno(inner.attempt([up("lo")])[0], "EPERM")).to.equal(true);
      expect(hasErrno(kernel.attempt([up("lo")])[0], "EBUSY")).to.equal(true);
      const ways = {
        nftables: () => inner.nftables.run(["add table inet t"]),
        sysctl: () => inner.setSysctl("net/ipv4/ip_forward", "1"),
        conntrack: () => inner.conntrack.delete(4, () => true),
        netns: () => inner.createNetns("/run/netns/b"),
      } as const;
      for (const [point, way] of Object.entries(ways)) {
        kernel.failNext("EIO", point as keyof typeof ways);
        expect(way, point).to.throw("EIO");
        expect(way, point).to.not.throw();
      }
    });

    it("kernels without dummy links and VLAN filtering say so", () => {
      const kernel = openFake({ dummy: false, vlanFiltering: false });
      const outcome = kernel.attempt([
        add({ kind: "dummy", name: "d0" }),
        bridge("br0", { vlanFiltering: true }),
        bridge("br1"),
        { do: "vlan.add", dev: "br1", vid: 10, pvid: false, untagged: false },
      ]);
      expect(outcome.map((error) => hasErrno(error, "EOPNOTSUPP"))).to.deep.equal([true, true, false, true]);
    });

    it("duplicate address detection lasts until it is ended", () => {
      const kernel = openFake();
      kernel.apply([veth("v0", "v1", { up: true }), up("v1"), address("add", "v0", "fd00::1/64")]);
      expect(kernel.addresses("v0").every(({ tentative }) => tentative)).to.equal(true);
      kernel.finishDad();
      expect(kernel.addresses("v0").some(({ tentative }) => tentative)).to.equal(false);
    });

    it("announcements are remembered, where the settings ask for them", () => {
      const kernel = openFake();
      const mac = "0a:00:00:00:00:01";
      kernel.apply([bridge("br0", { mac, up: true }), address("add", "br0", "10.1.0.1/24"), set("br0", { mac })]);
      expect(kernel.announcements()).to.deep.equal([]);
      kernel.apply([set("br0", { arpNotify: true }), set("br0", { mac })]);
      expect(kernel.announcements()).to.deep.equal([{ dev: "br0", ip: parseIp("10.1.0.1") }]);
    });

    it("two machines behave the same, number by number", () => {
      const states = [openFake(), openFake()].map((kernel) => {
        kernel.apply([bridge("br0"), veth("v0", "v1"), up("v0"), up("v1")]);
        return [kernel.links(), kernel.addresses(), kernel.netns().id];
      });
      expect(states[0]).to.deep.equal(states[1]);
    });

    it("an unknown nft object is a mistake of the test, not a refusal", () => {
      expect(() => openFake().nftables.run(["add counter ip t c"])).to.throw("knows no add counter");
    });
  });
});
