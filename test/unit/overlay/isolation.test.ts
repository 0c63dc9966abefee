import { expect } from "chai";
import { openFake } from "../../../kernel/fake.ts";
import { parsePrefix } from "../../../lib/address.ts";
import type { Overlay } from "../../../overlay/cluster.ts";
import { ISOLATION_TABLE, isolationCommands, isolationRemoval } from "../../../overlay/isolation.ts";

function overlay(index: number, isolated: boolean): Overlay {
  return {
    name: `o${index}`,
    v4: { subnet: parsePrefix(`10.${index}.0.0/16`), nodeLength: 24 },
    v6: index % 2 === 0 ? { subnet: parsePrefix(`fd00:${index}::/64`), nodeLength: 80 } : undefined,
    isolated,
    enabled: true,
  };
}

const rules = (commands: readonly string[]) => commands.filter((command) => command.startsWith("add rule"));

describe("isolation", () => {
  it("needs no table when no overlay is isolated", () => {
    expect(isolationCommands([overlay(1, false), overlay(2, false)])).to.deep.equal([]);
  });

  it("has the same rules for two overlays and for sixty: only sets grow", () => {
    const many = Array.from({ length: 60 }, (_, index) => overlay(index, index % 3 === 0));
    expect(rules(isolationCommands(many))).to.deep.equal(
      rules(isolationCommands([overlay(1, true), overlay(2, false)])),
    );
  });

  it("knows both bridges of every overlay", () => {
    const commands = isolationCommands([overlay(1, true), overlay(2, false)]).join("\n");
    expect(commands).to.include('bridges { type ifname ; elements = { "m-o1", "d-o1", "m-o2", "d-o2" } ; }');
    expect(commands).to.include('isolated_bridges { type ifname ; elements = { "m-o1", "d-o1" } ; }');
    expect(commands).to.include('"d-o1" . 10.1.0.0/16');
  });

  it("is put in place of an earlier table, and removed, whether one is there or not", () => {
    const { nftables } = openFake();
    const commands = isolationCommands([overlay(1, true)]);
    nftables.run(commands);
    const first = nftables.table("inet", ISOLATION_TABLE);
    nftables.run(commands);
    expect(nftables.table("inet", ISOLATION_TABLE)).to.equal(first);
    nftables.run(isolationRemoval());
    expect(nftables.table("inet", ISOLATION_TABLE)).to.equal(undefined);
    nftables.run(isolationRemoval());
  });
});
