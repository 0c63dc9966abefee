import { expect } from "chai";
import { formatPrefix } from "../../../../lib/address.ts";
import { type ContainerCount, obstaclesTo, reconfigure } from "../../../../overlay/leader/reconfigure.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import { network, node, refusalOf } from "./fixture.ts";

const A = { name: "a", subnet: "9.0.0.0/16", prefix: 24 };
const B = { name: "b", subnet: "10.64.0.0/16", prefix: 24, subnet6: "fd01:b::/64", prefix6: 80 };
const idle: ContainerCount = () => 0;

/** Three nodes in a cluster with these overlays. */
function cluster(...overlays: object[]): Draft {
  const draft = draftOf(registryOf(network({ overlays }), []));
  for (const id of ["n1", "n2", "n3"]) register(draft, node(id, `172.16.0.${id.slice(1)}`), () => undefined);
  draft.changes.length = 0;
  return draft;
}

function held(draft: Draft, id: string): Record<string, (string | undefined)[]> {
  const entries = [...(draft.records.get(id)?.subnets ?? [])].map(([name, { v4, v6 }]) => [
    name,
    [v4, v6].map((subnet) => subnet && formatPrefix(subnet)),
  ]);
  return Object.fromEntries(entries);
}

function again(draft: Draft): void {
  for (const id of ["n1", "n2", "n3"]) register(draft, node(id, `172.16.0.${id.slice(1)}`), () => undefined);
}

describe("changing the configuration of a live cluster", () => {
  it("adds an overlay, which nodes get when they register again", () => {
    const draft = cluster(A);
    reconfigure(draft, network({ overlays: [A, B] }), idle);
    expect(held(draft, "n2")).to.deep.equal({ a: ["9.0.1.0/24", undefined] });
    again(draft);
    expect(held(draft, "n2")).to.deep.equal({ a: ["9.0.1.0/24", undefined], b: ["10.64.1.0/24", "fd01:b:0:0:1::/80"] });
  });

  it("adds a family to an overlay", () => {
    const draft = cluster({ ...B, subnet6: undefined, prefix6: undefined });
    reconfigure(draft, network({ overlays: [B] }), () => 7);
    again(draft);
    expect(held(draft, "n3")).to.deep.equal({ b: ["10.64.2.0/24", "fd01:b:0:0:2::/80"] });
  });

  it("disables an overlay whatever runs in it: who has it keeps it, nobody new gets it", () => {
    const draft = cluster(A);
    reconfigure(draft, network({ overlays: [{ ...A, enabled: false }] }), () => 7);
    register(draft, node("n4", "172.16.0.4"), () => undefined);
    expect(held(draft, "n1")).to.deep.equal({ a: ["9.0.0.0/24", undefined] });
    expect(held(draft, "n4")).to.deep.equal({});
  });

  it("widens an overlay on both sides while containers run in it", () => {
    const draft = cluster({ ...A, subnet: "9.1.0.0/16" });
    reconfigure(draft, network({ overlays: [{ ...A, subnet: "9.0.0.0/8" }] }), () => 7);
    register(draft, node("n4", "172.16.0.4"), () => undefined);
    expect(held(draft, "n1")).to.deep.equal({ a: ["9.1.0.0/24", undefined] });
    expect(held(draft, "n4")).to.deep.equal({ a: ["9.0.0.0/24", undefined] });
  });

  it("narrows an overlay to what is in use, and not further", () => {
    const draft = cluster(A);
    reconfigure(draft, network({ overlays: [{ ...A, subnet: "9.0.0.0/22" }] }), () => 7);
    const refusal = refusalOf(() => reconfigure(draft, network({ overlays: [{ ...A, subnet: "9.0.0.0/23" }] }), idle));
    expect(refusal.code).to.equal("conflict");
    expect(refusal.message).to.match(/overlay a subnet: subnets are not of 9.0.0.0\/23 .*\(nodes n3\)/);
  });

  it("widens the endpoints' range, and refuses one without the present endpoints", () => {
    const draft = cluster(A);
    reconfigure(draft, network({ vtep_subnet: "44.128.0.0/16", overlays: [A] }), idle);
    const other = network({ vtep_subnet: "44.129.0.0/16", overlays: [A] });
    expect(obstaclesTo(draft, other, idle)).to.deep.include({
      key: "vtep_subnet",
      reason: "tunnel endpoints lie outside 44.129.0.0/16",
      remedy: "choose a range that includes the present one",
      nodes: ["n1", "n2", "n3"],
    });
  });

  it("refuses to take out an overlay that is enabled", () => {
    const refusal = refusalOf(() => reconfigure(cluster(A, B), network({ overlays: [B] }), idle));
    expect(refusal.message).to.match(
      /overlay a subnet: it is enabled, and 3 nodes have .*\(nodes n1, n2, n3\): first set/,
    );
  });

  it("refuses to take out an overlay in which containers run, or may run, and names the nodes", () => {
    const draft = cluster({ ...A, enabled: true }, B);
    reconfigure(draft, network({ overlays: [{ ...A, enabled: false }, B] }), idle);
    const counts: ContainerCount = (id) => (id === "n1" ? 2 : id === "n2" ? undefined : 0);
    const before = held(draft, "n3");
    const changes = draft.changes.length;
    const refusal = refusalOf(() => reconfigure(draft, network({ overlays: [B] }), counts));
    expect(refusal.message).to.match(/containers still run in it \(nodes n1\): move or stop them/);
    expect(refusal.message).to.match(/not known whether containers still run in it \(nodes n2\): wait/);
    expect(held(draft, "n3")).to.deep.equal(before);
    expect(draft.changes).to.have.length(changes);
    expect(draft.network.overlays).to.have.length(2);
  });

  it("takes out a disabled and empty overlay, and its addresses can be used anew", () => {
    const draft = cluster(A, B);
    reconfigure(draft, network({ overlays: [{ ...A, enabled: false }, B] }), idle);
    reconfigure(draft, network({ overlays: [B] }), idle);
    expect(held(draft, "n1")).to.deep.equal({ b: ["10.64.0.0/24", "fd01:b::/80"] });
    reconfigure(draft, network({ overlays: [{ name: "c", subnet: "9.0.0.0/8", prefix: 20 }, B] }), idle);
    again(draft);
    expect(held(draft, "n2")).to.deep.include({ c: ["9.0.16.0/20", undefined] });
  });

  it("stores the nodes' records before the configuration, so that a beginning of it is consistent", () => {
    const draft = cluster(A, B);
    reconfigure(draft, network({ overlays: [{ ...A, enabled: false }, B] }), idle);
    draft.changes.length = 0;
    reconfigure(draft, network({ overlays: [B] }), idle);
    expect(draft.changes.map((change) => change.do)).to.deep.equal(["put", "put", "put", "network"]);
  });

  it("refuses another prefix for an overlay that is in use", () => {
    const refusal = refusalOf(() => reconfigure(cluster(A), network({ overlays: [{ ...A, prefix: 25 }] }), idle));
    expect(refusal.message).to.match(
      /in pieces of \/25 \(nodes n1, n2, n3\): .*add another overlay and retire this one/,
    );
  });

  it("refuses a range over the nodes' own addresses", () => {
    const next = network({ overlays: [A, { name: "b", subnet: "172.16.0.0/12", prefix: 24 }] });
    expect(refusalOf(() => reconfigure(cluster(A), next, idle)).message).to.match(
      /nodes' own addresses, such as 172.16.0.1, lie inside overlay b \(nodes n1, n2, n3\)/,
    );
  });

  it("lets the IPv6 endpoints go with the last IPv6 overlay", () => {
    const draft = cluster(A);
    reconfigure(draft, network({ overlays: [A], vtep_subnet6: undefined }), idle);
    expect(draft.records.get("n1")?.vtep.ip6).to.equal(undefined);
  });

  it("keeps the hardware addresses of known nodes when the OUI changes", () => {
    const draft = cluster(A);
    reconfigure(draft, network({ overlays: [A], vtep_mac_oui: "02:00:00:00:00:00" }), idle);
    register(draft, node("n4", "172.16.0.4"), () => undefined);
    expect(draft.records.get("n1")?.vtep.mac).to.equal("70:b3:d5:80:00:01");
    expect(draft.records.get("n4")?.vtep.mac).to.equal("02:00:00:80:00:04");
  });

  it("names at most twenty nodes and counts the rest", () => {
    const draft = draftOf(registryOf(network({ overlays: [A] }), []));
    for (let index = 1; index <= 50; index++) register(draft, node(`n${index}`, `172.16.0.${index}`), () => undefined);
    const refusal = refusalOf(() => reconfigure(draft, network({ overlays: [B] }), idle));
    expect(refusal.message).to.match(/ and 30 more\)/);
  });
});
