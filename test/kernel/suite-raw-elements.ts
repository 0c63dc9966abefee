import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import type { NftElementsChange } from "../../kernel/nftables.ts";
import { hasErrno } from "../../lib/error.ts";
import type { Fixture } from "./fixture.ts";

const FIRST = { key: "0a00000106000000", data: "0b000001" } as const;
const SECOND = { key: "0a00000211000000", data: "0b000002", comment: "the second" } as const;

/** Cases about elements in the kernel's own form, and about what a table consists of. */
export function rawElementCases(current: () => Fixture): void {
  const withTable = (): Kernel => {
    const { kernel } = current();
    kernel.nftables.run([
      "add table inet t",
      "add set inet t s { type ipv4_addr; }",
      "add map inet t m { type ipv4_addr . inet_proto : ipv4_addr; }",
      "add chain inet t leaf",
      "add chain inet t base { type filter hook input priority 0; policy drop; }",
      'add rule inet t base ip saddr @s goto leaf comment "known"',
      "add rule inet t base ip saddr 10.0.0.0/8 accept",
      'add rule inet t base ip daddr @s accept comment "last of all"',
    ]);
    return kernel;
  };
  const elements = ({ nftables }: Kernel) =>
    [...(nftables.rawElements("inet", "t", "m") ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
  const refuses = (kernel: Kernel, changes: readonly NftElementsChange[], errno: string) => {
    const before = elements(kernel);
    try {
      kernel.nftables.changeElements("inet", "t", changes);
    } catch (error) {
      expect(hasErrno(error, errno), String(error)).to.equal(true);
      expect(elements(kernel)).to.deep.equal(before);
      return;
    }
    throw new Error("it was not refused");
  };

  it("elements are created and deleted in one transaction, and read back as they were written", () => {
    const kernel = withTable();
    const { nftables } = kernel;
    expect(elements(kernel)).to.deep.equal([]);
    nftables.changeElements("inet", "t", [{ do: "create", set: "m", elements: [FIRST, SECOND] }]);
    expect(elements(kernel)).to.deep.equal([FIRST, SECOND]);
    const moved = { ...FIRST, data: "0b000009" };
    nftables.changeElements("inet", "t", [
      { do: "delete", set: "m", elements: [{ key: FIRST.key }, { key: SECOND.key }] },
      { do: "create", set: "m", elements: [moved] },
      { do: "create", set: "s", elements: [{ key: "0a000001" }] },
    ]);
    expect(elements(kernel)).to.deep.equal([moved]);
    expect(nftables.rawElements("inet", "t", "s")).to.deep.equal([{ key: "0a000001" }]);
  });

  it("a refused element leaves all as it was", () => {
    const kernel = withTable();
    kernel.nftables.changeElements("inet", "t", [{ do: "create", set: "m", elements: [FIRST] }]);
    const add = (set: string) => ({ do: "create", set, elements: [SECOND] }) as const;
    refuses(kernel, [add("m"), { do: "create", set: "m", elements: [FIRST] }], "EEXIST");
    refuses(kernel, [add("m"), { do: "delete", set: "m", elements: [{ key: "0a0000ff06000000" }] }], "ENOENT");
    refuses(kernel, [add("m"), add("missing")], "ENOENT");
  });

  it("more elements than one message takes are one transaction still", () => {
    const kernel = withTable();
    const many = Array.from({ length: 5000 }, (_, index) => ({
      key: `0a00${index.toString(16).padStart(4, "0")}06000000`,
      data: "0b000001",
    }));
    kernel.nftables.changeElements("inet", "t", [{ do: "create", set: "m", elements: many }]);
    expect(elements(kernel)).to.deep.equal(many);
    const again = [...many.map(({ key }) => ({ key })), { key: "ffffffff06000000" }];
    refuses(kernel, [{ do: "delete", set: "m", elements: again }], "ENOENT");
  });

  it("the elements of what is missing are undefined", () => {
    const { nftables } = current().kernel;
    expect(nftables.rawElements("inet", "t", "m")).to.equal(undefined);
    withTable();
    expect(nftables.rawElements("inet", "t", "missing")).to.equal(undefined);
  });

  it("the outline of a table names its chains, sets and the comments of its rules", () => {
    const { nftables } = current().kernel;
    expect(nftables.outline("inet", "t")).to.equal(undefined);
    withTable();
    nftables.run(["add table inet other", "add chain inet other elsewhere"]);
    const outline = nftables.outline("inet", "t");
    expect(outline?.dormant).to.equal(false);
    expect(outline?.sets).to.have.members(["s", "m"]);
    expect(outline?.chains).to.have.deep.members([
      { name: "leaf", dropping: false, rules: [] },
      { name: "base", dropping: true, rules: ["known", undefined, "last of all"] },
    ]);
  });

  it("the generation tells whether anybody has changed a table", () => {
    const kernel = withTable();
    const { nftables } = kernel;
    const before = nftables.generation();
    elements(kernel);
    nftables.outline("inet", "t");
    refuses(kernel, [{ do: "delete", set: "m", elements: [{ key: FIRST.key }] }], "ENOENT");
    expect(nftables.generation(), "after reading and a refusal").to.equal(before);
    nftables.changeElements("inet", "t", [{ do: "create", set: "m", elements: [FIRST] }]);
    expect(nftables.generation()).to.equal(before + 1);
    nftables.run(["add table inet other"]);
    expect(nftables.generation()).to.equal(before + 2);
  });

  it("a watch tells which generations have changed its table, and nothing of others", () => {
    const { nftables } = withTable();
    const watch = nftables.watch("inet", "t");
    try {
      expect(watch.changed()).to.deep.equal([]);
      nftables.run(["add table inet other", "add chain inet other c", "add table ip t"]);
      expect(watch.changed(), "after changes of others").to.deep.equal([]);
      nftables.changeElements("inet", "t", [{ do: "create", set: "m", elements: [FIRST] }]);
      const first = nftables.generation();
      nftables.run(["add chain inet other d"]);
      nftables.run(["add chain inet other e", "flush chain inet t base"]);
      expect(watch.changed()).to.deep.equal([first, nftables.generation()]);
      expect(watch.changed()).to.deep.equal([]);
      nftables.run(["delete table inet t"]);
      expect(watch.changed()).to.deep.equal([nftables.generation()]);
      nftables.run(["add table inet t"]);
      expect(watch.changed()).to.deep.equal([nftables.generation()]);
    } finally {
      watch.close();
    }
  });
}
