import { expect } from "chai";
import { VERSION } from "../../../bin/version.ts";
import { version } from "../../../package.json" with { type: "json" };

describe("the version", () => {
  it("is package.json's", () => {
    expect(VERSION).to.equal(version);
  });
});
