import { expect } from "chai";
import { describeOperation } from "../../kernel/encode.ts";
import type { Kernel, Rule } from "../../kernel/kernel.ts";
import { formatPrefix, parsePrefix } from "../../lib/address.ts";
import { type Fixture, refuses, routeText } from "./fixture.ts";
import { address, down, route, rule, up, veth } from "./operations.ts";

function routesTo(kernel: Kernel, dst: string, table = 254): string[] {
  return kernel
    .routes({ table })
    .filter((each) => formatPrefix(each.dst) === dst)
    .map(routeText);
}

function ruleTexts(rules: readonly Rule[]): string[] {
  return rules.map(({ from, to, table, priority }) => {
    const selector = `${from ? formatPrefix(from) : "all"}${to ? ` to ${formatPrefix(to)}` : ""}`;
    return `${priority}: from ${selector} lookup ${table}`;
  });
}

/** Cases about routes, in the main table and others, and policy rules. */
export function routeCases(current: () => Fixture): void {
  const pair = (): Kernel => {
    const { kernel } = current();
    kernel.apply([
      veth("v0", "v1", { up: true }),
      up("v1"),
      address("add", "v0", "10.1.0.1/24"),
      address("add", "v0", "fd00::1/64", { noDad: true }),
    ]);
    return kernel;
  };

  it("a watch tells of the link of its name and of routes to single addresses, once each", () => {
    const kernel = pair();
    const watch = kernel.watchHostRoutes("v0");
    try {
      expect(watch.changed()).to.equal(false);
      for (const change of [
        route("add", "11.0.0.1/32", { dev: "v0" }),
        route("replace", "11.0.0.1/32", { dev: "v1" }),
        route("delete", "11.0.0.1/32", { dev: "v1" }),
        route("add", "fd01:c::1/128", { dev: "v0" }),
        route("delete", "fd01:c::1/128", { dev: "v0" }),
        down("v0"),
        { do: "link.delete", dev: "v0" } as const,
      ]) {
        kernel.apply([change]);
        expect(watch.changed(), describeOperation(change)).to.equal(true);
        expect(watch.changed(), `again, ${describeOperation(change)}`).to.equal(false);
      }
    } finally {
      watch.close();
    }
  });

  it("a local route makes an address the host's own, and is listed apart", () => {
    const kernel = pair();
    kernel.apply([
      route("replace", "11.0.0.1/32", { dev: "v0", table: 255, local: true }),
      route("replace", "fd01:c::1/128", { dev: "v0", table: 255, local: true }),
    ]);
    const local = () => kernel.routes({ table: 255, dev: "v0", local: true }).map(routeText);
    expect(local()).to.deep.equal([
      "11.0.0.1/32 dev v0 local true onlink false protocol 3 scope host table 255",
      "fd01:c::1/128 dev v0 local true onlink false protocol 3 scope global table 255",
    ]);
    expect(routesTo(kernel, "11.0.0.1/32", 255)).to.deep.equal([]);
    kernel.apply([route("replace", "11.0.0.1/32", { dev: "v0", table: 255, local: true })]);
    refuses(kernel, route("add", "11.0.0.1/32", { dev: "v0", table: 255, local: true }), "EEXIST");
    refuses(kernel, route("add", "11.0.0.2/32", { dev: "v0", table: 255, local: true, scope: "link" }), "EINVAL");
    refuses(kernel, route("delete", "11.0.0.2/32", { dev: "v0", table: 255, local: true }), "ESRCH");
    kernel.apply([
      route("delete", "11.0.0.1/32", { dev: "v0", table: 255, local: true }),
      route("delete", "fd01:c::1/128", { dev: "v0", table: 255, local: true }),
    ]);
    expect(local()).to.deep.equal([]);
  });

  it("a route has what it was given and what the kernel adds", () => {
    const kernel = pair();
    kernel.apply([
      route("add", "0.0.0.0/0", { gateway: "10.1.0.2", mtu: 1400, advmss: 1360 }),
      route("add", "10.8.0.0/24", { gateway: "10.1.0.2", dev: "v0", source: "10.1.0.1", priority: 7, protocol: 99 }),
      route("add", "10.9.0.0/24", { dev: "v1" }),
      route("add", "10.7.0.0/24", { dev: "v0", scope: "host" }),
      route("add", "fd08::/64", { gateway: "fd00::2" }),
      route("add", "::/0", { gateway: "fd00::2", priority: 7, source: "fd00::1" }),
      route("add", "fd09::/64", { gateway: "fd55::2", dev: "v0", onlink: true }),
    ]);
    const text = (dst: string) => routesTo(kernel, dst)[0];
    expect(text("0.0.0.0/0")).to.equal(
      "0.0.0.0/0 advmss 1360 dev v0 gateway 10.1.0.2 mtu 1400 onlink false protocol 3 scope global table 254",
    );
    expect(text("10.8.0.0/24")).to.equal(
      "10.8.0.0/24 dev v0 gateway 10.1.0.2 onlink false priority 7 protocol 99 scope global source 10.1.0.1 table 254",
    );
    expect(text("10.9.0.0/24")).to.equal("10.9.0.0/24 dev v1 onlink false protocol 3 scope link table 254");
    expect(text("10.7.0.0/24")).to.equal("10.7.0.0/24 dev v0 onlink false protocol 3 scope host table 254");
    expect(text("fd08::/64")).to.equal(
      "fd08::/64 dev v0 gateway fd00::2 onlink false protocol 3 scope global table 254",
    );
    expect(text("::/0")).to.equal(
      "::/0 dev v0 gateway fd00::2 onlink false priority 7 protocol 3 scope global source fd00::1 table 254",
    );
    expect(text("fd09::/64")).to.equal(
      "fd09::/64 dev v0 gateway fd55::2 onlink true protocol 3 scope global table 254",
    );
  });

  it("routes are listed by table, family and link", () => {
    const kernel = pair();
    kernel.apply([
      route("add", "10.8.0.0/24", { gateway: "10.1.0.2", table: 42 }),
      route("add", "fd08::/64", { gateway: "fd00::2", table: 42 }),
      route("add", "10.9.0.0/24", { dev: "v1", table: 42 }),
      route("add", "10.9.0.0/24", { dev: "v1", table: 1000 }),
    ]);
    const list = (filter: Parameters<Kernel["routes"]>[0]) => kernel.routes(filter).map(({ dst }) => formatPrefix(dst));
    expect(list({ table: 42 })).to.have.members(["10.8.0.0/24", "fd08::/64", "10.9.0.0/24"]);
    expect(list({ table: 42, family: 6 })).to.deep.equal(["fd08::/64"]);
    expect(list({ table: 42, dev: "v1" })).to.deep.equal(["10.9.0.0/24"]);
    expect(list({ table: 1000 })).to.deep.equal(["10.9.0.0/24"]);
    expect(list({ table: 43 })).to.deep.equal([]);
    expect(list({ dev: "nothing" })).to.deep.equal([]);
    expect(list({ family: 4 })).to.deep.equal(["10.1.0.0/24"]);
  });

  it("a second route to the same destination with the same priority is refused", () => {
    const kernel = pair();
    kernel.apply([route("add", "10.9.0.0/24", { dev: "v0" }), route("add", "fd09::/64", { dev: "v0" })]);
    refuses(kernel, route("add", "10.9.0.0/24", { dev: "v0" }), "EEXIST");
    refuses(kernel, route("add", "10.9.0.0/24", { dev: "v1" }), "EEXIST");
    refuses(kernel, route("add", "fd09::/64", { dev: "v1" }), "EEXIST");
    kernel.apply([
      route("add", "10.9.0.0/24", { dev: "v0", priority: 5 }),
      route("add", "fd09::/64", { dev: "v0", priority: 5 }),
      route("add", "10.9.0.0/24", { dev: "v0", table: 42 }),
    ]);
    expect(routesTo(kernel, "10.9.0.0/24")).to.have.lengthOf(2);
    expect(routesTo(kernel, "fd09::/64")).to.have.lengthOf(2);
  });

  it("a route can be appended once to those that are there", () => {
    const kernel = pair();
    kernel.apply([route("add", "10.9.0.0/24", { dev: "v0" }), route("append", "10.9.0.0/24", { dev: "v1" })]);
    refuses(kernel, route("append", "10.9.0.0/24", { dev: "v1" }), "EEXIST");
    expect(kernel.routes().map(({ dst, dev }) => `${formatPrefix(dst)} ${dev}`)).to.include.members([
      "10.9.0.0/24 v0",
      "10.9.0.0/24 v1",
    ]);
  });

  it("appending makes IPv6 gateways that are both listed and deleted one by one", () => {
    const kernel = pair();
    kernel.apply([
      route("add", "fd09::/64", { gateway: "fd00::2" }),
      route("append", "fd09::/64", { gateway: "fd00::3" }),
    ]);
    const expected = (gateway: string) =>
      `fd09::/64 dev v0 gateway ${gateway} onlink false protocol 3 scope global table 254`;
    expect(routesTo(kernel, "fd09::/64")).to.have.members([expected("fd00::2"), expected("fd00::3")]);
    kernel.apply([route("delete", "fd09::/64", { gateway: "fd00::2" })]);
    expect(routesTo(kernel, "fd09::/64")).to.deep.equal([expected("fd00::3")]);
  });

  it("replacing takes the first route of the same priority, or adds", () => {
    const kernel = pair();
    kernel.apply([
      route("add", "10.9.0.0/24", { dev: "v0", priority: 5 }),
      route("replace", "10.9.0.0/24", { dev: "v1" }),
      route("replace", "10.9.0.0/24", { gateway: "10.1.0.2" }),
      route("replace", "fd09::/64", { gateway: "fd00::2" }),
      route("replace", "fd09::/64", { gateway: "fd00::3" }),
    ]);
    expect(routesTo(kernel, "10.9.0.0/24")).to.have.members([
      "10.9.0.0/24 dev v0 gateway 10.1.0.2 onlink false protocol 3 scope global table 254",
      "10.9.0.0/24 dev v0 onlink false priority 5 protocol 3 scope link table 254",
    ]);
    expect(routesTo(kernel, "fd09::/64")).to.deep.equal([
      "fd09::/64 dev v0 gateway fd00::3 onlink false protocol 3 scope global table 254",
    ]);
  });

  it("an IPv4 gateway must be on a connected network, unless told otherwise", () => {
    const kernel = pair();
    kernel.apply([route("add", "10.8.0.0/24", { gateway: "10.1.0.2" }), route("add", "10.9.0.0/24", { dev: "v0" })]);
    refuses(kernel, route("add", "10.7.0.0/24", { gateway: "192.168.7.7" }), "ENETUNREACH");
    refuses(kernel, route("add", "10.7.0.0/24", { gateway: "192.168.7.7", dev: "v0" }), "ENETUNREACH");
    refuses(kernel, route("add", "10.7.0.0/24", { gateway: "10.1.0.2", dev: "v1" }), "ENETUNREACH");
    refuses(kernel, route("add", "10.7.0.0/24", { gateway: "10.8.0.5" }), "ENETUNREACH");
    refuses(kernel, route("add", "10.7.0.0/24", { gateway: "192.168.7.7", onlink: true }), "ENODEV");
    kernel.apply([
      route("add", "10.7.0.0/24", { gateway: "10.9.0.5" }),
      route("add", "10.6.0.0/24", { gateway: "192.168.7.7", dev: "v0", onlink: true }),
    ]);
    expect(routesTo(kernel, "10.6.0.0/24")).to.deep.equal([
      "10.6.0.0/24 dev v0 gateway 192.168.7.7 onlink true protocol 3 scope global table 254",
    ]);
  });

  it("an IPv6 gateway must be on a connected network, foreign, and link-local ones need a link", () => {
    const kernel = pair();
    kernel.apply([route("add", "fd09::/64", { gateway: "fd00::9" })]);
    refuses(kernel, route("add", "fd07::/64", { gateway: "fd55::2" }), "EHOSTUNREACH");
    refuses(kernel, route("add", "fd07::/64", { gateway: "fd55::2", dev: "v0" }), "EHOSTUNREACH");
    refuses(kernel, route("add", "fd07::/64", { gateway: "fd09::1" }), "EHOSTUNREACH");
    refuses(kernel, route("add", "fd07::/64", { gateway: "fd00::1" }), "EINVAL");
    refuses(kernel, route("add", "fd07::/64", { gateway: "fe80::1" }), "EINVAL");
    kernel.apply([route("add", "fd07::/64", { gateway: "fe80::1", dev: "v0" })]);
    expect(routesTo(kernel, "fd07::/64")).to.have.lengthOf(1);
  });

  it("a route that makes no sense is refused with EINVAL", () => {
    const kernel = pair();
    refuses(kernel, route("add", "10.9.0.1/24", { dev: "v0" }), "EINVAL");
    refuses(kernel, route("add", "10.9.0.0/24", { gateway: "10.1.0.255" }), "EINVAL");
    refuses(kernel, route("add", "10.9.0.0/24", { gateway: "10.1.0.2", scope: "host" }), "EINVAL");
    refuses(kernel, route("add", "10.9.0.0/24", { gateway: "10.1.0.2", source: "10.55.0.1" }), "EINVAL");
    refuses(kernel, route("add", "fd09::/64", { gateway: "fd00::2", source: "fd55::1" }), "EINVAL");
  });

  it("an IPv6 destination loses its host bits", () => {
    const kernel = pair();
    kernel.apply([route("add", "fd09::1/64", { gateway: "fd00::2" })]);
    expect(routesTo(kernel, "fd09::/64")).to.have.lengthOf(1);
  });

  it("a route over a link that is missing or down is refused", () => {
    const kernel = pair();
    refuses(kernel, route("add", "10.9.0.0/24"), "ENODEV");
    refuses(kernel, route("add", "10.9.0.0/24", { dev: "nothing" }), "ENODEV");
    refuses(kernel, route("add", "fd09::/64"), "ENODEV");
    kernel.apply([down("v0")]);
    refuses(kernel, route("add", "10.9.0.0/24", { dev: "v0" }), "ENETDOWN");
    refuses(kernel, route("add", "10.9.0.0/24", { gateway: "10.1.0.2" }), "ENETUNREACH");
    refuses(kernel, route("add", "10.9.0.0/24", { gateway: "10.1.0.2", dev: "v0", onlink: true }), "ENETDOWN");
    refuses(kernel, route("add", "fd09::/64", { dev: "v0" }), "ENETDOWN");
    refuses(kernel, route("add", "fd09::/64", { gateway: "fe80::2", dev: "v0" }), "ENETDOWN");
  });

  it("a route is deleted when it has all that is asked for, and is ESRCH otherwise", () => {
    const kernel = pair();
    kernel.apply([
      route("add", "10.8.0.0/24", { gateway: "10.1.0.2" }),
      route("add", "10.8.0.0/24", { dev: "v1", priority: 9 }),
      route("add", "fd08::/64", { gateway: "fd00::2" }),
    ]);
    refuses(kernel, route("delete", "10.200.0.0/24"), "ESRCH");
    refuses(kernel, route("delete", "10.8.0.0/24", { table: 42 }), "ESRCH");
    refuses(kernel, route("delete", "10.8.0.0/24", { gateway: "10.1.0.77" }), "ESRCH");
    refuses(kernel, route("delete", "10.8.0.0/24", { priority: 8 }), "ESRCH");
    refuses(kernel, route("delete", "10.8.0.0/24", { protocol: 99 }), "ESRCH");
    refuses(kernel, route("delete", "10.8.0.0/24", { scope: "host" }), "ESRCH");
    refuses(kernel, route("delete", "10.8.0.0/24", { source: "10.1.0.1" }), "ESRCH");
    refuses(kernel, route("delete", "fd08::/64", { gateway: "fd00::3" }), "ESRCH");
    refuses(kernel, route("delete", "fd99::/64"), "ESRCH");
    kernel.apply([route("delete", "10.8.0.0/24"), route("delete", "fd08::/64")]);
    expect(routesTo(kernel, "10.8.0.0/24")).to.deep.equal([
      "10.8.0.0/24 dev v1 onlink false priority 9 protocol 3 scope link table 254",
    ]);
    kernel.apply([route("delete", "10.8.0.0/24", { dev: "v1" })]);
    expect(routesTo(kernel, "10.8.0.0/24")).to.deep.equal([]);
    expect(routesTo(kernel, "fd08::/64")).to.deep.equal([]);
  });

  it("a missing IPv6 default route is ENOENT, and ESRCH when more than that is asked for", () => {
    const kernel = pair();
    refuses(kernel, route("delete", "::/0"), "ENOENT");
    refuses(kernel, route("delete", "::/0", { dev: "v0" }), "ESRCH");
    refuses(kernel, route("delete", "::/0", { table: 42 }), "ESRCH");
    refuses(kernel, route("delete", "0.0.0.0/0"), "ESRCH");
  });

  it("a fresh namespace has the three rules of the kernel", () => {
    const { kernel } = current();
    expect(ruleTexts(kernel.rules(4))).to.deep.equal([
      "0: from all lookup 255",
      "32766: from all lookup 254",
      "32767: from all lookup 253",
    ]);
    expect(ruleTexts(kernel.rules(6))).to.deep.equal(["0: from all lookup 255", "32766: from all lookup 254"]);
  });

  it("a rule without priority comes before those that are there", () => {
    const { kernel } = current();
    kernel.apply([
      rule("add", "10.0.0.0/8"),
      rule("add", "10.0.0.0/8"),
      rule("add", "10.0.0.0/8", { priority: 100, to: parsePrefix("11.0.0.0/8") }),
      rule("add", "11.0.0.0/8", { table: 1000 }),
      rule("add", "fd00::/64"),
    ]);
    expect(ruleTexts(kernel.rules(4)).slice(1, -2)).to.deep.equal([
      "99: from 11.0.0.0/8 lookup 1000",
      "100: from 10.0.0.0/8 to 11.0.0.0/8 lookup 42",
      "32764: from 10.0.0.0/8 lookup 42",
      "32765: from 10.0.0.0/8 lookup 42",
    ]);
    expect(ruleTexts(kernel.rules(6))).to.include("32765: from fd00::/64 lookup 42");
  });

  it("the same rule at the same priority is EEXIST, a missing one ENOENT", () => {
    const { kernel } = current();
    kernel.apply([rule("add", "10.0.0.0/8", { priority: 100 })]);
    refuses(kernel, rule("add", "10.0.0.0/8", { priority: 100 }), "EEXIST");
    refuses(kernel, rule("delete", "12.0.0.0/8"), "ENOENT");
    refuses(kernel, rule("delete", "10.0.0.0/8", { table: 43 }), "ENOENT");
    refuses(kernel, rule("delete", "10.0.0.0/8", { priority: 99 }), "ENOENT");
    kernel.apply([rule("add", "10.0.0.0/8", { priority: 100, table: 43 }), rule("delete", "10.0.0.0/8")]);
    expect(ruleTexts(kernel.rules(4))).to.include("100: from 10.0.0.0/8 lookup 43");
    expect(ruleTexts(kernel.rules(4))).to.not.include("100: from 10.0.0.0/8 lookup 42");
  });
}
