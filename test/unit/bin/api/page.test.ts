import { expect } from "chai";
import fc from "fast-check";
import { once, pageOf, readPage } from "../../../../bin/api/page.ts";

describe("a page", () => {
  it("has 100 entries unless 1 to 1000 are asked for", () => {
    expect(readPage(undefined, undefined)).to.deep.equal({ limit: 100, after: "" });
    expect(() => readPage("1001", undefined)).to.throw("from 1 to 1000");
  });

  it("has, page after page, every entry that matches once and in order, and their number on each", () => {
    const keys = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 60 });
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 9 }), fc.nat(3), (unsorted, limit, modulus) => {
        const sorted = [...unsorted].sort();
        const find = (key: string) => (key.length > modulus ? { key } : undefined);
        const expected = sorted.flatMap((key) => find(key) ?? []);
        const seen: { key: string }[] = [];
        for (let after: string | undefined = ""; after !== undefined; ) {
          const page: ReturnType<typeof pageOf<{ key: string }>> = pageOf(sorted, find, { limit, after });
          expect(page.total).to.equal(expected.length);
          expect(page.entries.length).to.be.at.most(limit);
          seen.push(...page.entries);
          after = page.next;
        }
        expect(seen).to.deep.equal(expected);
      }),
    );
  });

  it("neither skips nor repeats an entry when others come and go between two pages", () => {
    const first = pageOf(["a", "c", "e"], (key) => key, { limit: 2, after: "" });
    expect(first).to.deep.equal({ entries: ["a", "c"], total: 3, next: "c" });
    expect(pageOf(["b", "d", "e"], (key) => key, { limit: 2, after: "c" }).entries).to.deep.equal(["d", "e"]);
  });

  it("ends before it is too large, but never empty", () => {
    const large = "x".repeat(1_500_000);
    const page = pageOf(["a", "b"], () => large, { limit: 10, after: "" });
    expect(page.entries).to.have.lengthOf(1);
    expect(page.next).to.equal("a");
    expect(pageOf(["a"], () => "x".repeat(3_000_000), { limit: 10, after: "" }).next).to.equal(undefined);
  });
});

describe("once", () => {
  it("computes for each object one time", () => {
    let computed = 0;
    const size = once((list: readonly string[]) => {
      computed += 1;
      return list.length;
    });
    const list = ["a"];
    expect([size(list), size(list), size([])]).to.deep.equal([1, 1, 0]);
    expect(computed).to.equal(2);
  });
});
