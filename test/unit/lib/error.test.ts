import { expect } from "chai";
import { hasErrno, messageOf, NetError } from "../../../lib/error.ts";

describe("an error of the outside world", () => {
  it("says what was tried, what came of it, and what to do", () => {
    const tried = "add route 10.0.0.0/8";
    expect(new NetError("kernel", { tried }).message).to.equal("cannot add route 10.0.0.0/8");
    expect(new NetError("kernel", { tried, said: "EEXIST", remedy: "remove the other" }).message).to.equal(
      "cannot add route 10.0.0.0/8: EEXIST; remove the other",
    );
  });

  it("keeps its cause, where it has one", () => {
    const cause = new Error("deeper");
    expect(new NetError("io", { tried: "read", cause }).cause).to.equal(cause);
    expect(new NetError("io", { tried: "read" })).to.not.have.property("cause");
  });

  it("is known by its errno name, which no other error has", () => {
    const error = new NetError("kernel", { tried: "add", errno: "EEXIST" });
    expect(hasErrno(error, "EEXIST")).to.equal(true);
    expect(hasErrno(error, "ENOENT")).to.equal(false);
    expect(hasErrno(new NetError("kernel", { tried: "add" }), "EEXIST")).to.equal(false);
    expect(hasErrno(Object.assign(new Error("add"), { errno: "EEXIST" }), "EEXIST")).to.equal(false);
  });

  it("is one of many things that have a message", () => {
    expect(messageOf(new NetError("io", { tried: "read" }))).to.equal("cannot read");
    expect(messageOf("plain text")).to.equal("plain text");
    expect(messageOf(undefined)).to.equal("undefined");
  });
});
