import { expect } from "chai";
import { readChoice, readNumber, readQuery } from "../../../../bin/api/query.ts";
import { NetError } from "../../../../lib/error.ts";

const read = (text: string) => readQuery(new URLSearchParams(text), ["name", "limit"]);

describe("a query", () => {
  it("gives the parameters that are there, decoded", () => {
    expect(read("name=a%2Fb+c")).to.deep.equal({ name: "a/b c" });
    expect(read("")).to.deep.equal({});
  });

  for (const [text, said] of [
    ["nmae=x", "known are name, limit"],
    ["name=a&name=b", "there twice"],
    [`name=${"x".repeat(1101)}`, "more than 1100 characters"],
    ["__proto__=x", "not known"],
  ] as const) {
    it(`refuses ${text.slice(0, 20)}`, () => {
      expect(() => read(text))
        .to.throw(NetError, said)
        .that.includes({ code: "invalid" });
    });
  }

  it("takes a number within bounds, and the fallback without one", () => {
    const bounds = { least: 1, most: 10, fallback: 5 };
    expect(readNumber("limit", "10", bounds)).to.equal(10);
    expect(readNumber("limit", undefined, bounds)).to.equal(5);
    for (const text of ["0", "11", "-1", "1.5", "1e1", "", "٣", "9".repeat(30)]) {
      expect(() => readNumber("limit", text, bounds), text).to.throw(NetError, "from 1 to 10");
    }
  });

  it("takes one of the choices", () => {
    expect(readChoice("kind", "b", ["a", "b"])).to.equal("b");
    expect(() => readChoice("kind", "c", ["a", "b"])).to.throw(NetError, "must be one of a, b");
  });
});
