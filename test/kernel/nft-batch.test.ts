import { expect } from "chai";
import { additionCommands, type FirewallEntry, removal } from "../../cni/firewall-commands.ts";
import { macSpoofEntry } from "../../cni/macspoof.ts";
import { masqueradeEntries } from "../../cni/masquerade.ts";
import { hostPortsEntries } from "../../cni/portmap-rules.ts";
import { encodeCommands } from "../../kernel/nft-batch.ts";
import { type Growth, tableRepair } from "../../l4lb/dataplanes/nftables-table.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import { needsRoot } from "../support/needs-root.ts";
import { type FirewallNetwork, openFirewallNetwork, ruleset } from "./firewall-network.ts";

const OWNER = { network: "dcos", containerId: "web-1", ifname: "eth0" };
const ADDRESSES = ["10.77.0.5/24", "fd77::5/64"].map(parsePrefix);

/** Every shape of command that the CNI plugins make. */
function everyEntry(): FirewallEntry[] {
  const mapping = { hostPort: 8080, containerPort: 80 };
  return [
    ...masqueradeEntries({
      owner: OWNER,
      addresses: ADDRESSES,
      excludes: ["9.0.0.0/8", "172.16.0.0/12", "192.168.128.0/17", "192.0.2.7/32", "fd00::/8", "2001:db8::/33"].map(
        parsePrefix,
      ),
    }),
    ...hostPortsEntries({
      owner: OWNER,
      addresses: ADDRESSES,
      mappings: [
        { ...mapping, protocol: "tcp" },
        { ...mapping, protocol: "udp", hostIp: parseIp("192.0.2.1") },
        { ...mapping, protocol: "sctp", hostIp: parseIp("2001:db8::1") },
      ],
      snat: true,
      masqAll: false,
      conditions: { 4: undefined, 6: undefined },
      excludeDevices: ["m-dcos", "br0"],
    }),
    macSpoofEntry(OWNER, "veth01234567", "02:00:00:00:00:05"),
  ];
}

/** The rules for virtual IPs that look into a map, on a table that has grown. */
function vipCommands(): string[] {
  const growth = ([4, 6] as const).flatMap((family): Growth[] => [
    { kind: "random", family, number: 3 },
    { kind: "hash", family, number: 251 },
    // nft 1.0.6 ends itself at the rules that note an IPv6 client.
    ...(family === 4 ? ([{ kind: "affine", family, number: 300 }] as const) : []),
  ]);
  return tableRepair(undefined, growth).transactions.flat();
}

describe("commands encoded for the kernel directly", function () {
  this.timeout(20_000);
  let net: FirewallNetwork;

  before(needsRoot);
  beforeEach(() => {
    net = openFirewallNetwork();
  });
  afterEach(() => net.close());

  it("make the same rule set as nft makes of their text", () => {
    const commands = everyEntry().flatMap((entry) => additionCommands(entry, undefined));
    expect(
      encodeCommands(commands, () => undefined),
      "none is left to libnftables",
    ).to.have.length(commands.length);
    net.host.nftables.run(commands);
    const told = net.outside.enter(() =>
      Bun.spawnSync(["nft", "-f", "-"], { stdin: new TextEncoder().encode(`${commands.join("\n")}\n`) }),
    );
    expect(told.stderr.toString()).to.equal("");
    expect(ruleset(net.host)).to.equal(ruleset(net.outside)).and.include("dnat ip to");
  });

  it("make the same rules for virtual IPs as nft makes of their text", () => {
    const commands = vipCommands();
    const sets = commands.filter((command) => !command.startsWith("add rule"));
    const rules = commands.filter((command) => command.startsWith("add rule"));
    const encoded = rules.filter((rule) => encodeCommands([rule], () => undefined) !== undefined);
    expect(encoded.length).to.be.greaterThan(10);
    net.host.nftables.run(sets);
    for (const rule of rules) net.host.nftables.run([rule]);
    const nft = Bun.which("nft") ?? "";
    const text = `${commands.join("\n")}\n`;
    const told = net.outside.enter(() => Bun.spawnSync([nft, "-f", "-"], { stdin: new TextEncoder().encode(text) }));
    expect(told.stderr.toString()).to.equal("");
    expect(ruleset(net.host)).to.equal(ruleset(net.outside)).and.include("numgen random mod 3 map @random6_3");
  });

  it("add to and remove from what nft has made", () => {
    const commands = everyEntry().flatMap((entry) => additionCommands(entry, undefined));
    net.host.enter(() =>
      Bun.spawnSync(["nft", "-f", "-"], { stdin: new TextEncoder().encode(`${commands.join("\n")}\n`) }),
    );
    const before = ruleset(net.host);
    const { nftables } = net.host;
    const other = { ...OWNER, containerId: "web-2" };
    const [more] = masqueradeEntries({ owner: other, addresses: [parsePrefix("10.88.0.9/24")], excludes: [] });
    if (more === undefined) throw new Error("there is no entry");
    const { family, name } = more.table;
    nftables.run(additionCommands(more, nftables.chains(family, name)));
    expect(ruleset(net.host)).to.include("10.88.0.9");
    const held = (nftables.elements(family, name, "containers") ?? []).map((each) => ({ ...each, set: "containers" }));
    const isGone = ({ comment }: { comment: string | undefined }) => comment === "dcos web-2 eth0";
    nftables.run(removal(more.table, held, nftables.chains(family, name) ?? [], isGone).commands);
    expect(ruleset(net.host)).to.equal(before);
  });

  it("are one transaction, whose refusal names the command", () => {
    const { nftables } = net.host;
    nftables.run(["add table ip t", "add set ip t s { type ipv4_addr; }"]);
    const before = ruleset(net.host);
    const refused = () =>
      nftables.run([
        "add chain ip t c",
        "create element ip t s { 10.0.0.1 }",
        "create element ip t s { 10.0.0.1 }",
        "add chain ip t d",
      ]);
    expect(refused).to.throw(/create element ip t s \{ 10\.0\.0\.1 \}: EEXIST/);
    expect(ruleset(net.host)).to.equal(before);
  });

  it("leave to libnftables what they don't know, in whole transactions", () => {
    for (const command of [
      "add rule ip t c tcp dport 80 accept",
      "add rule ip t c ip saddr { 10.0.0.0/8 } drop",
      "add rule inet t c ip saddr 10.0.0.0/8 reject",
      "add set ip t s { type ipv4_addr; flags interval; }",
      "add set ip t s { type mark; }",
      "create element ip t missing { 10.0.0.1 }",
      "create element ip t s { 10.0.0.1, 10.0.0.2 }",
      'create element ip t i { "eth*" }',
      "list ruleset",
      "add  table ip t",
      "add table ip t { chain c { accept } }",
      "delete table ip t t",
      "add chain ip t",
      "flush chain ip t c c",
      "add chain ip t c { type filter hook input priority 0; policy drop; }",
    ]) {
      const types = { key: [], data: undefined };
      const typesOf = (_family: string, _table: string, set: string) => (set === "missing" ? undefined : types);
      expect(encodeCommands(["add table ip t", command], typesOf), command).to.equal(undefined);
    }
  });
});
