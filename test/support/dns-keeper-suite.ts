import { expect } from "chai";
import { DnsKeeper, type DnsKeeperOptions } from "../../dns/apply.ts";
import { DEVICE_ALIAS } from "../../dns/device.ts";
import { NOTRACK_TABLE } from "../../dns/notrack.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatPrefix, parseIp, parsePrefix } from "../../lib/address.ts";

const ADDRESSES = ["198.51.100.1", "198.51.100.2", "fd01:d::c633:6401"].map(parseIp);
const PREFIXES = ["198.51.100.1/32", "198.51.100.2/32", "fd01:d::c633:6401/128"];
const DEVICE = "spartan";

/** What the DNS server's keeper promises, on whatever kernel `open` gives: an empty namespace. */
export function dnsKeeperSuite(open: () => { readonly kernel: Kernel; close(): void }): void {
  let kernel: Kernel;
  let close = () => {};

  beforeEach(() => {
    const opened = open();
    ({ kernel } = opened);
    close = opened.close;
    kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  });

  afterEach(() => close());

  const keeper = (changes: Partial<DnsKeeperOptions> = {}) =>
    new DnsKeeper({ kernel, device: DEVICE, addresses: ADDRESSES, untracked: ADDRESSES, port: 53, ...changes });
  const globals = () =>
    kernel
      .addresses(DEVICE)
      .filter(({ scope }) => scope === "global")
      .map(({ address }) => formatPrefix(address))
      .sort();
  const rules = () => kernel.nftables.table("inet", NOTRACK_TABLE);

  it("sets up link, addresses and rules in one pass, and finds nothing to do in the next", () => {
    const own = keeper();
    expect(own.pass()).to.have.length(5);
    expect(kernel.link(DEVICE)?.up).to.equal(true);
    expect(kernel.link(DEVICE)?.kind).to.equal(own.kind);
    expect(globals()).to.deep.equal(PREFIXES);
    expect(kernel.addresses(DEVICE).some(({ scope, tentative }) => scope === "global" && tentative)).to.equal(false);
    expect(rules()?.match(/ notrack/g)).to.have.length(8);
    expect(own.pass()).to.deep.equal([]);
  });

  it("leaves a table for one family out of the other's rules", () => {
    keeper({ untracked: ADDRESSES.slice(0, 1) }).pass();
    expect(rules()).to.include("own4").and.not.to.include("own6");
  });

  const damages: readonly (readonly [string, () => void])[] = [
    ["the link", () => kernel.apply([{ do: "link.delete", dev: DEVICE }])],
    ["the link's state", () => kernel.apply([{ do: "link.set", dev: DEVICE, set: { up: false } }])],
    ["an IPv4 address", () => kernel.apply([removal("198.51.100.2/32")])],
    ["the IPv6 address", () => kernel.apply([removal("fd01:d::c633:6401/128")])],
    ["the table", () => kernel.nftables.run([`delete table inet ${NOTRACK_TABLE}`])],
    ["the rules", () => kernel.nftables.run([`flush chain inet ${NOTRACK_TABLE} output`])],
  ];
  const removal = (address: string) =>
    ({ do: "address.delete", address: { dev: DEVICE, address: parsePrefix(address) } }) as const;

  for (const [object, damage] of damages) {
    it(`puts back ${object}, says so, and is content then`, () => {
      const own = keeper();
      own.pass();
      damage();
      expect(own.pass()).to.not.deep.equal([]);
      expect(globals()).to.deep.equal(PREFIXES);
      expect(rules()?.match(/ notrack/g)).to.have.length(8);
      expect(own.pass()).to.deep.equal([]);
    });
  }

  it("follows other settings: addresses that are no longer wanted go", () => {
    keeper().pass();
    keeper({ addresses: ADDRESSES.slice(0, 1), untracked: ADDRESSES.slice(0, 1) }).pass();
    expect(globals()).to.deep.equal(["198.51.100.1/32"]);
  });

  it("adds to somebody else's link what is missing, and takes nothing from it, nor the link itself", () => {
    const foreign = { dev: DEVICE, address: parsePrefix("192.0.2.9/24") };
    kernel.apply([
      { do: "link.add", link: { kind: "bridge", name: DEVICE, up: true } },
      { do: "address.add", address: foreign },
    ]);
    const own = keeper();
    own.pass();
    expect(globals()).to.deep.equal(["192.0.2.9/24", ...PREFIXES]);
    own.remove();
    expect(kernel.link(DEVICE)).to.not.equal(undefined);
  });

  it("removes everything that any process made, and says what, once", () => {
    keeper().pass();
    const removed = keeper().remove();
    expect(removed).to.deep.equal([`delete link ${DEVICE}`, `remove table inet ${NOTRACK_TABLE}`]);
    expect(kernel.link(DEVICE)).to.equal(undefined);
    expect(rules()).to.equal(undefined);
    expect(keeper().remove()).to.deep.equal([]);
  });

  it("makes no link and no rules where it isn't asked to", () => {
    expect(keeper({ device: "", untracked: [] }).pass()).to.deep.equal([]);
    expect(kernel.links().map(({ name }) => name)).to.deep.equal(["lo"]);
  });

  it("names the link's owner on it", () => {
    keeper().pass();
    expect(kernel.link(DEVICE)?.alias).to.equal(DEVICE_ALIAS);
  });
}
