import { expect } from "chai";
import { formatIp, formatPrefix } from "../../../../lib/address.ts";
import { forget } from "../../../../overlay/leader/forget.ts";
import { type LiveNodes, register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, type NodeRecord, registryOf } from "../../../../overlay/leader/registry.ts";
import { defaultWish } from "../../../../overlay/leader/types.ts";
import { network, node } from "./fixture.ts";

const nobody: LiveNodes = () => undefined;

function draft(changes: object = {}): Draft {
  return draftOf(registryOf(network(changes), []));
}

function shown(record: NodeRecord | undefined): object {
  if (record === undefined) return {};
  const { vtep, subnets } = record;
  return {
    vtep: formatIp(vtep.ip),
    vtep6: vtep.ip6 && formatIp(vtep.ip6),
    mac: vtep.mac,
    ...Object.fromEntries(
      [...subnets].map(([name, { v4, v6 }]) => [name, [v4, v6].flatMap((each) => (each ? [formatPrefix(each)] : []))]),
    ),
  };
}

function reasons(state: Draft, id: string): string[] {
  return (state.refusals.get(id) ?? []).map(({ key, reason, remedy }) => `${key}: ${reason}; ${remedy}`);
}

describe("registering a node", () => {
  it("hands out the addresses of the reference: lowest first, hardware address from the endpoint's", () => {
    const state = draft();
    register(state, node("a", "172.17.0.2"), nobody);
    register(state, node("b", "172.17.0.4"), nobody);
    expect(shown(state.records.get("a"))).to.deep.equal({
      vtep: "44.128.0.1",
      vtep6: "fd01:a::1",
      mac: "70:b3:d5:80:00:01",
      dcos: ["9.0.0.0/24"],
      dcos6: ["fd01:b::/80"],
    });
    expect(shown(state.records.get("b"))).to.deep.equal({
      vtep: "44.128.0.2",
      vtep6: "fd01:a::2",
      mac: "70:b3:d5:80:00:02",
      dcos: ["9.0.1.0/24"],
      dcos6: ["fd01:b:0:0:1::/80"],
    });
  });

  it("changes nothing when the node registers again", () => {
    const state = draft();
    register(state, node("a", "10.0.0.1"), nobody);
    const changes = state.changes.length;
    register(state, node("a", "10.0.0.1"), nobody);
    expect(state.changes).to.have.length(changes);
  });

  it("carries from byte to byte in IPv6, so that a /64 in /80 has 65,536 subnets", () => {
    const state = draft({ vtep_subnet: "44.0.0.0/8", overlays: [{ name: "v6", subnet6: "fd01:b::/64", prefix6: 80 }] });
    for (let index = 0; index < 70_000; index++) {
      const address = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
      register(state, node(`n${index}`, address), nobody);
    }
    const at = (index: number) => Reflect.get(shown(state.records.get(`n${index}`)), "v6");
    expect(at(255)).to.deep.equal(["fd01:b:0:0:ff::/80"]);
    expect(at(256)).to.deep.equal(["fd01:b:0:0:100::/80"]);
    expect(at(65_535)).to.deep.equal(["fd01:b:0:0:ffff::/80"]);
    expect(at(65_536)).to.equal(undefined);
    expect(reasons(state, "n65536")[0]).to.match(/^overlay v6 subnet6: all 65536 .* are handed out; forget nodes/);
  }).timeout(60_000);

  it("cuts prefixes off byte borders right", () => {
    const overlays = [{ name: "odd", subnet: "9.0.0.0/15", prefix: 23, subnet6: "fd01:b::/45", prefix6: 51 }];
    const state = draft({ overlays });
    for (let index = 0; index < 64; index++) register(state, node(`n${index}`, `10.0.0.${index}`), nobody);
    expect(shown(state.records.get("n63"))).to.deep.include({ odd: ["9.0.126.0/23", "fd01:b:7:e000::/51"] });
  });

  it("gives a master an endpoint and no subnets, unless it asks", () => {
    const state = draft();
    register(state, node("m", "10.0.0.1", { wish: defaultWish("master") }), nobody);
    expect(shown(state.records.get("m"))).to.deep.equal({
      vtep: "44.128.0.1",
      vtep6: "fd01:a::1",
      mac: "70:b3:d5:80:00:01",
    });
    register(state, node("m", "10.0.0.1", { wish: { ...defaultWish("master"), allocateSubnet: true } }), nobody);
    expect(shown(state.records.get("m"))).to.deep.include({ dcos: ["9.0.0.0/24"] });
  });

  it("recognises a node whose address has changed, and keeps its allocation", () => {
    const state = draft();
    register(state, node("a", "10.0.0.1"), nobody);
    const before = shown(state.records.get("a"));
    register(state, node("a", "10.0.0.99"), nobody);
    expect(state.records.size).to.equal(1);
    expect(shown(state.records.get("a"))).to.deep.equal(before);
    expect([...state.byAddress]).to.deep.equal([["10.0.0.99", "a"]]);
  });

  it("keeps what a lost node holds when another one appears at its address", () => {
    const state = draft();
    register(state, node("old", "10.0.0.1"), nobody);
    register(state, node("new", "10.0.0.1"), nobody);
    expect(shown(state.records.get("new"))).to.deep.include({ vtep: "44.128.0.2", dcos: ["9.0.1.0/24"] });
    expect(state.records.get("old")).to.include({ superseded: true });
    register(state, node("old", "10.0.0.7"), nobody);
    expect(state.records.get("old")).to.include({ superseded: false });
    expect([...state.byAddress]).to.have.deep.members([
      ["10.0.0.1", "new"],
      ["10.0.0.7", "old"],
    ]);
  });

  it("refuses a node at the address of one that is alive there", () => {
    const state = draft();
    const first = node("first", "10.0.0.1");
    register(state, first, nobody);
    register(state, node("second", "10.0.0.1"), (id) => (id === "first" ? first : undefined));
    expect(state.records.has("second")).to.equal(false);
    expect(reasons(state, "second")[0]).to.match(/10.0.0.1 is the address of node first, which is alive/);
  });

  it("lets two living nodes swap their addresses", () => {
    const state = draft();
    register(state, node("a", "10.0.0.1"), nobody);
    register(state, node("b", "10.0.0.2"), nobody);
    const now = new Map([node("a", "10.0.0.2"), node("b", "10.0.0.1")].map((each) => [each.id, each]));
    for (const each of now.values()) register(state, each, (id) => now.get(id));
    expect([...state.byAddress]).to.have.deep.members([
      ["10.0.0.2", "a"],
      ["10.0.0.1", "b"],
    ]);
    expect([...state.refusals]).to.deep.equal([]);
  });

  it("refuses a node whose own address lies in an overlay or among the endpoints", () => {
    const state = draft();
    register(state, node("a", "9.1.2.3"), nobody);
    register(state, node("b", "44.128.3.3"), nobody);
    expect(state.records.size).to.equal(0);
    expect(reasons(state, "a")[0]).to.match(/9.1.2.3 lies inside overlay dcos/);
    expect(reasons(state, "b")[0]).to.match(/44.128.3.3 lies inside the tunnel endpoints' 44.128.0.0\/20/);
  });

  it("refuses a node without an IPv4 address, which the tunnel's packets need", () => {
    const state = draft();
    register(state, node("a", "fd00::1"), nobody);
    expect(state.records.size).to.equal(0);
    expect(reasons(state, "a")[0]).to.match(/fd00::1 is not IPv4/);
  });

  it("refuses a node as a whole when endpoints are used up, and leaks none of the other family", () => {
    const state = draft({ vtep_subnet6: "fd01:a::/126" });
    for (const id of ["a", "b", "c"]) register(state, node(id, `10.0.0.${id.charCodeAt(0)}`), nobody);
    expect(state.records.has("c")).to.equal(false);
    expect(reasons(state, "c")[0]).to.match(/^vtep_subnet6: all 2 .*; forget nodes .*, or widen the range/);
    for (let again = 0; again < 5; again++) register(state, node("c", "10.0.0.99"), nobody);
    forget(state, "a");
    register(state, node("c", "10.0.0.99"), nobody);
    expect(shown(state.records.get("c"))).to.deep.include({ vtep: "44.128.0.1", vtep6: "fd01:a::1" });
    expect(state.refusals.size).to.equal(0);
  });

  it("leaves out an overlay that is used up in one family, serves the others and leaks nothing", () => {
    const both = { name: "both", subnet: "9.0.0.0/16", prefix: 24, subnet6: "fd01:b::/79", prefix6: 80 };
    const state = draft({ overlays: [both, { name: "other", subnet: "10.64.0.0/16", prefix: 24 }] });
    for (const id of ["a", "b", "c"]) register(state, node(id, `10.0.0.${id.charCodeAt(0)}`), nobody);
    expect(shown(state.records.get("c")))
      .to.deep.include({ other: ["10.64.2.0/24"] })
      .and.not.to.have.property("both");
    expect(state.refusals.get("c")?.[0]).to.include({ code: "exhausted", overlay: "both" });
    forget(state, "b");
    register(state, node("c", "10.0.0.99"), nobody);
    expect(shown(state.records.get("c"))).to.deep.include({ both: ["9.0.1.0/24", "fd01:b:0:0:1::/80"] });
  });

  it("gives no subnet of a disabled overlay, and gives it once it is enabled", () => {
    const overlay = { name: "x", subnet: "9.0.0.0/8", prefix: 24 };
    const state = draft({ overlays: [{ ...overlay, enabled: false }] });
    register(state, node("a", "10.0.0.1"), nobody);
    expect(shown(state.records.get("a"))).not.to.have.property("x");
    state.network = network({ overlays: [overlay] });
    register(state, node("a", "10.0.0.1"), nobody);
    expect(shown(state.records.get("a"))).to.deep.include({ x: ["9.0.0.0/24"] });
  });

  it("gives a known node the IPv6 endpoint that was configured later", () => {
    const overlays = [{ name: "dcos", subnet: "9.0.0.0/8", prefix: 24 }];
    const early = draft({ overlays, vtep_subnet6: undefined });
    register(early, node("a", "10.0.0.1"), nobody);
    const state = draftOf(registryOf(network({ overlays }), early.records.values()));
    register(state, node("a", "10.0.0.1"), nobody);
    expect(shown(state.records.get("a"))).to.deep.include({ vtep: "44.128.0.1", vtep6: "fd01:a::1" });
  });
});
