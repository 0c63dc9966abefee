import { expect } from "chai";
import fc from "fast-check";
import { cString, equalBytes, fromCString, fromHex, toHex } from "../../../lib/bytes.ts";

describe("bytes", () => {
  it("come back unchanged from hexadecimal digits", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).to.deep.equal(bytes);
      }),
    );
  });

  it("are refused when the digits are odd in number or no digits", () => {
    for (const text of ["0", "0g", "zz", "00 11"]) expect(() => fromHex(text)).to.throw(SyntaxError);
  });

  it("of a C string end with a zero, and reading stops there", () => {
    expect(cString("eth0")).to.deep.equal(Uint8Array.of(101, 116, 104, 48, 0));
    expect(fromCString(Uint8Array.of(101, 0, 116))).to.equal("e");
    expect(fromCString(Uint8Array.of(101, 116))).to.equal("et");
    const texts = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"));
    fc.assert(
      fc.property(texts, (text) => {
        expect(fromCString(cString(text))).to.equal(text);
      }),
    );
  });

  it("are equal when length and content are", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        expect(equalBytes(a, b)).to.equal(toHex(a) === toHex(b));
        expect(equalBytes(a, Uint8Array.from(a))).to.equal(true);
      }),
    );
  });
});
