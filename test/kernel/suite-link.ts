import { expect } from "chai";
import { parseIp } from "../../lib/address.ts";
import { hasErrno } from "../../lib/error.ts";
import { skipBecause } from "../support/needs-root.ts";
import { eventually, type Fixture, refuses } from "./fixture.ts";
import { add, address, bridge, down, remove, set, up, veth, vxlan } from "./operations.ts";

/** Cases about links, bridges and their ports. */
export function linkCases(current: () => Fixture): void {
  it("a fresh namespace has only its loopback, down", () => {
    const [lo, ...others] = current().kernel.links();
    expect(others).to.deep.equal([]);
    expect(lo).to.include({ name: "lo", index: 1, up: false, loopback: true, mtu: 65536, kind: undefined });
  });

  it("a bridge has the address, MTU, alias and state that it was given", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { mac: "0a:00:00:00:00:01", mtu: 1400, alias: "made by a test", up: true })]);
    expect(kernel.link("br0")).to.deep.include({
      name: "br0",
      kind: "bridge",
      mac: "0a:00:00:00:00:01",
      mtu: 1400,
      alias: "made by a test",
      up: true,
      bridge: { vlanFiltering: false, active: false },
      bridgePort: undefined,
      master: undefined,
    });
  });

  it("a bridge without ports runs until it is given an address", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { up: true }), bridge("br1", { mac: "0a:00:00:00:00:01", up: true })]);
    expect(kernel.link("br0")?.running).to.equal(true);
    expect(kernel.link("br0")?.bridge?.active).to.equal(false);
    eventually(() => expect(kernel.link("br1")?.running).to.equal(false));
    kernel.apply([set("br0", { mac: "0a:00:00:00:00:02" })]);
    eventually(() => expect(kernel.link("br0")?.running).to.equal(false));
  });

  it("a link is found by name and by number, or not at all", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0")]);
    const index = kernel.link("br0")?.index ?? 0;
    expect(kernel.linkAt(index)?.name).to.equal("br0");
    expect(kernel.link("nothing")).to.equal(undefined);
    expect(kernel.linkAt(12345)).to.equal(undefined);
  });

  it("an alias may be 255 bytes long, not more", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), set("br0", { alias: "x".repeat(255) })]);
    expect(kernel.link("br0")?.alias).to.equal("x".repeat(255));
    refuses(kernel, set("br0", { alias: "x".repeat(256) }), "ERANGE");
    refuses(kernel, bridge("br1", { alias: "x".repeat(256) }), "ERANGE");
    kernel.apply([set("br0", { alias: "" })]);
    expect(kernel.link("br0")?.alias).to.equal(undefined);
  });

  it("a name that is taken is refused with EEXIST", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), veth("v0", "v1")]);
    refuses(kernel, bridge("br0"), "EEXIST");
    refuses(kernel, bridge("lo"), "EEXIST");
    refuses(kernel, veth("v2", "br0"), "EEXIST");
    refuses(kernel, veth("v2", "v2"), "EEXIST");
    refuses(kernel, set("v0", { name: "v1" }), "EEXIST");
  });

  it("a name that no link may have is refused", () => {
    const { kernel } = current();
    for (const name of ["", ".", "..", "a/b", "a:b", "a b"]) refuses(kernel, bridge(name), "EINVAL");
    refuses(kernel, bridge("sixteen-letters!"), "ERANGE");
    refuses(kernel, veth("v0", "a b"), "EINVAL");
    kernel.apply([bridge("br0")]);
    refuses(kernel, set("br0", { name: "a/b" }), "EINVAL");
    refuses(kernel, set("br0", { name: "sixteen-letters!" }), "ERANGE");
  });

  it("an MTU out of bounds is refused with EINVAL", () => {
    const { kernel } = current();
    refuses(kernel, bridge("br0", { mtu: 67 }), "EINVAL");
    refuses(kernel, vxlan("vx0", { mtu: 65536 }), "EINVAL");
    kernel.apply([veth("v0", "v1", { mtu: 68 })]);
    refuses(kernel, set("v0", { mtu: 67 }), "EINVAL");
    refuses(kernel, set("v0", { mtu: 65536 }), "EINVAL");
    kernel.apply([set("v0", { mtu: 65535 })]);
    expect(kernel.link("v0")?.mtu).to.equal(65535);
  });

  it("a hardware address that is not unicast is refused with EADDRNOTAVAIL", () => {
    const { kernel } = current();
    refuses(kernel, bridge("br0", { mac: "01:00:00:00:00:01" }), "EADDRNOTAVAIL");
    refuses(kernel, veth("v0", "v1", { mac: "00:00:00:00:00:00" }), "EADDRNOTAVAIL");
    kernel.apply([veth("v0", "v1")]);
    refuses(kernel, set("v0", { mac: "01:00:00:00:00:01" }), "EADDRNOTAVAIL");
  });

  it("a hardware address that is none is refused before the kernel is asked", () => {
    const { kernel } = current();
    const [error] = kernel.attempt([bridge("br0", { mac: "not an address" })]);
    expect(error).to.include({ code: "invalid" });
    expect(kernel.link("br0")).to.equal(undefined);
  });

  it("a link that is missing is ENODEV, whatever is wanted of it", () => {
    const { kernel } = current();
    refuses(kernel, up("nothing"), "ENODEV");
    refuses(kernel, remove("nothing"), "ENODEV");
    refuses(kernel, { do: "port.set", dev: "nothing", set: { hairpin: true } }, "ENODEV");
    kernel.apply([veth("v0", "v1")]);
    refuses(kernel, set("v0", { master: "nothing" }), "ENODEV");
  });

  it("the loopback can't be deleted", () => {
    refuses(current().kernel, remove("lo"), "EOPNOTSUPP");
  });

  it("a pair works when both ends are up", () => {
    const { kernel } = current();
    kernel.apply([veth("v0", "v1", { up: true })]);
    expect(kernel.link("v0")).to.include({ kind: "veth", up: true, running: false });
    kernel.apply([up("v1")]);
    eventually(() => {
      expect(kernel.link("v0")?.running).to.equal(true);
      expect(kernel.link("v1")?.running).to.equal(true);
    });
    kernel.apply([down("v0")]);
    eventually(() => expect(kernel.link("v1")?.running).to.equal(false));
  });

  it("both ends of a pair get what they were given and know each other", () => {
    const { kernel } = current();
    const peer = { name: "v1", mac: "0a:00:00:00:00:02", mtu: 1300 };
    kernel.apply([veth("v0", "v1", { mac: "0a:00:00:00:00:01", mtu: 1200, alias: "one", peer })]);
    const [v0, v1] = [kernel.link("v0"), kernel.link("v1")];
    expect(v0).to.include({ mac: "0a:00:00:00:00:01", mtu: 1200, alias: "one", peer: v1?.index });
    expect(v1).to.include({ mac: "0a:00:00:00:00:02", mtu: 1300, alias: undefined, peer: v0?.index });
  });

  it("deleting one end of a pair deletes the other", () => {
    const { kernel } = current();
    kernel.apply([veth("v0", "v1"), remove("v1")]);
    expect(kernel.links().map(({ name }) => name)).to.deep.equal(["lo"]);
  });

  it("a link can be renamed, and its settings go with the name", () => {
    const { kernel } = current();
    kernel.apply([veth("v0", "v1", { up: true })]);
    kernel.setSysctl("net/ipv4/conf/v0/rp_filter", "2");
    kernel.apply([set("v0", { name: "other" })]);
    expect(kernel.link("v0")).to.equal(undefined);
    expect(kernel.sysctl("net/ipv4/conf/other/rp_filter")).to.equal("2");
    expect(kernel.sysctl("net/ipv4/conf/v0/rp_filter")).to.equal(undefined);
  });

  it("promiscuous mode is switched on and off", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), set("br0", { promiscuous: true })]);
    expect(kernel.link("br0")?.promiscuous).to.equal(true);
    kernel.apply([set("br0", { promiscuous: false })]);
    expect(kernel.link("br0")?.promiscuous).to.equal(false);
  });

  it("a VXLAN device has the attributes that it was given", () => {
    const { kernel } = current();
    const local = parseIp("192.0.2.1");
    kernel.apply([vxlan("vx0", { vni: 7, port: 4789, learning: true, local, mac: "70:b3:d5:80:00:01", mtu: 1420 })]);
    const link = kernel.link("vx0");
    expect(link).to.deep.include({ kind: "vxlan", mac: "70:b3:d5:80:00:01", mtu: 1420 });
    expect(link?.vxlan).to.deep.equal({ vni: 7, port: 4789, learning: true, local });
    kernel.apply([vxlan("vx1", { udpChecksum: true, up: true })]);
    expect(kernel.link("vx1")?.vxlan).to.deep.equal({ vni: 1024, port: 64000, learning: false, local: undefined });
    expect(kernel.link("vx1")).to.include({ up: true, running: true, mtu: 1500 });
  });

  it("a second VXLAN device with the same identifier, port and family is refused with EEXIST", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0")]);
    refuses(kernel, vxlan("vx1"), "EEXIST");
    refuses(kernel, vxlan("vx1", { local: parseIp("192.0.2.1") }), "EEXIST");
    kernel.apply([
      vxlan("vx1", { port: 64001 }),
      vxlan("vx2", { vni: 1025 }),
      vxlan("vx3", { local: parseIp("fd00::1") }),
    ]);
    expect(kernel.link("vx3")?.vxlan?.local).to.deep.equal(parseIp("fd00::1"));
  });

  it("a VXLAN identifier of more than 24 bits is refused with ERANGE", () => {
    refuses(current().kernel, vxlan("vx0", { vni: 1 << 24 }), "ERANGE");
  });

  it("a dummy link works, where the kernel has the kind", function () {
    const { kernel } = current();
    const [error] = kernel.attempt([add({ kind: "dummy", name: "d0", up: true })]);
    if (hasErrno(error, "EOPNOTSUPP")) {
      expect(kernel.link("d0")).to.equal(undefined);
      skipBecause(this, "this kernel has no dummy links");
    }
    expect(kernel.link("d0")).to.include({ kind: "dummy", up: true, running: true });
  });

  describe("bridge ports", () => portCases(current));
}

function portCases(current: () => Fixture): void {
  it("a port knows its bridge, and its bridge takes the lowest address of its ports", () => {
    const { kernel } = current();
    kernel.apply([
      bridge("br0", { up: true }),
      veth("v0", "v1", { mac: "0a:00:00:00:00:05", up: true }),
      veth("v2", "v3", { mac: "0a:00:00:00:00:04", up: true }),
      set("v0", { master: "br0" }),
      set("v2", { master: "br0" }),
    ]);
    expect(kernel.link("v0")).to.deep.include({ master: kernel.link("br0")?.index });
    expect(kernel.link("br0")?.mac).to.equal("0a:00:00:00:00:04");
    kernel.apply([set("v2", { master: null })]);
    expect(kernel.link("v2")).to.deep.include({ master: undefined, bridgePort: undefined });
    expect(kernel.link("br0")?.mac).to.equal("0a:00:00:00:00:05");
  });

  it("a bridge that was given an address keeps it", () => {
    const { kernel } = current();
    kernel.apply([
      bridge("br0", { mac: "0a:00:00:00:00:09" }),
      bridge("br1"),
      set("br1", { mac: "0a:00:00:00:00:08" }),
      veth("v0", "v1", { mac: "0a:00:00:00:00:01" }),
      set("v0", { master: "br0" }),
    ]);
    expect(kernel.link("br0")?.mac).to.equal("0a:00:00:00:00:09");
    kernel.apply([set("v0", { master: "br1" })]);
    expect(kernel.link("br1")?.mac).to.equal("0a:00:00:00:00:08");
    expect(kernel.link("v0")?.master).to.equal(kernel.link("br1")?.index);
  });

  it("a bridge takes the lowest MTU of its ports until one is set", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { mtu: 9000 }), veth("v0", "v1", { mtu: 1400 }), set("v0", { master: "br0" })]);
    expect(kernel.link("br0")?.mtu).to.equal(1400);
    kernel.apply([set("v0", { mtu: 1350 })]);
    expect(kernel.link("br0")?.mtu).to.equal(1350);
    kernel.apply([set("br0", { mtu: 1300 }), set("v0", { mtu: 1280 })]);
    expect(kernel.link("br0")?.mtu).to.equal(1300);
  });

  it("setting the MTU that a bridge has already doesn't keep it from following its ports", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { mtu: 1420 }), set("br0", { mtu: 1420 })]);
    kernel.apply([veth("v0", "v1", { mtu: 1500 }), set("v0", { master: "br0" })]);
    expect(kernel.link("br0")?.mtu).to.equal(1500);
  });

  it("hairpin and isolation are set on ports only", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), veth("v0", "v1")]);
    refuses(kernel, { do: "port.set", dev: "v0", set: { hairpin: true } }, "EOPNOTSUPP");
    kernel.apply([set("v0", { master: "br0" }), { do: "port.set", dev: "v0", set: { hairpin: true, isolated: true } }]);
    expect(kernel.link("v0")?.bridgePort).to.include({ hairpin: true, isolated: true });
    kernel.apply([{ do: "port.set", dev: "v0", set: { hairpin: false } }]);
    expect(kernel.link("v0")?.bridgePort).to.include({ hairpin: false, isolated: true });
  });

  it("a port forwards when it, its peer and its bridge are up", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { up: true }), veth("v0", "v1", { up: true }), set("v0", { master: "br0" })]);
    expect(kernel.link("v0")?.bridgePort?.forwarding).to.equal(false);
    eventually(() => expect(kernel.link("br0")?.running).to.equal(false));
    kernel.apply([up("v1")]);
    eventually(() => {
      expect(kernel.link("v0")?.bridgePort?.forwarding).to.equal(true);
      expect(kernel.link("br0"))
        .to.include({ running: true })
        .and.deep.include({ bridge: { vlanFiltering: false, active: true } });
    });
  });

  it("only a bridge takes ports, and not every link can be one", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), bridge("br1"), veth("v0", "v1")]);
    refuses(kernel, set("v0", { master: "v1" }), "EOPNOTSUPP");
    refuses(kernel, set("br0", { master: "br1" }), "ELOOP");
    refuses(kernel, set("br0", { master: "br0" }), "ELOOP");
    refuses(kernel, set("lo", { master: "br0" }), "EINVAL");
  });

  it("deleting a bridge frees its ports", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), veth("v0", "v1"), set("v0", { master: "br0" }), address("add", "br0", "10.1.0.1/24")]);
    kernel.apply([remove("br0")]);
    expect(kernel.link("v0")).to.deep.include({ master: undefined, bridgePort: undefined });
    expect(kernel.addresses("br0")).to.deep.equal([]);
  });

  it("a port has the VLANs that it was given, where the kernel filters VLANs", function () {
    const { kernel } = current();
    const [error] = kernel.attempt([bridge("br0", { vlanFiltering: true })]);
    if (hasErrno(error, "EOPNOTSUPP")) {
      // This kernel has no VLAN filtering, so that is what it must say, of the operation on a port too.
      kernel.apply([bridge("br0"), veth("v0", "v1"), set("v0", { master: "br0" })]);
      refuses(kernel, { do: "vlan.add", dev: "v0", vid: 10, pvid: true, untagged: true }, "EOPNOTSUPP");
      skipBecause(this, "this kernel has no VLAN filtering");
    }
    kernel.apply([veth("v0", "v1"), set("v0", { master: "br0" })]);
    kernel.apply([{ do: "vlan.add", dev: "v0", vid: 10, pvid: true, untagged: true }]);
    expect(kernel.link("br0")?.bridge?.vlanFiltering).to.equal(true);
    expect(kernel.vlans("v0")).to.deep.equal([
      { vid: 1, pvid: false, untagged: true },
      { vid: 10, pvid: true, untagged: true },
    ]);
    kernel.apply([{ do: "vlan.delete", dev: "v0", vid: 10 }]);
    expect(kernel.vlans("v0")).to.deep.equal([{ vid: 1, pvid: false, untagged: true }]);
    refuses(kernel, { do: "vlan.delete", dev: "v0", vid: 10 }, "ENOENT");
    refuses(kernel, { do: "vlan.add", dev: "v0", vid: 4095, pvid: false, untagged: false }, "EINVAL");
  });
}
