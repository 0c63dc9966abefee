import { expect } from "chai";
import { parseIp } from "../../lib/address.ts";
import { type Fixture, refuses, textOf } from "./fixture.ts";
import { address, bridge, down, dropNeighbor, fdb, neighbor, remove, set, up, veth, vxlan } from "./operations.ts";

const MAC = "02:00:00:00:00:05";
const OTHER_MAC = "02:00:00:00:00:06";

/** Cases about neighbour entries and VXLAN forwarding entries. */
export function neighborCases(current: () => Fixture): void {
  it("a permanent neighbour is listed as it was given", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0", { up: true })]);
    kernel.apply([neighbor("add", "vx0", "44.128.0.2", MAC), neighbor("add", "vx0", "fd01:b::2", OTHER_MAC)]);
    expect(kernel.neighbors("vx0").filter(({ permanent }) => permanent)).to.have.deep.members([
      { dev: "vx0", ip: parseIp("44.128.0.2"), mac: MAC, permanent: true },
      { dev: "vx0", ip: parseIp("fd01:b::2"), mac: OTHER_MAC, permanent: true },
    ]);
    expect(kernel.neighbors("nothing")).to.deep.equal([]);
  });

  it("a neighbour can be one that the kernel may forget", () => {
    const { kernel } = current();
    kernel.apply([
      veth("v0", "v1", { up: true }),
      up("v1"),
      { do: "neighbor.add", neighbor: { dev: "v0", ip: parseIp("10.1.0.9"), mac: MAC, permanent: false } },
    ]);
    const entry = { dev: "v0", ip: parseIp("10.1.0.9"), mac: MAC, permanent: false };
    expect(kernel.neighbors("v0")).to.deep.include(entry);
  });

  it("a neighbour that is there is EEXIST, a missing one ENOENT, a missing link ENODEV", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0"), neighbor("add", "br0", "10.1.0.5", MAC)]);
    refuses(kernel, neighbor("add", "br0", "10.1.0.5", OTHER_MAC), "EEXIST");
    refuses(kernel, dropNeighbor("br0", "10.1.0.6"), "ENOENT");
    refuses(kernel, neighbor("add", "nothing", "10.1.0.5", MAC), "ENODEV");
    refuses(kernel, dropNeighbor("nothing", "10.1.0.5"), "ENODEV");
    kernel.apply([neighbor("replace", "br0", "10.1.0.5", OTHER_MAC)]);
    expect(kernel.neighbors("br0").map(textOf)).to.deep.equal([`dev br0 ip 10.1.0.5 mac ${OTHER_MAC} permanent true`]);
    kernel.apply([dropNeighbor("br0", "10.1.0.5")]);
    expect(kernel.neighbors("br0")).to.deep.equal([]);
  });

  it("neighbours go when their link goes down, and when its hardware address is set, even to what it is", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0", { mac: MAC, up: true })]);
    const add = neighbor("add", "vx0", "44.128.0.2", OTHER_MAC);
    for (const flush of [down("vx0"), set("vx0", { mac: MAC }), set("vx0", { mac: OTHER_MAC })]) {
      kernel.apply([up("vx0"), add, flush]);
      expect(kernel.neighbors("vx0").filter(({ permanent }) => permanent)).to.deep.equal([]);
    }
    kernel.apply([add, up("vx0")]);
    expect(kernel.neighbors("vx0").filter(({ permanent }) => permanent)).to.have.lengthOf(1);
  });

  it("IPv4 neighbours go with the last IPv4 address of the link", () => {
    const { kernel } = current();
    kernel.apply([
      bridge("br0", { up: true }),
      address("add", "br0", "10.1.0.1/24"),
      neighbor("add", "br0", "10.1.0.5", MAC),
      neighbor("add", "br0", "fd00::5", MAC),
      address("delete", "br0", "10.1.0.1/24"),
    ]);
    const left = kernel.neighbors("br0").filter(({ permanent }) => permanent);
    expect(left.map(({ ip }) => textOf(ip))).to.deep.equal(["fd00::5"]);
  });

  it("a forwarding entry is listed as it was given, and survives its link's going down", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0", { up: true }), fdb("add", "vx0", MAC, "192.0.2.1"), down("vx0")]);
    expect(kernel.fdb("vx0")).to.deep.equal([{ dev: "vx0", mac: MAC, remote: parseIp("192.0.2.1") }]);
    expect(kernel.fdb("nothing")).to.deep.equal([]);
  });

  it("a hardware address has one remote, which can be replaced", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0"), fdb("add", "vx0", MAC, "192.0.2.1")]);
    refuses(kernel, fdb("add", "vx0", MAC, "192.0.2.1"), "EEXIST");
    refuses(kernel, fdb("add", "vx0", MAC, "192.0.2.2"), "EEXIST");
    kernel.apply([fdb("replace", "vx0", MAC, "192.0.2.3"), fdb("replace", "vx0", OTHER_MAC, "192.0.2.3")]);
    expect(kernel.fdb("vx0").map(textOf)).to.have.members([
      `dev vx0 mac ${MAC} remote 192.0.2.3`,
      `dev vx0 mac ${OTHER_MAC} remote 192.0.2.3`,
    ]);
  });

  it("deleting an entry by another remote leaves it, deleting a missing one is ENOENT", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0"), fdb("add", "vx0", MAC, "192.0.2.1"), fdb("delete", "vx0", MAC, "192.0.2.99")]);
    expect(kernel.fdb("vx0")).to.have.lengthOf(1);
    kernel.apply([fdb("delete", "vx0", MAC, "192.0.2.1")]);
    expect(kernel.fdb("vx0")).to.deep.equal([]);
    refuses(kernel, fdb("delete", "vx0", MAC, "192.0.2.1"), "ENOENT");
    refuses(kernel, fdb("delete", "nothing", MAC, "192.0.2.1"), "ENODEV");
  });

  it("a remote of the other family is refused", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx4"), vxlan("vx6", { local: parseIp("fd00::1") })]);
    refuses(kernel, fdb("add", "vx4", MAC, "fd00::2"), "EAFNOSUPPORT");
    refuses(kernel, fdb("add", "vx6", MAC, "192.0.2.1"), "EAFNOSUPPORT");
    kernel.apply([fdb("add", "vx6", MAC, "fd00::2")]);
    expect(kernel.fdb("vx6")).to.deep.equal([{ dev: "vx6", mac: MAC, remote: parseIp("fd00::2") }]);
  });

  it("entries for all addresses can be added, not replaced", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0"), fdb("add", "vx0", "00:00:00:00:00:00", "192.0.2.1")]);
    refuses(kernel, fdb("replace", "vx0", "00:00:00:00:00:00", "192.0.2.2"), "EOPNOTSUPP");
    refuses(kernel, fdb("replace", "vx0", "01:00:5e:00:00:01", "192.0.2.2"), "EOPNOTSUPP");
  });

  it("a deleted link takes its neighbours and entries along, also when its name is used again", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0"), neighbor("add", "vx0", "44.128.0.2", MAC), fdb("add", "vx0", MAC, "192.0.2.1")]);
    kernel.apply([remove("vx0"), vxlan("vx0")]);
    expect(kernel.neighbors("vx0")).to.deep.equal([]);
    expect(kernel.fdb("vx0")).to.deep.equal([]);
  });

  it("thousands of entries are listed whole", () => {
    const { kernel } = current();
    const peers = Array.from({ length: 3000 }, (_, index) => {
      const [high, low] = [(index >> 8).toString(16).padStart(2, "0"), (index & 255).toString(16).padStart(2, "0")];
      const mac = `70:b3:d5:80:${high}:${low}`;
      return [
        neighbor("replace", "vx0", `44.128.${index >> 8}.${index & 255}`, mac),
        fdb("replace", "vx0", mac, `10.0.${index >> 8}.${index & 255}`),
      ];
    });
    expect(
      kernel.attempt([vxlan("vx0", { up: true }), ...peers.flat()]).filter((error) => error !== undefined),
    ).to.deep.equal([]);
    expect(kernel.neighbors("vx0").filter(({ permanent }) => permanent)).to.have.lengthOf(3000);
    expect(kernel.fdb("vx0")).to.have.lengthOf(3000);
  });
}
