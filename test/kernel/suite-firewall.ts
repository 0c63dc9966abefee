import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import { parseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Fixture } from "./fixture.ts";
import { up } from "./operations.ts";

const UDP = 17;

/** Runs the commands and expects this refusal, with nothing changed in table `inet t`. */
function nftRefuses({ nftables }: Kernel, commands: readonly string[], errno: string | undefined): void {
  const before = nftables.table("inet", "t");
  let error: unknown;
  try {
    nftables.run(commands);
  } catch (thrown) {
    error = thrown;
  }
  expect(error, commands.join("; ")).to.be.instanceOf(NetError);
  if (!(error instanceof NetError)) return;
  expect(error.errno, error.message).to.equal(errno);
  expect(error.said).to.not.equal(undefined);
  expect(nftables.table("inet", "t")).to.equal(before);
}

/** Cases about nftables transactions and tracked connections. */
export function firewallCases(current: () => Fixture): void {
  const withTable = (): Kernel => {
    const { kernel } = current();
    kernel.nftables.run([
      "add table inet t",
      "add chain inet t d",
      "add chain inet t c { type nat hook postrouting priority 100; policy accept; }",
      "add set inet t s { type ipv4_addr; }",
      "add map inet t m { type inet_proto . inet_service : ipv4_addr . inet_service; }",
      "add map inet t v { type ipv4_addr : verdict; }",
    ]);
    return kernel;
  };

  it("no commands do nothing", () => {
    current().kernel.nftables.run([]);
  });

  it("a missing table has no text and no elements", () => {
    const { nftables } = current().kernel;
    expect(nftables.table("inet", "t")).to.equal(undefined);
    expect(nftables.elements("inet", "t", "s")).to.equal(undefined);
  });

  it("commands of one run are one transaction", () => {
    const kernel = withTable();
    nftRefuses(
      kernel,
      ["add chain inet t extra", "add element inet t s { 10.0.0.1 }", "delete chain inet t no"],
      "ENOENT",
    );
    expect(kernel.nftables.elements("inet", "t", "s")).to.deep.equal([]);
    nftRefuses(kernel, ["add element inet t s { 10.0.0.1 }", "nonsense"], "EINVAL");
  });

  it("what is added twice is there once, what is created twice is EEXIST", () => {
    const kernel = withTable();
    kernel.nftables.run(["add table inet t", "add chain inet t d", "add set inet t s { type ipv4_addr; }"]);
    nftRefuses(kernel, ["create table inet t"], "EEXIST");
    nftRefuses(kernel, ["create chain inet t d"], "EEXIST");
    nftRefuses(kernel, ["create set inet t s { type ipv4_addr; }"], "EEXIST");
    kernel.nftables.run(["add element inet t s { 10.0.0.1 }", "add element inet t s { 10.0.0.1 }"]);
    nftRefuses(kernel, ["create element inet t s { 10.0.0.1 }"], "EEXIST");
  });

  it("what is missing can't be deleted, flushed or added to", () => {
    const kernel = withTable();
    for (const command of [
      "delete table inet no",
      "flush table inet no",
      "add chain inet no c",
      "delete chain inet t no",
      "flush chain inet t no",
      "add rule inet t no accept",
      "delete rule inet t d handle 999",
      "delete set inet t no",
      "add element inet t no { 10.0.0.1 }",
      "delete element inet t s { 10.0.0.9 }",
      "delete element inet t m { tcp . 80 }",
    ]) {
      nftRefuses(kernel, [command], "ENOENT");
    }
  });

  it("a set that is there keeps its type, and a base chain its hook", () => {
    const kernel = withTable();
    nftRefuses(kernel, ["add set inet t s { type inet_service; }"], "EEXIST");
    const moved = "add chain inet t c { type nat hook postrouting priority 101; policy accept; }";
    nftRefuses(kernel, [moved], "EOPNOTSUPP");
  });

  it("rules keep their order and comments, and lead only to chains and sets that are there", () => {
    const kernel = withTable();
    kernel.nftables.run([
      'add rule inet t d ip saddr @s counter drop comment "second"',
      'insert rule inet t d accept comment "first"',
      "add rule inet t c jump d",
    ]);
    const text = kernel.nftables.table("inet", "t") ?? "";
    expect(text.indexOf('comment "first"')).to.be.greaterThan(0).and.lessThan(text.indexOf('comment "second"'));
    expect(text).to.include("type nat hook postrouting priority").and.to.include("jump d");
    nftRefuses(kernel, ["add rule inet t c jump nowhere"], "ENOENT");
    nftRefuses(kernel, ["add rule inet t c ip saddr @nothing drop"], "ENOENT");
    kernel.nftables.run(["flush chain inet t d"]);
    expect(kernel.nftables.table("inet", "t")).to.not.include("comment");
  });

  it("a chain or set that is in use can't be deleted", () => {
    const kernel = withTable();
    kernel.nftables.run(["add rule inet t c jump d", "add rule inet t c ip saddr @s accept"]);
    nftRefuses(kernel, ["delete chain inet t d"], "EBUSY");
    nftRefuses(kernel, ["delete set inet t s"], "EBUSY");
    kernel.nftables.run(["flush chain inet t c", "add element inet t v { 10.0.0.1 : goto d }"]);
    nftRefuses(kernel, ["delete chain inet t d"], "EBUSY");
    kernel.nftables.run(["flush map inet t v", "delete chain inet t d", "delete set inet t s"]);
    expect(kernel.nftables.elements("inet", "t", "s")).to.equal(undefined);
  });

  it("elements are listed with key, data and comment", () => {
    const { nftables } = withTable();
    nftables.run([
      'add element inet t s { 10.0.0.1 comment "web", 10.0.0.2 }',
      'add element inet t m { tcp . 80 comment "a" : 10.0.0.1 . 8080, udp . 53 : 10.0.0.3 . 53 }',
      "add element inet t v { 10.0.0.1 : jump d, 10.0.0.2 : drop }",
    ]);
    expect(nftables.elements("inet", "t", "s")).to.have.deep.members([
      { key: ["10.0.0.1"], data: [], comment: "web" },
      { key: ["10.0.0.2"], data: [], comment: undefined },
    ]);
    expect(nftables.elements("inet", "t", "m")).to.have.deep.members([
      { key: ["tcp", "80"], data: ["10.0.0.1", "8080"], comment: "a" },
      { key: ["udp", "53"], data: ["10.0.0.3", "53"], comment: undefined },
    ]);
    expect(nftables.elements("inet", "t", "v")).to.have.deep.members([
      { key: ["10.0.0.1"], data: ["jump d"], comment: undefined },
      { key: ["10.0.0.2"], data: ["drop"], comment: undefined },
    ]);
    nftables.run(["delete element inet t m { tcp . 80 }", "flush set inet t s"]);
    expect(nftables.elements("inet", "t", "m")).to.have.lengthOf(1);
    expect(nftables.elements("inet", "t", "s")).to.deep.equal([]);
  });

  it("a key of a map has one value", () => {
    const kernel = withTable();
    kernel.nftables.run(["add element inet t m { tcp . 80 : 10.0.0.1 . 8080 }"]);
    kernel.nftables.run(["add element inet t m { tcp . 80 : 10.0.0.1 . 8080 }"]);
    nftRefuses(kernel, ["add element inet t m { tcp . 80 : 10.0.0.2 . 8080 }"], "EEXIST");
  });

  it("intervals of a set don't overlap", () => {
    const { nftables } = withTable();
    nftables.run(["add set inet t i { type ipv4_addr; flags interval; }", "add element inet t i { 10.0.0.0/8 }"]);
    expect(() => nftables.run(["add element inet t i { 10.1.0.0/16 }"])).to.throw(NetError);
    expect(nftables.elements("inet", "t", "i")).to.deep.equal([{ key: ["10.0.0.0/8"], data: [], comment: undefined }]);
  });

  it("chains are listed by name", () => {
    const { nftables } = withTable();
    expect(nftables.chains("inet", "t")).to.have.members(["d", "c"]);
    expect(nftables.chains("inet", "no")).to.equal(undefined);
  });

  it("interface names are listed without their quotes", () => {
    const { nftables } = withTable();
    nftables.run(["add set inet t n { type ifname; }", 'add element inet t n { "eth0" }']);
    expect(nftables.elements("inet", "t", "n")?.map(({ key }) => key)).to.deep.equal([["eth0"]]);
  });

  it("a table goes with all that is in it", () => {
    const { nftables } = withTable();
    nftables.run(["add rule inet t c jump d", "delete table inet t"]);
    expect(nftables.table("inet", "t")).to.equal(undefined);
  });

  it("a flow is listed and deleted when it matches", () => {
    const { kernel, sendUdp } = current();
    // Connections are tracked once something in the namespace asks for it.
    kernel.nftables.run([
      "add table inet t",
      "add chain inet t o { type filter hook output priority 0; }",
      "add rule inet t o ct state new counter",
    ]);
    kernel.apply([up("lo")]);
    sendUdp(5353);
    sendUdp(5354);
    const ports = () => kernel.conntrack.list(4).filter(({ protocol }) => protocol === UDP);
    const local = parseIp("127.0.0.1");
    const flow = ports().find(({ destinationPort }) => destinationPort === 5353);
    expect(flow).to.deep.include({
      protocol: UDP,
      source: local,
      destination: local,
      destinationPort: 5353,
      replySource: local,
      replySourcePort: 5353,
    });
    const to5353 = ({ destinationPort }: { readonly destinationPort: number }) => destinationPort === 5353;
    expect(kernel.conntrack.delete(6, () => true)).to.equal(0);
    const only = (destinationPort: number) => ({ protocol: UDP, destination: local, destinationPort });
    expect(kernel.conntrack.delete(4, to5353, only(5354)), "of flows to another port").to.equal(0);
    expect(kernel.conntrack.delete(4, to5353, only(5353))).to.equal(1);
    expect(kernel.conntrack.delete(4, to5353)).to.equal(0);
    expect(ports().map(({ destinationPort }) => destinationPort)).to.deep.equal([5354]);
  });
}
