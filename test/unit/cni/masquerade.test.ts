import { expect } from "chai";
import { additionCommands } from "../../../cni/firewall-commands.ts";
import { MASQUERADE, masqueradeEntries } from "../../../cni/masquerade.ts";
import { parsePrefix } from "../../../lib/address.ts";

const OWNER = { network: "dcos", containerId: "web-1", ifname: "eth0" };
const CHAIN = "network_dcos_9.0.1.0-25";

function entries(excludes: readonly string[] = [], addresses: readonly string[] = ["9.0.1.5/25"], network = "dcos") {
  return masqueradeEntries({
    owner: { ...OWNER, network },
    addresses: addresses.map(parsePrefix),
    excludes: excludes.map(parsePrefix),
  });
}

/** The commands, with the table given the chains that it has. */
function commands(excludes: readonly string[], present: readonly string[] | undefined, addresses?: readonly string[]) {
  return entries(excludes, addresses).flatMap((entry) => additionCommands(entry, present));
}

describe("the masquerade commands", () => {
  it("make table, chain and element for the first container", () => {
    expect(commands([], undefined)).to.deep.equal([
      "add table ip dcos_masquerade",
      "add map ip dcos_masquerade containers { type ipv4_addr : verdict; }",
      "add chain ip dcos_masquerade postrouting { type nat hook postrouting priority 100; }",
      "add rule ip dcos_masquerade postrouting ip saddr vmap @containers",
      `add chain ip dcos_masquerade ${CHAIN}`,
      `flush chain ip dcos_masquerade ${CHAIN}`,
      `add rule ip dcos_masquerade ${CHAIN} ip daddr 9.0.1.0/25 return`,
      `add rule ip dcos_masquerade ${CHAIN} ip daddr 224.0.0.0/4 return`,
      `add rule ip dcos_masquerade ${CHAIN} masquerade`,
      `add chain ip dcos_masquerade ${CHAIN}.plain`,
      `create element ip dcos_masquerade containers { 9.0.1.5 comment "dcos web-1 eth0" : goto ${CHAIN} }`,
    ]);
  });

  it("are one element for each address of every further container", () => {
    expect(commands([], ["postrouting", CHAIN, `${CHAIN}.plain`])).to.deep.equal([
      `create element ip dcos_masquerade containers { 9.0.1.5 comment "dcos web-1 eth0" : goto ${CHAIN} }`,
    ]);
  });

  it("go to a table of each family", () => {
    const made = commands(["fd00::/8"], undefined, ["fd01:b::5/81"]);
    expect(made.every((command) => command.includes(" ip6 dcos_masquerade"))).to.equal(true);
    expect(made.filter((command) => command.includes("daddr"))).to.deep.equal([
      "add rule ip6 dcos_masquerade network_dcos_fd01_b__-81 ip6 daddr fd00::/8 return",
      "add rule ip6 dcos_masquerade network_dcos_fd01_b__-81 ip6 daddr ff00::/8 return",
    ]);
    expect(entries([], ["9.0.1.5/25", "fd01::5/64"]).map(({ table }) => table.family)).to.deep.equal(["ip", "ip6"]);
    expect(entries([], [])).to.deep.equal([]);
  });

  it("rewrite the network's chain when the exclusions have changed", () => {
    const made = commands(["9.0.0.0/8"], ["postrouting", CHAIN, `${CHAIN}.plain`]);
    expect(made).to.include(`flush chain ip dcos_masquerade ${CHAIN}`);
    expect(made).to.include(`add rule ip dcos_masquerade ${CHAIN} ip daddr 9.0.0.0/8 return`);
    expect(made).to.include(`delete chain ip dcos_masquerade ${CHAIN}.plain`);
  });

  it("know the same exclusions in another order, and that others are others", () => {
    const revision = (excludes: readonly string[]) => entries(excludes)[0]?.chains[0]?.revision;
    const excludes = ["9.0.0.0/8", "10.0.0.0/8"];
    expect(revision(excludes)).to.equal(revision(excludes.toReversed()));
    expect(revision(["10.0.0.0/8"])).to.not.equal(revision(excludes));
  });

  it("let containers of several subnets and networks use chains of their own", () => {
    const name = (network: string, address: string) => entries([], [address], network)[0]?.chains[0]?.name;
    expect(name("dcos", "9.0.1.5/25")).to.equal(name("dcos", "9.0.1.9/25"));
    const names = [name("dcos", "9.0.1.5/25"), name("dcos", "9.0.2.5/25"), name("dcos2", "9.0.1.5/25")];
    expect(new Set(names).size).to.equal(names.length);
  });

  it("describe an element to an operator", () => {
    const [element] = entries()[0]?.elements ?? [];
    expect(element && MASQUERADE[4].describe(element)).to.equal("masquerading of address 9.0.1.5");
  });
});
