import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatPrefix, type Ip, parseIp, parsePrefix } from "../../lib/address.ts";
import { eventually, type Fixture, refuses, routeText } from "./fixture.ts";
import { address, down, remove, route, up, veth } from "./operations.ts";

/** Addresses of a link as text, those that the kernel gives by itself left out. */
function given(kernel: Kernel, dev: string): string[] {
  const own = kernel.addresses(dev).filter(({ address: { ip }, scope }) => ip.family === 4 || scope !== "link");
  return own.map(({ address: prefix }) => formatPrefix(prefix)).sort();
}

function destinations(kernel: Kernel, dev: string): string[] {
  const routes = kernel.routes({ dev }).map(({ dst }) => formatPrefix(dst));
  return routes.filter((text) => text !== "fe80::/64").sort();
}

/** Cases about addresses and what comes and goes with them. */
export function addressCases(current: () => Fixture): void {
  const pair = (): Kernel => {
    const { kernel } = current();
    kernel.apply([veth("v0", "v1", { up: true }), up("v1")]);
    return kernel;
  };

  it("an address has the prefix, scope and link that it was given", () => {
    const kernel = pair();
    kernel.apply([
      address("add", "v0", "10.1.0.5/16", { broadcast: parseIp("10.1.255.255") }),
      address("add", "v0", "10.2.0.5/24", { scope: "link" }),
      address("add", "v1", "10.3.0.5/32", { scope: "host" }),
    ]);
    const expected = (dev: string, text: string, scope: string, broadcast?: Ip) => ({
      dev,
      address: parsePrefix(text),
      scope,
      broadcast,
      tentative: false,
      dadFailed: false,
    });
    const four = (dev?: string) => kernel.addresses(dev).filter((each) => each.address.ip.family === 4);
    expect(four("v0")).to.have.deep.members([
      expected("v0", "10.1.0.5/16", "global", parseIp("10.1.255.255")),
      expected("v0", "10.2.0.5/24", "link"),
    ]);
    expect(four()).to.deep.include(expected("v1", "10.3.0.5/32", "host"));
    expect(kernel.addresses("nothing")).to.deep.equal([]);
  });

  it("the same IPv4 address twice is refused, another prefix length is not", () => {
    const kernel = pair();
    kernel.apply([address("add", "v0", "10.1.0.1/24")]);
    refuses(kernel, address("add", "v0", "10.1.0.1/24"), "EEXIST");
    kernel.apply([
      address("replace", "v0", "10.1.0.1/24"),
      address("add", "v0", "10.1.0.1/25"),
      address("add", "v1", "10.1.0.1/24"),
    ]);
    expect(given(kernel, "v0")).to.deep.equal(["10.1.0.1/24", "10.1.0.1/25"]);
  });

  it("an IPv6 address is refused on the same link with any prefix length", () => {
    const kernel = pair();
    kernel.apply([address("add", "v0", "fd00::1/64", { noDad: true })]);
    refuses(kernel, address("add", "v0", "fd00::1/64", { noDad: true }), "EEXIST");
    refuses(kernel, address("add", "v0", "fd00::1/80", { noDad: true }), "EEXIST");
    kernel.apply([address("replace", "v0", "fd00::1/64", { noDad: true })]);
    expect(given(kernel, "v0")).to.deep.equal(["fd00::1/64"]);
  });

  it("an IPv6 address that no link may have is refused", () => {
    const kernel = pair();
    for (const text of ["::/64", "::1/128", "ff02::5/64"]) refuses(kernel, address("add", "v0", text), "EADDRNOTAVAIL");
  });

  it("an IPv6 address is usable at once without duplicate address detection, tentative with it", () => {
    const kernel = pair();
    kernel.apply([
      address("add", "v0", "fd00::1/64", { noDad: true }),
      address("add", "v0", "fd00::2/64"),
      address("add", "v0", "fe80::7/64", { noDad: true }),
    ]);
    const found = (text: string) => kernel.addresses("v0").find(({ address: prefix }) => formatPrefix(prefix) === text);
    expect(found("fd00::1/64")).to.include({ tentative: false, scope: "global" });
    expect(found("fd00::2/64")).to.include({ tentative: true, dadFailed: false });
    expect(found("fe80::7/64")).to.include({ tentative: false, scope: "link" });
  });

  it("an address is deleted with its own prefix length only", () => {
    const kernel = pair();
    kernel.apply([address("add", "v0", "10.1.0.1/24"), address("add", "v0", "fd00::1/64", { noDad: true })]);
    refuses(kernel, address("delete", "v0", "10.1.0.7/24"), "EADDRNOTAVAIL");
    refuses(kernel, address("delete", "v0", "10.1.0.1/26"), "EADDRNOTAVAIL");
    refuses(kernel, address("delete", "v0", "fd00::2/64"), "EADDRNOTAVAIL");
    refuses(kernel, address("delete", "v0", "fd00::1/80"), "EADDRNOTAVAIL");
    kernel.apply([address("delete", "v0", "10.1.0.1/24"), address("delete", "v0", "fd00::1/64")]);
    expect(given(kernel, "v0")).to.deep.equal([]);
  });

  it("an address of a missing link is ENODEV", () => {
    const { kernel } = current();
    refuses(kernel, address("add", "nothing", "10.1.0.1/24"), "ENODEV");
    refuses(kernel, address("delete", "nothing", "10.1.0.1/24"), "ENODEV");
  });

  it("an address brings a connected route on a link that is up, and takes it along", () => {
    const kernel = pair();
    kernel.apply([
      address("add", "v0", "10.1.0.1/24"),
      address("add", "v0", "10.9.0.1/32"),
      address("add", "v0", "fd00::1/64", { noDad: true }),
      address("add", "v0", "fd09::1/128", { noDad: true }),
    ]);
    expect(destinations(kernel, "v0")).to.deep.equal(["10.1.0.0/24", "fd00::/64", "fd09::1/128"]);
    const connected = kernel.routes({ family: 4, dev: "v0" });
    expect(connected.map(routeText)).to.deep.equal([
      "10.1.0.0/24 dev v0 onlink false protocol 2 scope link source 10.1.0.1 table 254",
    ]);
    expect(kernel.routes({ family: 6, dev: "v0" }).map(routeText)).to.include(
      "fd00::/64 dev v0 onlink false priority 256 protocol 2 scope global table 254",
    );
    kernel.apply([address("delete", "v0", "10.1.0.1/24"), address("delete", "v0", "fd00::1/64")]);
    expect(destinations(kernel, "v0")).to.deep.equal(["fd09::1/128"]);
  });

  it("a connected route waits for the link to come up, and goes when it goes down", () => {
    const { kernel } = current();
    kernel.apply([
      veth("v0", "v1"),
      address("add", "v0", "10.1.0.1/24"),
      address("add", "v0", "fd00::1/64", { noDad: true }),
    ]);
    expect(destinations(kernel, "v0")).to.deep.equal([]);
    kernel.apply([up("v0")]);
    expect(destinations(kernel, "v0")).to.deep.equal(["10.1.0.0/24", "fd00::/64"]);
    kernel.apply([down("v0")]);
    expect(destinations(kernel, "v0")).to.deep.equal([]);
  });

  it("a link that goes down keeps its IPv4 addresses and loses its IPv6 ones", () => {
    const kernel = pair();
    kernel.apply([
      address("add", "v0", "10.1.0.1/24"),
      address("add", "v0", "fd00::1/64", { noDad: true }),
      down("v0"),
    ]);
    expect(given(kernel, "v0")).to.deep.equal(["10.1.0.1/24"]);
    kernel.setSysctl("net/ipv6/conf/v0/keep_addr_on_down", "1");
    kernel.apply([up("v0"), address("add", "v0", "fd00::1/64", { noDad: true }), down("v0")]);
    expect(given(kernel, "v0")).to.deep.equal(["10.1.0.1/24", "fd00::1/64"]);
  });

  it("two addresses of one IPv6 subnet share the connected route", () => {
    const kernel = pair();
    kernel.apply([
      address("add", "v0", "fd00::1/64", { noDad: true }),
      address("add", "v0", "fd00::2/64", { noDad: true }),
      address("delete", "v0", "fd00::1/64"),
    ]);
    expect(destinations(kernel, "v0")).to.deep.equal(["fd00::/64"]);
  });

  it("the first IPv4 address of a subnet takes the others along, unless they are promoted", () => {
    const kernel = pair();
    const three = ["10.1.0.1/24", "10.1.0.2/24", "10.1.0.3/24"].map((text) => address("add", "v0", text));
    kernel.apply([...three, address("delete", "v0", "10.1.0.1/24")]);
    expect(given(kernel, "v0")).to.deep.equal([]);
    kernel.setSysctl("net/ipv4/conf/v0/promote_secondaries", "1");
    kernel.apply([...three, address("delete", "v0", "10.1.0.1/24")]);
    expect(given(kernel, "v0")).to.deep.equal(["10.1.0.2/24", "10.1.0.3/24"]);
    expect(kernel.routes({ dev: "v0", family: 4 }).map(routeText)).to.deep.equal([
      "10.1.0.0/24 dev v0 onlink false protocol 2 scope link source 10.1.0.2 table 254",
    ]);
  });

  it("routes of the main table from an address go with it, and all IPv4 routes of a link with its last one", () => {
    const kernel = pair();
    kernel.apply([
      address("add", "v0", "10.1.0.1/24"),
      address("add", "v0", "10.2.0.1/24"),
      route("add", "10.98.0.0/24", { gateway: "10.1.0.77" }),
      route("add", "10.99.0.0/24", { gateway: "10.1.0.77", source: "10.2.0.1" }),
      route("add", "10.97.0.0/24", { gateway: "10.1.0.77", source: "10.2.0.1", table: 42 }),
      address("delete", "v0", "10.2.0.1/24"),
    ]);
    expect(destinations(kernel, "v0")).to.deep.equal(["10.1.0.0/24", "10.98.0.0/24"]);
    expect(kernel.routes({ table: 42 })).to.have.lengthOf(1);
    kernel.apply([address("delete", "v0", "10.1.0.1/24")]);
    expect(destinations(kernel, "v0")).to.deep.equal([]);
  });

  it("a link takes its addresses and routes along when it is deleted", () => {
    const kernel = pair();
    kernel.apply([address("add", "v0", "10.1.0.1/24"), route("add", "10.9.0.0/24", { dev: "v0", table: 42 })]);
    kernel.apply([remove("v0")]);
    expect(kernel.addresses().filter(({ dev }) => dev !== "lo")).to.deep.equal([]);
    expect(kernel.routes({ table: 42 })).to.deep.equal([]);
  });

  it("the loopback gets its addresses when it comes up", () => {
    const { kernel } = current();
    kernel.apply([up("lo")]);
    const found = kernel.addresses("lo").map(({ address: prefix, scope }) => `${formatPrefix(prefix)} ${scope}`);
    expect(found).to.have.members(["127.0.0.1/8 host", "::1/128 host"]);
    expect(kernel.routes()).to.deep.equal([]);
  });

  it("a working link gets a link-local address from its hardware address", () => {
    const { kernel } = current();
    kernel.apply([veth("v0", "v1", { mac: "02:00:00:00:00:01", up: true })]);
    const local = () => kernel.addresses("v0").map(({ address: prefix, scope }) => `${formatPrefix(prefix)} ${scope}`);
    expect(local()).to.deep.equal([]);
    kernel.apply([up("v1")]);
    eventually(() => expect(local()).to.deep.equal(["fe80::ff:fe00:1/64 link"]));
  });

  it("where IPv6 is switched off there are no IPv6 addresses, and none can be added", () => {
    const kernel = pair();
    kernel.apply([address("add", "v0", "fd00::1/64", { noDad: true })]);
    kernel.setSysctl("net/ipv6/conf/v0/disable_ipv6", "1");
    expect(kernel.addresses("v0")).to.deep.equal([]);
    expect(kernel.routes({ family: 6, dev: "v0" })).to.deep.equal([]);
    refuses(kernel, address("add", "v0", "fd00::1/64", { noDad: true }), "EACCES");
    refuses(kernel, route("add", "fd09::/64", { dev: "v0" }), "EACCES");
    kernel.setSysctl("net/ipv6/conf/v0/disable_ipv6", "0");
    kernel.apply([address("add", "v0", "fd00::1/64", { noDad: true })]);
    expect(given(kernel, "v0")).to.deep.equal(["fd00::1/64"]);
  });
}
