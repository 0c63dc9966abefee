import { expect } from "chai";
import { parseIp } from "../../lib/address.ts";
import { hasErrno, NetError } from "../../lib/error.ts";
import { eventually, type Fixture, refuses } from "./fixture.ts";
import { address, bridge, neighbor, remove, set, up, veth, vxlan } from "./operations.ts";

function thrownBy(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Cases about namespaces, links between them, and settings. */
export function namespaceCases(current: () => Fixture): void {
  it("two handles of one namespace have the same identity, those of two have not", () => {
    const { kernel, machine, path, another } = current();
    const first = machine.openNetns(path);
    const second = machine.openNetns(path);
    const own = kernel.netns();
    const other = another();
    try {
      expect(first?.id).to.equal(second?.id);
      expect(own.id).to.equal(first?.id);
      expect(other.netns.id).to.not.equal(first?.id);
      expect(first?.path).to.equal(path);
    } finally {
      for (const handle of [first, second, own]) handle?.close();
    }
  });

  it("a path without a namespace opens nothing", () => {
    const { machine, path } = current();
    expect(machine.openNetns(`${path}-missing`)).to.equal(undefined);
    expect(machine.openNetns(`${path}/below`)).to.equal(undefined);
    expect(machine.deleteNetns(`${path}-missing`)).to.equal(false);
  });

  it("a namespace is made once at a path, and deleted once", () => {
    const { machine, path } = current();
    const extra = `${path}-extra`;
    machine.createNetns(extra);
    try {
      expect(
        hasErrno(
          thrownBy(() => machine.createNetns(extra)),
          "EEXIST",
        ),
      ).to.equal(true);
    } finally {
      expect(machine.deleteNetns(extra)).to.equal(true);
    }
    expect(machine.deleteNetns(extra)).to.equal(false);
    expect(machine.openNetns(extra)).to.equal(undefined);
  });

  it("an action runs inside, and its result comes out", () => {
    const { kernel } = current();
    expect(kernel.enter(() => 42)).to.equal(42);
    expect(() => kernel.enter(() => expect.fail("from inside"))).to.throw("from inside");
  });

  it("a veth peer is made in another namespace, under a name that may be taken here", () => {
    const { kernel, another } = current();
    const there = another();
    kernel.apply([bridge("eth0"), veth("v0", "eth0", { peer: { name: "eth0", mtu: 1400, netns: there.netns } })]);
    expect(there.kernel.link("eth0")).to.include({ kind: "veth", mtu: 1400, peer: kernel.link("v0")?.index });
    refuses(kernel, veth("v1", "eth0", { peer: { name: "eth0", netns: there.netns } }), "EEXIST");
    there.kernel.apply([up("eth0")]);
    kernel.apply([up("v0")]);
    eventually(() => expect(kernel.link("v0")?.running).to.equal(true));
    kernel.apply([remove("v0")]);
    expect(there.kernel.link("eth0")).to.equal(undefined);
  });

  it("deleting the far end deletes the near one", () => {
    const { kernel, another } = current();
    const there = another();
    kernel.apply([veth("v0", "eth0", { peer: { name: "eth0", netns: there.netns } })]);
    kernel.changed();
    there.kernel.apply([remove("eth0")]);
    expect(kernel.link("v0")).to.equal(undefined);
    expect(kernel.changed()).to.equal(true);
  });

  it("a link that moves arrives under its new name, down and bare", () => {
    const { kernel, another } = current();
    const there = another();
    kernel.apply([
      bridge("br0"),
      veth("v0", "v1", { mac: "0a:00:00:00:00:01", mtu: 1400, up: true }),
      set("v1", { master: "br0" }),
      address("add", "v0", "10.1.0.1/24"),
      neighbor("add", "v0", "10.1.0.5", "02:00:00:00:00:05"),
      set("v0", { netns: there.netns, name: "eth0" }),
      set("v1", { netns: there.netns }),
    ]);
    expect(kernel.links().map(({ name }) => name)).to.have.members(["lo", "br0"]);
    expect(there.kernel.link("eth0")).to.include({ up: false, mac: "0a:00:00:00:00:01", mtu: 1400 });
    expect(there.kernel.link("v1")).to.deep.include({ master: undefined, bridgePort: undefined });
    expect(there.kernel.addresses("eth0")).to.deep.equal([]);
    expect(there.kernel.neighbors("eth0")).to.deep.equal([]);
  });

  it("a link doesn't move where its name is taken, and bridges and loopbacks don't move at all", () => {
    const { kernel, another } = current();
    const there = another();
    there.kernel.apply([bridge("v0")]);
    kernel.apply([veth("v0", "v1"), bridge("br0")]);
    refuses(kernel, set("v0", { netns: there.netns }), "EEXIST");
    refuses(kernel, set("br0", { netns: there.netns }), "EINVAL");
    refuses(kernel, set("lo", { netns: there.netns }), "EINVAL");
  });

  it("a namespace that goes takes its pairs along", () => {
    const { kernel, machine, path } = current();
    const extra = `${path}-extra`;
    machine.createNetns(extra);
    const netns = machine.openNetns(extra);
    if (netns === undefined) throw new Error("it was just made");
    kernel.apply([veth("v0", "eth0", { peer: { name: "eth0", netns } })]);
    machine.deleteNetns(extra);
    expect(kernel.link("v0")?.name).to.equal("v0");
    netns.close();
    eventually(() => expect(kernel.link("v0")).to.equal(undefined));
  });

  it("a setting is read, set and missing", () => {
    const { kernel } = current();
    expect(kernel.sysctl("net/ipv4/ip_forward")).to.match(/^[01]$/);
    kernel.setSysctl("net/ipv4/ip_forward", "1");
    kernel.setSysctl("net/ipv4/ip_forward", "1");
    expect(kernel.sysctl("net/ipv4/ip_forward")).to.equal("1");
    expect(kernel.sysctl("net/ipv4/no_such_setting")).to.equal(undefined);
    const error = thrownBy(() => kernel.setSysctl("net/ipv4/no_such_setting", "1"));
    expect(error).to.be.instanceOf(NetError).and.to.include({ errno: "ENOENT", code: "unsupported" });
    const wrong = thrownBy(() => kernel.setSysctl("net/ipv4/ip_forward", "many"));
    expect(hasErrno(wrong, "EINVAL")).to.equal(true);
  });

  it("a setting outside net is our own mistake", () => {
    const { kernel } = current();
    expect(() => kernel.setSysctl("kernel/hostname", "x"))
      .to.throw(Error, "net/")
      .and.not.be.instanceOf(NetError);
  });

  it("settings of all links reach every link where Linux says so", () => {
    const { kernel, another } = current();
    kernel.apply([veth("v0", "v1")]);
    kernel.setSysctl("net/ipv4/ip_forward", "0");
    kernel.setSysctl("net/ipv4/conf/all/forwarding", "1");
    expect(kernel.sysctl("net/ipv4/ip_forward")).to.equal("1");
    expect(kernel.sysctl("net/ipv4/conf/v0/forwarding")).to.equal("1");
    kernel.setSysctl("net/ipv4/ip_forward", "0");
    expect(kernel.sysctl("net/ipv4/conf/v0/forwarding")).to.equal("0");
    kernel.setSysctl("net/ipv6/conf/all/forwarding", "1");
    expect(kernel.sysctl("net/ipv6/conf/v0/forwarding")).to.equal("1");
    kernel.setSysctl("net/ipv4/conf/all/rp_filter", "2");
    expect(kernel.sysctl("net/ipv4/conf/v0/rp_filter")).to.not.equal("2");
    expect(another().kernel.sysctl("net/ipv6/conf/all/forwarding")).to.equal("0");
  });

  it("a link has settings as long as it is there, which start as the default's", () => {
    const { kernel } = current();
    kernel.setSysctl("net/ipv6/conf/default/accept_dad", "0");
    expect(kernel.sysctl("net/ipv4/conf/v0/route_localnet")).to.equal(undefined);
    kernel.apply([veth("v0", "v1")]);
    expect(kernel.sysctl("net/ipv4/conf/v0/route_localnet")).to.equal("0");
    expect(kernel.sysctl("net/ipv6/conf/v0/accept_dad")).to.equal("0");
    kernel.apply([remove("v0")]);
    expect(kernel.sysctl("net/ipv4/conf/v0/route_localnet")).to.equal(undefined);
  });

  it("setting arp_notify with the link needs no second step", () => {
    const { kernel } = current();
    kernel.apply([vxlan("vx0", { local: parseIp("192.0.2.1") }), set("vx0", { arpNotify: true, up: true })]);
    expect(kernel.sysctl("net/ipv4/conf/vx0/arp_notify")).to.equal("1");
    kernel.apply([set("vx0", { arpNotify: false })]);
    expect(kernel.sysctl("net/ipv4/conf/vx0/arp_notify")).to.equal("0");
  });
}
