import { expect } from "chai";
import { CniError, formatError, OWN_ERROR, toCniError } from "../../../cni/error.ts";
import { type ErrorCode, NetError } from "../../../lib/error.ts";

describe("toCniError", () => {
  const numbers: Record<ErrorCode, number> = {
    "already-exists": 113,
    busy: 11,
    conflict: 112,
    exhausted: 111,
    internal: 110,
    invalid: 7,
    io: 5,
    kernel: 115,
    "not-found": 114,
    permission: 116,
    timeout: 11,
    unavailable: 11,
    unsupported: 2,
  };
  for (const [code, number] of Object.entries(numbers)) {
    it(`numbers ${code} as ${number}`, () => {
      expect(toCniError(new NetError(code as ErrorCode, { tried: "x" }), "ADD").code).to.equal(number);
    });
  }

  it("says what was tried and what the other side said, and gives the remedy as details", () => {
    const error = toCniError(new NetError("kernel", { tried: "add link x", said: "EPERM", remedy: "be root" }), "ADD");
    expect(error.message).to.equal("cannot add link x: EPERM");
    expect(error.details).to.equal("be root");
  });

  it("answers 50 to STATUS for all that keeps a node from serving ADD", () => {
    for (const code of ["busy", "exhausted", "timeout", "unavailable"] as const) {
      expect(toCniError(new NetError(code, { tried: "x" }), "STATUS").code).to.equal(50);
    }
    expect(toCniError(new NetError("invalid", { tried: "x" }), "STATUS").code).to.equal(7);
  });

  it("passes a CniError on as it is", () => {
    const error = new CniError(3, "gone");
    expect(toCniError(error, "DEL")).to.equal(error);
  });

  it("reports all of several errors under the code of the first", () => {
    const errors = [new NetError("conflict", { tried: "a", remedy: "r" }), new Error("b")];
    expect(toCniError(new AggregateError(errors), "GC")).to.include({
      code: 112,
      message: "cannot a; internal error: b",
      details: "r",
    });
  });

  it("calls everything else internal, whatever was thrown", () => {
    for (const thrown of [new TypeError("t"), "text", undefined, null, 5, new AggregateError([])]) {
      expect(toCniError(thrown, "ADD").code).to.equal(OWN_ERROR.internal);
    }
  });
});

describe("formatError", () => {
  it("prints the members in the order of the specification, with four spaces of indentation", () => {
    expect(formatError(new CniError(7, "m", "d"), "1.1.0")).to.equal(
      '{\n    "cniVersion": "1.1.0",\n    "code": 7,\n    "msg": "m",\n    "details": "d"\n}',
    );
  });

  it("leaves empty details out", () => {
    expect(JSON.parse(formatError(new CniError(7, "m", ""), "0.2.0"))).to.deep.equal({
      cniVersion: "0.2.0",
      code: 7,
      msg: "m",
    });
  });
});
