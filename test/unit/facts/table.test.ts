import { expect } from "chai";
import { isQuiet } from "../../../facts/delta.ts";
import { Table } from "../../../facts/table.ts";

/** Shows the greatest number that any owner has. */
function greatest(): Table<number, number> {
  const choose = (numbers: Iterable<number>): number | undefined => {
    const all = [...numbers];
    return all.length === 0 ? undefined : Math.max(...all);
  };
  return new Table({ choose, same: Object.is });
}

describe("Table", () => {
  it("tells of a key once for all that happened to it before it settled", () => {
    const table = greatest();
    table.put("a", "x", 1);
    table.put("a", "y", 3);
    table.drop("a", "x");
    expect(table.settle()).to.deep.equal({ added: [{ key: "a", value: 3 }], changed: [], removed: [] });
    table.put("a", "y", 5);
    table.put("a", "y", 3);
    expect(isQuiet(table.settle())).to.equal(true);
  });

  it("tells what was shown before, and what is shown now", () => {
    const table = greatest();
    table.put("a", "x", 1);
    table.put("b", "x", 1);
    table.settle();
    table.put("a", "y", 2);
    table.drop("b", "x");
    expect(table.settle()).to.deep.equal({
      added: [],
      changed: [{ key: "a", before: 1, after: 2 }],
      removed: [{ key: "b", value: 1 }],
    });
  });

  it("remembers nothing of a key that no owner has any more", () => {
    const table = greatest();
    table.put("a", "x", 1);
    table.drop("a", "x");
    table.drop("a", "nobody");
    expect([...table.keys()]).to.deep.equal([]);
    expect([isQuiet(table.settle()), table.shown.size]).to.deep.equal([true, 0]);
  });
});
